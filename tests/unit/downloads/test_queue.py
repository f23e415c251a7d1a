"""The queue on disk: whole documents, in order, nothing outside it touched."""

import json
import threading

import msgspec
import pytest
from msgspec.structs import replace

from pumas.downloading import DownloadFile, DownloadRequest
from pumas.downloads import queue
from pumas.errors import Damaged, DownloadNotFound, Unavailable
from pumas.store.paths import open_layout

REQUEST = DownloadRequest(repo_id="o/n", quantization="q4_k_m", exclude=("*.md",), official_name="N")
FILES = (DownloadFile(path="a/m.gguf", url="https://h/a", size_bytes=5, sha256="0" * 64),)


@pytest.fixture
def layout(library):
    return open_layout(library.parents[1])[0]


def add(layout, **fields):
    download = queue.add(layout, REQUEST, commit="c" * 40, files=FILES)
    if fields:
        download = queue.update(layout, download.download_id, lambda old: replace(old, **fields))
    return download


def test_what_is_added_is_found_again(layout, library):
    download = add(layout)
    assert queue.find(library, download.download_id) == download
    assert queue.listed(library) == (download,)
    assert (download.status, download.total_bytes, download.is_ended) == ("queued", 5, False)


def test_higher_priorities_come_first_then_older_ones(layout, library):
    first, second, urgent = add(layout), add(layout), add(layout, priority=1)
    assert queue.listed(library) == (urgent, first, second)


def test_a_change_that_fails_changes_nothing(layout, library):
    download = add(layout)

    def fail(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        queue.update(layout, download.download_id, fail)
    assert queue.listed(library) == (download,)


def test_changes_at_once_are_all_kept(layout, library):
    download = add(layout)

    def count():
        for _ in range(20):
            queue.update(layout, download.download_id, lambda old: replace(old, attempts=old.attempts + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queue.find(library, download.download_id).attempts == 80


@pytest.mark.parametrize("download_id", ["", "..", "0" * 40, "../" + "0" * 37, "A" * 40, "0" * 39, "\x00", "ä" * 40])
def test_other_ids_are_not_found(layout, library, download_id):
    add(layout)
    for call in (queue.find, queue.discard):
        with pytest.raises(DownloadNotFound):
            call(library, download_id)


def test_a_discarded_one_is_gone_with_its_files(layout, library):
    kept, download = add(layout), add(layout)
    (library / ".downloads" / download.download_id / "files" / "x.part").write_bytes(b"x")
    queue.discard(library, download.download_id)
    assert [path.name for path in (library / ".downloads").iterdir()] == [kept.download_id]
    with pytest.raises(DownloadNotFound):
        queue.update(layout, download.download_id, lambda old: old)


def test_a_discard_that_was_cut_short_is_finished(layout, library):
    download = add(layout)
    folder = library / ".downloads" / download.download_id
    folder.rename(folder.with_name(f"{folder.name}.gone"))
    assert queue.listed(library) == ()
    queue.sweep(library)
    assert list((library / ".downloads").iterdir()) == []


def test_nothing_outside_is_deleted(layout, library, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    download = add(layout)
    folder = library / ".downloads" / download.download_id
    (folder / "files" / "link").symlink_to(outside)
    (library / ".downloads" / f"{'0' * 40}.gone").symlink_to(outside)
    (library / ".downloads" / ("1" * 40)).symlink_to(folder)
    with pytest.raises(DownloadNotFound):
        queue.discard(library, "1" * 40)
    queue.discard(library, download.download_id)
    queue.sweep(library)
    assert (outside / "file").read_text() == "precious"


def test_a_queue_that_is_a_link_is_refused(layout, library, tmp_path):
    (library / ".downloads").symlink_to(tmp_path)
    for call in (lambda: add(layout), lambda: queue.listed(library)):
        with pytest.raises(Unavailable, match="is a link"):
            call()


def test_what_the_original_left_behind_stays(layout, library):
    left = library / ".downloads" / ("2" * 40)
    left.mkdir(parents=True)
    (left / "m.gguf.incomplete").write_bytes(b"x")
    queue.sweep(library)
    assert queue.listed(library) == ()
    assert (left / "m.gguf.incomplete").exists()


@pytest.mark.parametrize(
    "damage",
    [
        *(b"", b"{", b"[]", b"\xff", b"null", b'{"request": 5, "created_at": ""}', b"[" * 100_000),
        b'{"request": {"repo_id": "o/n"}, "created_at": "x", "status": "flying"}',
        b'{"request": {"repo_id": "o/n"}, "created_at": "x", "files": [{"path": 1, "url": ""}]}',
    ],
)
def test_a_damaged_document_hides_no_other(layout, library, damage):
    whole, broken = add(layout), add(layout)
    (library / ".downloads" / broken.download_id / "download.json").write_bytes(damage)
    listed = {download.download_id: download for download in queue.listed(library)}
    assert listed[whole.download_id] == whole
    assert listed[broken.download_id].status == "error"
    assert listed[broken.download_id].reason
    with pytest.raises(Damaged):
        queue.find(library, broken.download_id)
    queue.discard(library, broken.download_id)
    assert queue.listed(library) == (whole,)


def test_the_document_names_no_secret_and_is_json(layout, library):
    download = add(layout)
    text = (library / ".downloads" / download.download_id / "download.json").read_text()
    assert json.loads(text)["files"] == [msgspec.to_builtins(FILES[0])]
