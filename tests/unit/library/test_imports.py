"""Importing: what is taken, what is refused, and that every source is where it belongs afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.drives import btrfs_drive, can_mount, can_mount_btrfs, fill_drive, mounted_drive, remount
from support.headers import Gguf
from support.roots import write_model

from pumas import PumasApi
from pumas.errors import Cancelled, InvalidInput, NoSpace, Unavailable
from pumas.library import import_placing
from pumas.library.import_digests import note_due
from pumas.models import ImportRequest
from pumas.organised import ModelEdit
from pumas.store.paths import Layout

OTHER_DRIVE = Path("/dev/shm")

needs_mount = pytest.mark.skipif(not can_mount(), reason="needs permission to mount")


def gguf(number: int = 0, size: int = 100) -> bytes:
    header = Gguf().file([("general.architecture", "string", "llama"), ("number", "uint32", number)])
    return header + hashlib.shake_128(str(number).encode()).digest(size)


@pytest.fixture
def api(library: Path) -> Iterator[PumasApi]:
    with PumasApi(library.parents[1]) as opened:
        yield opened


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Path]:
    """A folder on another drive."""
    if not OTHER_DRIVE.is_dir() or OTHER_DRIVE.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second drive: needs permission to mount")
    folder = OTHER_DRIVE / f"pumas-{os.getpid()}-{threading.get_ident()}"
    folder.mkdir()
    yield folder
    subprocess.run(["rm", "-r", str(folder)], check=True)


def import_one(api, path, **given):
    (result,) = api.import_model(path, **given).result().results
    return result


def left_over(library: Path) -> list[str]:
    """What a failed import may not leave."""
    return [
        path.name
        for path in library.rglob("*")
        if path.name.startswith(".tmp_import_")
        or (path.suffix in (".jsonl", ".part", ".lock") and "imports" in path.parts)
    ]


def assert_untouched(api: PumasApi, path: Path, data: bytes) -> None:
    assert path.read_bytes() == data
    assert left_over(api.library) == []
    assert api.list_models() == []
    assert [entry.name for entry in api.library.iterdir() if entry.is_dir() and not entry.name.startswith(".")] == []


def test_a_copy_leaves_the_source_and_has_its_time(api, source):
    path = source / "a.gguf"
    path.write_bytes(gguf())
    os.utime(path, ns=(1, 1_700_000_000_123_456_789))
    path.chmod(0o640)
    result = import_one(api, path)
    copy = result.model_path / "a.gguf"
    assert copy.read_bytes() == path.read_bytes() == gguf()
    assert copy.stat().st_mtime_ns == path.stat().st_mtime_ns
    assert copy.stat().st_mode == path.stat().st_mode
    assert copy.stat().st_ino != path.stat().st_ino
    document = json.loads((result.model_path / "metadata.json").read_text())
    assert document["files"][0]["sha256"] == document["hashes"]["sha256"] == hashlib.sha256(gguf()).hexdigest()
    assert api.verify().result().findings == ()


def test_a_move_renames_on_one_drive(api, source):
    path = source / "a.gguf"
    path.write_bytes(gguf())
    inode = path.stat().st_ino
    result = import_one(api, path, mode="move")
    assert not path.exists()
    assert (result.model_path / "a.gguf").stat().st_ino == inode
    assert source.is_dir()  # only a folder that was imported goes
    assert [model.model_id for model in api.list_models()] == ["llm/llama/a"]


def test_a_move_from_another_drive_copies_and_deletes(api, far):
    path = far / "set" / "a.gguf"
    path.parent.mkdir()
    path.write_bytes(gguf())
    result = import_one(api, path.parent, mode="move", official_name="A")
    assert (result.model_path / "a.gguf").read_bytes() == gguf()
    assert not path.parent.exists()
    assert result.notes == ()
    assert api.verify().result().findings == ()


def test_a_hard_link_is_another_name(api, source):
    path = source / "a.gguf"
    path.write_bytes(gguf())
    result = import_one(api, path, mode="hardlink")
    assert (result.model_path / "a.gguf").samefile(path)


def test_a_hard_link_to_another_drive_is_an_error_never_a_copy(api, far):
    path = far / "a.gguf"
    path.write_bytes(gguf())
    result = import_one(api, path, mode="hardlink")
    assert result.error_kind == "conflict"
    assert "choose the mode `copy`" in result.error
    assert_untouched(api, path, gguf())


def test_a_reflink_shares_content_or_is_an_error(api, source):
    path = source / "a.gguf"
    path.write_bytes(gguf())
    result = import_one(api, path, mode="reflink")
    if result.error is None:  # the file system can
        assert (result.model_path / "a.gguf").read_bytes() == gguf()
    else:
        assert "reflink" in result.error
        assert_untouched(api, path, gguf())


@pytest.mark.skipif(not can_mount_btrfs(), reason="needs permission to mount")
def test_reflinks_take_no_room_and_are_files_of_their_own(tmp_path):
    with btrfs_drive(tmp_path / "drive") as drive, PumasApi(drive / "root") as api:
        path = drive / "a.gguf"
        path.write_bytes(gguf(size=4_000_000))
        # Three copies would not fit beside it.
        results = [import_one(api, path, mode="reflink", allows_duplicates=True) for _ in range(3)]
        assert [result.error for result in results] == [None] * 3
        files = [result.model_path / "a.gguf" for result in results]
        assert len({file.stat().st_ino for file in (path, *files)}) == 4
        assert api.verify().result().findings == ()
        with files[0].open("r+b") as file:
            file.write(b"changed")
        assert path.read_bytes() == files[1].read_bytes() == files[2].read_bytes() == gguf(size=4_000_000)
        assert import_one(api, path, official_name="Copies", allows_duplicates=True).error is None
        full = import_one(api, path, official_name="Copies", allows_duplicates=True)
        assert (full.error_kind, path.stat().st_size) == ("no_space", len(gguf(size=4_000_000)))


def test_there_is_no_other_mode(api, source):
    with pytest.raises(InvalidInput, match="There is no mode 'steal'; choose from copy, move, hardlink, reflink"):
        api.import_model(source, mode="steal")


def test_a_set_is_one_model_and_keeps_its_names(api, source):
    for number in (1, 2):
        (source / f"My-{number:05d}-of-00002.gguf").write_bytes(gguf(number))
    result = import_one(api, source, mode="move", official_name="Set")
    names = sorted(path.name for path in result.model_path.iterdir())
    assert names == ["My-00001-of-00002.gguf", "My-00002-of-00002.gguf", "metadata.json", "overrides.json"]
    assert not source.exists()
    assert len(api.list_models()) == 1


def test_a_repo_keeps_folders_and_names_that_refer_to_each_other(api, source):
    (source / "model_index.json").write_text("{}")
    (source / "unet").mkdir()
    (source / "unet" / "model.safetensors.index.json").write_text("{}")
    (source / "unet" / "model v1.5.bin").write_bytes(b"x")
    (source / ".cache").mkdir()
    (source / ".cache" / "a.lock").write_bytes(b"")
    (source / ".gitattributes").write_bytes(b"")
    result = import_one(api, source, mode="move", official_name="Repo")
    below = {path.relative_to(result.model_path).as_posix() for path in result.model_path.rglob("*") if path.is_file()}
    assert below == {
        "metadata.json",
        "overrides.json",
        "model_index.json",
        "unet/model.safetensors.index.json",
        "unet/model v1.5.bin",
    }
    assert ".cache was left where it is: a hidden folder" in result.notes
    assert (source / ".gitattributes").exists()
    assert api.verify().result().findings == ()


def test_names_of_a_repo_that_are_ours_are_not_kept(api, source):
    names = ("metadata.json.1.2.tmp", "metadata.json.trashed", "overrides.json/a.bin", "config.json", "m.gguf.part")
    for name in names:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(name)
    (source / "m.gguf").write_bytes(gguf())
    result = import_one(api, source)
    api.delete_model(api.edit_model(result.model_id, ModelEdit(notes="x")).result().model_id).result()
    (trashed,) = api.list_trash()
    api.restore_from_trash(trashed.entry_id).result()
    kept = {path.read_text() for path in result.model_path.rglob("*") if path.is_file() and path.suffix != ".gguf"}
    assert kept.issuperset(names)


@pytest.mark.parametrize("name", ["a" * 250 + ".gguf", "部" * 83 + ".gguf", "b." + "部" * 84])
def test_the_longest_names_can_be_copied(name, api, source):
    (source / "config.json").write_text("{}")
    (source / name).write_bytes(gguf())
    (source / "m.gguf").write_bytes(gguf(1))
    assert import_one(api, source).error is None


def test_a_file_and_a_folder_whose_names_become_one(api, source):
    for name in ("m.gguf", "one", "one!/a.gguf"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(gguf())
    result = import_one(api, source)
    assert sorted(file.path for file in api.plan_removal(result.model_id).files if file.path.startswith("one")) == [
        "one-2",
        "one/a.gguf",
    ]


def test_a_link_is_followed_and_goes_with_what_was_moved(api, source):
    (source / "real.gguf").write_bytes(gguf())
    (source / "link.gguf").symlink_to("real.gguf")
    result = import_one(api, source / "link.gguf", mode="move")
    assert result.notes == (f"{source}/link.gguf is a link; what was imported is {source}/real.gguf",)
    assert list(source.iterdir()) == []
    assert not (result.model_path / "real.gguf").is_symlink()


def test_links_in_a_folder_become_copies_and_nothing_dangles(api, source, tmp_path):
    (tmp_path / "blob").write_bytes(gguf())
    folder = source / "snapshot"
    folder.mkdir()
    (folder / "a.gguf").symlink_to(tmp_path / "blob")
    (folder / "own.bin").write_bytes(b"own")
    (folder / "again.bin").symlink_to("own.bin")
    (folder / "nowhere.bin").symlink_to("missing")
    (folder / "up").symlink_to("..")
    result = import_one(api, folder, mode="move", official_name="A")
    found = {path.name: path.read_bytes() for path in result.model_path.glob("*.[bg]*")}
    assert found == {"a.gguf": gguf(), "own.bin": b"own", "again.bin": b"own"}
    assert not any(path.is_symlink() for path in result.model_path.iterdir())
    assert (tmp_path / "blob").read_bytes() == gguf()
    # What dangled before is the user's own; what the move would have left dangling is gone.
    assert sorted(path.name for path in folder.iterdir()) == ["a.gguf", "nowhere.bin", "up"]
    assert "nowhere.bin was left where it is: a link that leads nowhere" in result.notes


@pytest.mark.parametrize(
    "kind", ["fifo", "socket", "device", "loop", "empty", "text", "nothing", "", "a\0b", "x" * 5000]
)
def test_what_is_no_model_is_refused_with_a_sentence(kind, api, source):
    path: Path | str = source / "odd.gguf"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            os.chdir(source)
            listener.bind("odd.gguf")
    elif kind == "device":
        path = "/dev/null"
    elif kind == "loop":
        os.symlink("odd.gguf", path)
    elif kind == "empty":
        os.mkdir(path)
    elif kind == "text":
        path = source / "notes.txt"
        Path(path).write_text("hello")
    elif kind != "nothing":
        path = kind
    result = import_one(api, path, mode="move")
    assert result.error is not None
    assert result.error_kind in ("invalid_input", "not_found")
    assert left_over(api.library) == []
    assert kind in ("device", "nothing", "") or not isinstance(path, Path) or os.path.lexists(path)


NAMES = [
    "..gguf",
    "a\nb.gguf",
    "a\x1b[31m.gguf",
    "CON.gguf",
    "модель.gguf",
    "模型.gguf",
    "x" * 250 + ".gguf",
    "-rf.gguf",
    "a.b.gguf",
]


@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"\xff\xfe.gguf")])
def test_hostile_names_give_plain_ones(name, api, source):
    path = source / name
    path.write_bytes(gguf())
    result = import_one(api, path, mode="move")
    assert result.error is None
    (file,) = (path for path in result.model_path.iterdir() if path.suffix == ".gguf")
    assert file.read_bytes() == gguf()
    assert result.model_id.isascii()
    assert result.model_id.isprintable()
    assert len(file.name) <= 128
    assert api.verify().result().findings == ()


@pytest.mark.parametrize("model_type", ["../x", "a/b", "/abs", ".hidden", "..", "a\nb", "link_registry.db"])
def test_a_model_type_is_a_plain_name(model_type, api, source):
    path = source / "a.gguf"
    path.write_bytes(gguf())
    result = import_one(api, path, mode="move", model_type=model_type)
    assert result.error_kind == "invalid_input"
    assert_untouched(api, path, gguf())


@pytest.mark.parametrize("linked", ["llm", "llm/llama"])
def test_nothing_goes_where_no_model_is_seen(linked, api, source, tmp_path):
    path = source / "a.gguf"
    path.write_bytes(gguf())
    other = tmp_path / "big"
    other.mkdir()
    (api.library / linked).parent.mkdir(exist_ok=True)
    (api.library / linked).symlink_to(other)
    assert "is a link, behind which no model is seen" in import_one(api, path, mode="move").error
    (candidate,) = api.classify_model_import_paths([str(path)]).result()
    assert "is a link, behind which no model is seen" in candidate.refusal
    assert path.read_bytes() == gguf()
    assert list(other.iterdir()) == []


def test_a_name_that_no_text_can_hold_hinders_no_other(api, source):
    path = source / "a.gguf"
    path.write_bytes(gguf())
    requests = [
        ImportRequest(path=f"{path}\ud800"),
        ImportRequest(path=str(path), official_name="a\ud800", tags=("\ud800",)),
        ImportRequest(path=str(path)),
    ]
    results = api.import_batch(requests).result().results
    assert [result.error is None for result in results] == [False, False, True]


def test_a_name_can_not_leave_the_library(api, source):
    path = source / "a.gguf"
    path.write_bytes(gguf())
    result = import_one(api, path, family="../../x", official_name="../../../etc/passwd", model_type="llm")
    assert result.model_id == "llm/x/etcpasswd"


def test_the_library_can_not_be_imported_into_itself(api, library):
    for path in (library, library.parent, library.parents[1]):
        result = import_one(api, path, mode="move")
        assert "holds the library itself" in result.error
    write_model(library, "llm/a/A")
    for path in (library / "llm/a/A/A.gguf", library / "llm/a/A"):
        result = import_one(api, path, mode="move")
        assert "belongs to the model llm/a/A" in result.error
    assert "is a model already" in import_one(api, library / "llm/a").error
    assert "hidden folder" in import_one(api, library / ".pumas").error
    assert (library / "llm/a/A/A.gguf").exists()


def test_a_folder_in_the_library_becomes_a_model_where_it_is(api, library):
    folder = library / "llm" / "own family" / "My Model"
    folder.mkdir(parents=True)
    (folder / "odd name.gguf").write_bytes(gguf())
    result = import_one(api, folder)
    assert result.model_id == "llm/own family/My Model"
    assert sorted(path.name for path in folder.iterdir()) == ["metadata.json", "odd name.gguf", "overrides.json"]
    document = json.loads((folder / "metadata.json").read_text())
    assert (document["model_type"], document["family"], document["cleaned_name"]) == ("llm", "own family", "My Model")
    assert [model.model_id for model in api.list_models()] == ["llm/own family/My Model"]
    assert api.verify().result().findings == ()


def test_a_link_in_a_folder_that_stays_in_the_library_stays_one(api, library, source):
    (source / "b.gguf").write_bytes(gguf(1))
    folder = library / "llm" / "llama" / "mine"
    folder.mkdir(parents=True)
    (folder / "a.gguf").write_bytes(gguf())
    (folder / "b.gguf").symlink_to(source / "b.gguf")
    assert import_one(api, folder).notes == ("It lies in the library already and stays where it is",)
    assert (folder / "b.gguf").is_symlink()


def test_a_loose_file_in_the_library_may_be_moved_to_its_place(api, library):
    (library / "a.gguf").write_bytes(gguf())
    assert import_one(api, library / "a.gguf", mode="move").model_id == "llm/llama/a"
    assert not (library / "a.gguf").exists()


def test_what_is_in_the_library_is_reported_before_it_is_copied(api, source):
    for name in ("a.gguf", "b.gguf"):
        (source / name).write_bytes(gguf())
    import_one(api, source / "a.gguf")
    result = import_one(api, source / "b.gguf")
    assert result.error == "Its content is in the library already: llm/llama/a/a.gguf; nothing was imported"
    assert result.duplicate_of == ("llm/llama/a/a.gguf",)
    allowed = import_one(api, source / "b.gguf", allows_duplicates=True)
    assert allowed.error is None
    assert allowed.duplicate_of == ("llm/llama/a/a.gguf",)


def test_one_that_fails_hinders_no_other(api, source):
    (source / "a.gguf").write_bytes(gguf())
    requests = [ImportRequest(path=str(source / name)) for name in ("missing", "a.gguf", "a.gguf")]
    report = api.import_batch(requests, mode="move").result()
    assert [result.error is None for result in report.results] == [False, True, False]
    assert report.results[0].error == f"Local path not found: {source}/missing"
    assert left_over(api.library) == []


def test_a_source_that_went_away_says_so(api, source):
    for name in ("a.gguf", "b.gguf"):
        (source / name).write_bytes(name.encode())
    requests = [ImportRequest(path=str(source / "a.gguf")), ImportRequest(path=str(source))]
    first, second = api.import_batch(requests, mode="move").result().results
    assert first.error is None
    assert "a.gguf was moved or deleted while it was imported; nothing was imported" in second.error
    assert (source / "b.gguf").read_bytes() == b"b.gguf"


def test_a_source_that_grows_is_not_imported(api, source):
    path = source / "a.gguf"
    path.write_bytes(gguf(size=30_000_000))
    is_ended = threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not is_ended.is_set():
                file.write(b"more")

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        for mode in ("copy", "move"):
            result = import_one(api, path, mode=mode)
            assert result.error_kind == "conflict"
            assert "was changed while it was imported" in result.error
    finally:
        is_ended.set()
        writer.join()
    assert path.read_bytes().startswith(gguf(size=30_000_000))
    assert left_over(api.library) == []
    assert api.list_models() == []


def test_cancelled_work_is_undone(api, source):
    path = source / "a.gguf"
    path.write_bytes(gguf())
    os.truncate(path, 1_000_000_000)
    job = api.import_model(path)
    seen: list[str] = []
    for snapshot in job.progress():
        seen.extend(file.name for file in snapshot.files)
        if snapshot.done > 0:
            job.cancel()
    assert seen[0] == "a.gguf"
    with pytest.raises(Cancelled):
        job.result()
    assert path.stat().st_size == 1_000_000_000
    assert left_over(api.library) == []
    assert api.list_models() == []


@pytest.mark.parametrize("mode", ["copy", "hardlink", "move"])
@pytest.mark.parametrize("stage", ["placing files", "writing documents", "giving names"])
def test_many_that_are_cancelled_at_any_step_are_all_undone_or_all_there(mode, stage, api, source):
    paths = [source / f"{number}.gguf" for number in range(100)]
    for number, path in enumerate(paths):
        path.write_bytes(gguf(number))
    job = api.import_batch([ImportRequest(path=str(path)) for path in paths], mode=mode)
    for snapshot in job.progress():
        if snapshot.stage == stage:
            job.cancel()
    api.refresh_models().result()
    imported = [api.library / model.model_id / f"{model.official_name}.gguf" for model in api.list_models()]
    assert len(imported) in (0, 100)  # they get their names together
    assert {path.read_bytes() for path in imported or paths} == {gguf(number) for number in range(100)}
    assert all(path.exists() for path in paths) == (mode != "move" or not imported)
    assert left_over(api.library) == []


def test_digests_that_take_long_are_made_by_a_job(api, source, monkeypatch):
    monkeypatch.setattr(import_placing, "DIGEST_BYTES", 1)
    path = source / "a.gguf"
    path.write_bytes(gguf())
    result = import_one(api, path, mode="move")
    assert result.digests_due
    job = api.make_due_digests()
    if job is not None:  # else the job has ended by now
        job.result()
    document = json.loads((result.model_path / "metadata.json").read_text())
    assert document["hashes"]["sha256"] == document["files"][0]["sha256"]
    assert document["hashes"]["sha256"] == hashlib.sha256(gguf(size=100)).hexdigest()
    assert json.loads(api.get_model(result.model_id).hashes_json) == document["hashes"]


def test_digests_are_taken_up_again_after_a_restart(library, source, monkeypatch):
    monkeypatch.setattr(import_placing, "DIGEST_BYTES", 1)
    path = source / "a.gguf"
    path.write_bytes(gguf())
    os.truncate(path, 500_000_000)
    with PumasApi(library.parents[1]) as api:
        result = import_one(api, path, mode="move")
    document = result.model_path / "metadata.json"
    assert json.loads(document.read_text())["hashes"] == {"sha256": "", "blake3": ""}
    with PumasApi(library.parents[1]) as api:
        job = api.make_due_digests()
        assert job is not None
        assert job.result() == 1
        assert api.make_due_digests() is None
    assert len(json.loads(document.read_text())["hashes"]["sha256"]) == 64


def test_digests_of_a_model_that_can_t_be_read_now_stay_due(api, source, tmp_path):
    path = source / "a.gguf"
    path.write_bytes(gguf())
    folder = import_one(api, path).model_path
    (tmp_path / "root" / "secret").write_bytes(b"secret")
    odd = {"name": "../../../../../secret", "size": len("secret")}
    whole = json.dumps({"model_type": "llm", "files": [odd, 1, {"name": [1]}, {"name": "a.gguf", "size": len(gguf())}]})
    (folder / "metadata.json.bak").unlink(missing_ok=True)
    (folder / "metadata.json").write_text("{")
    note_due(Layout(api.root.root), ["llm/llama/a", "../..", "llm/none/b"])
    assert api.make_due_digests().result() == 0
    (folder / "metadata.json").write_text(whole)
    assert api.make_due_digests().result() == 1
    assert api.make_due_digests() is None
    files = json.loads((folder / "metadata.json").read_text())["files"]
    assert files[:3] == [odd, 1, {"name": [1]}]
    assert files[3]["sha256"] == hashlib.sha256(gguf()).hexdigest()


@needs_mount
def test_a_full_drive_costs_nothing(tmp_path, source):
    path = source / "a.gguf"
    path.write_bytes(gguf(size=20_000_000))
    with mounted_drive(tmp_path / "root", "size=16m") as root, PumasApi(root) as api:
        for mode in ("copy", "move"):
            result = import_one(api, path, mode=mode)
            assert result.error_kind == "no_space"
            assert "free some space" in result.error
        assert_untouched(api, path, path.read_bytes())
        small = source / "small.gguf"
        small.write_bytes(gguf(1, 1_000_000))
        fill_drive(root / "filler")
        assert import_one_or_job(api, small) == "no_space"
        (root / "filler").unlink()
        assert import_one(api, small, mode="move").error is None


def import_one_or_job(api, path):
    """The kind of the error, be it of the model or of the whole job: the journal may find no room."""
    try:
        return str(import_one(api, path, mode="move").error_kind)
    except (NoSpace, Unavailable) as exc:
        return exc.kind


@needs_mount
def test_a_read_only_library_or_source_costs_nothing(tmp_path):
    with mounted_drive(tmp_path / "root") as root, mounted_drive(tmp_path / "in") as source:
        path = source / "a.gguf"
        path.write_bytes(gguf())
        PumasApi(root).close()
        remount(root, "ro")
        with PumasApi(root) as api:
            assert import_one_or_job(api, path) == "unavailable"
        remount(root, "rw")
        remount(source, "ro")
        with PumasApi(root) as api:
            result = import_one(api, path, mode="move")
            assert "nothing can be moved out of it; choose the mode `copy`" in result.error
            assert_untouched(api, path, gguf())
            assert import_one(api, path).error is None


_IMPORT_ONE = """
import sys
from pumas import PumasApi
with PumasApi(sys.argv[1]) as api:
    (result,) = api.import_model(sys.argv[2], official_name="One Name", mode="move").result().results
    print(result.model_id or result.error)
"""


def test_eight_processes_that_import_one_name_make_eight_models(library, source):
    PumasApi(library.parents[1]).close()
    paths = [source / f"{number}.gguf" for number in range(8)]
    for number, path in enumerate(paths):
        path.write_bytes(gguf(number))
    command = [sys.executable, "-c", _IMPORT_ONE, str(library.parents[1])]
    running = [subprocess.Popen([*command, str(path)], stdout=subprocess.PIPE, text=True) for path in paths]
    ids = {process.communicate()[0].strip() for process in running}
    assert ids == {"llm/llama/OneName", *(f"llm/llama/OneName-{number}" for number in range(2, 9))}
    found = {next((library / model_id).glob("*.gguf")).read_bytes() for model_id in ids}
    assert found == {gguf(number) for number in range(8)}
    for model_id in ids:
        assert json.loads((library / model_id / "metadata.json").read_text())["model_id"] == model_id.rpartition("/")[2]
    with PumasApi(library.parents[1]) as api:
        api.refresh_models().result()
        assert {model.model_id for model in api.list_models()} == ids
    assert left_over(library) == []
