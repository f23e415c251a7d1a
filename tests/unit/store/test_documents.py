from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from support.documents import DAMAGED, count, names, update

from pumas.errors import Damaged, InvalidInput, Unavailable
from pumas.store.documents import read_document, recover_document, write_document


def test_the_form_is_the_contracts(tmp_path):
    path = tmp_path / "a.json"
    write_document(path, {"b": "é", "a": [1, 2.5, None]})
    assert path.read_bytes() == '{\n  "b": "é",\n  "a": [\n    1,\n    2.5,\n    null\n  ]\n}'.encode()
    assert read_document(path) == {"b": "é", "a": [1, 2.5, None]}


def test_a_missing_document_is_none(tmp_path):
    assert read_document(tmp_path / "none.json") is None


def test_a_backup_is_made_of_a_document_that_parses_only(tmp_path):
    path = tmp_path / "a.json"
    write_document(path, {"n": 1})
    assert not path.with_name("a.json.bak").exists()
    write_document(path, {"n": 2})
    path.write_text("{damaged")
    write_document(path, {"n": 3})
    assert read_document(path.with_name("a.json.bak")) == {"n": 1}
    assert read_document(path) == {"n": 3}
    assert names(tmp_path) == ["a.json", "a.json.bak", "a.json.damaged-*"]


def test_a_backup_has_the_times_and_the_mode_of_what_it_was(tmp_path):
    path = tmp_path / "a.json"
    write_document(path, {"n": 1})
    path.chmod(0o600)
    os.utime(path, ns=(1_000_000_000, 2_000_000_000))
    write_document(path, {"n": 2})
    status = path.with_name("a.json.bak").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o600, 2_000_000_000)


def test_the_form_of_the_plain_documents(tmp_path):
    path = tmp_path / "a.json"
    for n in range(2):
        write_document(path, {"a": "é😀", "n": n}, is_escaped=True, has_backup=False)
    assert path.read_bytes() == b'{\n  "a": "\\u00e9\\ud83d\\ude00",\n  "n": 1\n}'
    assert names(tmp_path) == ["a.json"]


def test_the_mode_is_kept_and_a_link_is_replaced(tmp_path):
    path, target = tmp_path / "a.json", tmp_path / "target.json"
    write_document(path, {})
    path.chmod(0o600)
    write_document(path, {"n": 1})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    target.write_text('{"mine": 1}')
    target.chmod(0o640)
    path.unlink()
    path.symlink_to(target)
    write_document(path, {"n": 2})
    assert not path.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert json.loads(target.read_text()) == {"mine": 1}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_is_kept_when_root_writes(tmp_path):
    path = tmp_path / "a.json"
    write_document(path, {})
    os.chown(path, 1234, 1235)
    write_document(path, {"n": 1})
    for one in (path, path.with_name("a.json.bak")):
        assert (one.stat().st_uid, one.stat().st_gid) == (1234, 1235)


def test_a_folder_in_the_place_of_the_backup_is_set_aside(tmp_path):
    path = tmp_path / "a.json"
    write_document(path, {"n": 1})
    (tmp_path / "a.json.bak" / "inside").mkdir(parents=True)
    write_document(path, {"n": 2})
    assert read_document(path.with_name("a.json.bak")) == {"n": 1}
    (kept,) = tmp_path.glob("a.json.bak.damaged-*")
    assert (kept / "inside").is_dir()


def test_keys_that_are_the_same_as_text_are_refused(tmp_path):
    path = tmp_path / "a.json"
    numbered: Any = {1: "a"}
    write_document(path, numbered)
    with pytest.raises(InvalidInput, match="keys are the same"):
        write_document(path, {"list": [{1: "a", "1": "b"}]})
    assert read_document(path) == {"1": "a"}


def test_the_folders_of_a_first_write_are_synced(tmp_path):
    synced = []

    def watch(event, arguments):
        if event == "open" and str(arguments[0]).startswith(str(tmp_path)) and os.path.isdir(arguments[0]):
            synced.append(Path(arguments[0]))

    sys.addaudithook(watch)
    write_document(tmp_path / "one" / "two" / "a.json", {})
    assert synced == [tmp_path, tmp_path / "one", tmp_path / "one" / "two"]


def _nested(depth: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "value",
    [{"a": float("nan")}, {"a": float("inf")}, {"a": "\ud800"}, {"a": object()}, [1], None, "x", _nested(100_000)],
    ids=range(8),
)
def test_what_is_not_json_changes_nothing(tmp_path, value):
    path = tmp_path / "a.json"
    write_document(path, {"n": 1})
    with pytest.raises(InvalidInput, match=r"a\.json"):
        write_document(path, value)
    assert read_document(path) == {"n": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_more_than_a_reader_takes_is_not_written(tmp_path):
    with pytest.raises(InvalidInput, match="can't hold more than 16777216 bytes"):
        write_document(tmp_path / "a.json", {"a": "x" * (16 * 1024 * 1024)})
    assert names(tmp_path) == []


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_document_is_named(tmp_path, data):
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(Damaged, match=r"a\.json") as caught:
        read_document(path)
    assert caught.value.path == path


def test_a_fifo_a_folder_and_a_huge_file_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(17 * 1024 * 1024)
    with pytest.raises(Damaged, match="not a regular file"):
        read_document(tmp_path / "fifo")
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(Damaged, match="not a regular file"):
            read_document(tmp_path / "folder")
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
    with pytest.raises(Damaged, match="larger than"):
        read_document(tmp_path / "huge")


def test_writing_into_something_that_is_no_folder_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="Writing"):
        write_document(tmp_path / "file" / "a.json", {})


def test_a_failing_change_changes_nothing(tmp_path):
    path = tmp_path / "a.json"
    update(path, count)

    def fail(value):
        value["n"] = 99
        raise KeyError("x")

    with pytest.raises(KeyError):
        update(path, fail)
    with pytest.raises(InvalidInput, match="not an object"):
        update(path, lambda value: None)
    assert read_document(path) == {"n": 1}
    assert names(tmp_path) == ["a.json"]
    update(path, count)


def test_a_link_to_nothing_is_neither_missing_nor_overwritten(tmp_path):
    path = tmp_path / "a.json"
    path.symlink_to(tmp_path / "away" / "a.json")
    for work in (lambda: update(path, count), lambda: write_document(path, {"n": 9}), lambda: read_document(path)):
        with pytest.raises(Unavailable, match="a link to nothing"):
            work()
    assert path.readlink() == tmp_path / "away" / "a.json"
    assert names(tmp_path) == ["a.json"]


def test_a_document_and_its_backup_of_the_future_are_updated(tmp_path):
    path = tmp_path / "a.json"
    for _ in range(2):
        update(path, count)
    for one in (path, tmp_path / "a.json.bak"):
        os.utime(one, (4_000_000_000, 4_000_000_000))
    update(path, count)
    os.utime(path, (0, 0))
    update(path, count)
    assert read_document(path) == {"n": 4}
    assert read_document(tmp_path / "a.json.bak") == {"n": 3}


def test_the_next_write_removes_what_killed_processes_left(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    path = tmp_path / "a.json"
    dead = [f"a.json.{gone.pid}.140.tmp", f"a.json.bak.{gone.pid}.7.tmp", f"a.json.{os.getpid()}.1.tmp"]
    kept = [f"a.json.{os.getppid()}.1.tmp", f"b.json.{gone.pid}.1.tmp", "a.json.tmp", "a.json.x.1.tmp"]
    for name in dead + kept:
        (tmp_path / name).write_text("{")
    assert recover_document(path) is None
    update(path, count)
    assert names(tmp_path) == sorted(["a.json", *kept])


@pytest.mark.slow
def test_two_threads_lose_no_update(tmp_path):
    path = tmp_path / "a.json"

    def work() -> None:
        for _ in range(1000):
            update(path, count)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_document(path) == {"n": 2000}
