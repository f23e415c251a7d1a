"""Removing a model, and bringing it back: whatever lies in its folder is there again, nothing else is touched."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.drives import can_mount, fill_drive, mounted_drive, remount
from support.roots import write_model

from pumas import PumasApi
from pumas.api.examine import examine_root
from pumas.config import Config
from pumas.errors import Conflict, Damaged, ModelNotFound, NoSpace, NotFound, Unavailable
from pumas.library.trash_entries import trash_of
from pumas.store.paths import Layout


@pytest.fixture
def api(library):
    write_model(library, "llm/f/A", official_name="Model A", description="words of a")
    write_model(library, "llm/f/B")
    with PumasApi(library.parents[1], config=Config()) as api:
        api.refresh_models().result(30)
        yield api


def _state(folder):
    """Kind, time and content of all below a folder."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.lstat().st_ino,
            path.lstat().st_mtime_ns if not path.is_dir() else 0,
            os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None,
        )
        for path in sorted(folder.rglob("*"))
    }


def _ids(api) -> list[str]:
    return [model.model_id for model in api.list_models()]


def _remove(api, model_id="llm/f/A"):
    return api.delete_model(model_id).result(30)


def test_a_removed_model_lies_in_the_trash_and_comes_back_as_it_was(api, library):
    folder = library / "llm/f/A"
    (folder / "unet").mkdir()
    (folder / "unet/metadata.json").write_text("{}")
    (folder / "to nothing").symlink_to("/nowhere/at/all")
    (folder / "to a folder").symlink_to(library / "llm/f/B")
    (folder / os.fsdecode(b"b\xffd \n\x1b[2J")).write_bytes(b"odd")
    (folder / ("n" * 255)).write_bytes(b"long")
    before, other = _state(folder), _state(library / "llm/f/B")
    trashed = _remove(api)
    assert (trashed.model_id, trashed.official_name, trashed.file_count) == ("llm/f/A", "Model A", 7)
    assert not folder.exists()
    assert _ids(api) == ["llm/f/B"]
    assert api.search_models_fts("words").total_count == 0
    assert api.list_trash() == [trashed]
    documents = sorted(path.name for path in trash_of(library).rglob("*metadata.json*"))
    assert documents == ["metadata.json.trashed"] * 2
    restored = api.restore_from_trash(trashed.entry_id).result(30)
    assert restored == trashed
    assert _state(folder) == before
    assert _state(library / "llm/f/B") == other
    assert _ids(api) == ["llm/f/A", "llm/f/B"]
    assert api.search_models_fts("words").total_count == 1
    assert api.list_trash() == []
    assert list(trash_of(library).iterdir()) == []


def test_emptying_deletes_what_was_named_and_follows_no_link(api, library, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    (library / "llm/f/A/link").symlink_to(outside)
    one, other = _remove(api), _remove(api, "llm/f/B")
    report = api.empty_trash([one.entry_id, one.entry_id]).result(30)
    assert (report.deleted, report.size_bytes, report.problems) == ((one,), one.size_bytes, ())
    assert api.list_trash() == [other]
    assert (outside / "kept").read_bytes() == b"kept"
    report = api.empty_trash([one.entry_id, "../../..", other.entry_id]).result(30)
    assert report.deleted == (other,)
    assert len(report.problems) == 2
    assert api.empty_trash().result(30).deleted == ()
    with pytest.raises(NotFound):
        api.restore_from_trash(other.entry_id).result(30)


@pytest.mark.parametrize(
    "model_id",
    ["nope", "", ".", "..", "../..", "/etc", "llm", "llm/f", "llm/f/A/../A", "llm//f/A", "./llm/f/A", "llm/f/A/",
     "a\0b", ".downloads/x", "llm/f/A/inner",
     "llm/linked", "x" * 5000, "\udcff", "llm/f/" + "x" * 300],
)  # fmt: skip
def test_what_is_no_model_is_not_found(api, library, model_id, tmp_path):
    write_model(library, ".downloads/x")
    write_model(library, "llm/f/A/inner")
    (library / "llm/linked").symlink_to(write_model(tmp_path, "outside"))
    before = _state(library / "llm")
    with pytest.raises(ModelNotFound):
        api.plan_removal(model_id)
    with pytest.raises(ModelNotFound):
        _remove(api, model_id)
    assert _state(library / "llm") == before
    assert api.list_trash() == []


def test_a_restored_model_never_lies_over_something(api, library, tmp_path):
    trashed = _remove(api)
    folder = library / "llm/f/A"
    for make in (
        lambda: folder.write_bytes(b"a file"),
        lambda: folder.symlink_to("/nowhere"),
        folder.mkdir,
        lambda: write_model(library, "llm/f/A"),
    ):
        make()
        before = _state(library / "llm")
        with pytest.raises(Conflict, match=r"already|a link lies on the way"):
            api.restore_from_trash(trashed.entry_id).result(30)
        assert _state(library / "llm") == before
        assert api.list_trash() == [trashed]
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    (library / "llm/f/metadata.json").write_text('{"official_name": "F"}')
    with pytest.raises(Conflict, match="inside another model"):
        api.restore_from_trash(trashed.entry_id).result(30)
    (library / "llm/f/metadata.json").unlink()
    (library / "llm").rename(tmp_path / "llm")
    (library / "llm").symlink_to(tmp_path / "llm")
    with pytest.raises(Conflict, match="link"):
        api.restore_from_trash(trashed.entry_id).result(30)
    (library / "llm").unlink()
    api.restore_from_trash(trashed.entry_id).result(30)
    assert _ids(api) == ["llm/f/A"]


def test_odd_things_in_the_folder_move_along(api, library):
    folder = library / "llm/f/A"
    os.mkfifo(folder / "fifo")
    os.mknod(folder / "s", stat.S_IFSOCK | 0o600)
    (folder / "metadata.json.bak").write_text("{}")
    plan = api.plan_removal("llm/f/A")
    assert {file.path for file in plan.files} == {"A.gguf", "fifo", "s", "metadata.json", "metadata.json.bak"}
    trashed = _remove(api)
    api.empty_trash([trashed.entry_id]).result(30)
    assert list(trash_of(library).iterdir()) == []


def test_the_plan_tells_files_bytes_and_other_names(api, library, tmp_path):
    os.link(library / "llm/f/A/A.gguf", tmp_path / "other name")
    (library / "llm/f/A/parts").mkdir()
    (library / "llm/f/A/parts/1").write_bytes(b"x" * 1000)
    before = _state(library)
    plan = api.plan_removal("llm/f/A")
    document = library / "llm/f/A/metadata.json"
    assert [(file.path, file.size_bytes, file.is_shared) for file in plan.files] == [
        ("A.gguf", 4, True),
        ("metadata.json", document.stat().st_size, False),
        ("parts/1", 1000, False),
    ]
    assert plan.size_bytes == 1004 + document.stat().st_size
    assert (plan.links, plan.refusal) == ((), None)
    assert _state(library) == before


def test_a_model_with_a_damaged_document_can_be_removed_and_restored(api, library):
    (library / "llm/f/A/metadata.json").write_bytes(b"{")
    trashed = _remove(api)
    assert trashed.official_name == "A"
    api.restore_from_trash(trashed.entry_id).result(30)
    assert (library / "llm/f/A/metadata.json").read_bytes() == b"{"


def test_a_damaged_document_does_not_take_the_models_below_it_along(api, library):
    write_model(library, "llm/f/A/inner")
    (library / "llm/f/A/metadata.json").write_bytes(b"{")
    with pytest.raises(Conflict, match="another model lies in its folder"):
        _remove(api)
    assert _remove(api, "llm/f/A/inner").model_id == "llm/f/A/inner"


def test_the_name_that_the_trash_needs_is_never_overwritten(api, library):
    below = library / "llm/f/A" / os.fsdecode(b"b\xff")
    below.mkdir()
    (below / "metadata.json.trashed").write_text("mine")
    with pytest.raises(Conflict, match=r"b\\xff, a name that .* rename it"):
        _remove(api)
    assert (below / "metadata.json.trashed").read_text() == "mine"


@pytest.mark.parametrize("linked", [".pumas/trash", ".pumas"])
def test_a_trash_that_is_a_link_is_not_used(library, tmp_path, linked):
    write_model(library, "llm/f/A")
    (tmp_path / "elsewhere" / "trash").mkdir(parents=True)
    (library / linked).parent.mkdir(exist_ok=True)
    (library / linked).symlink_to(tmp_path / "elsewhere")
    with PumasApi(library.parents[1], config=Config()) as api:
        with pytest.raises(Unavailable, match="is a link"):
            _remove(api)
        assert api.list_trash() == []
    assert (library / "llm/f/A/A.gguf").exists()
    assert list((tmp_path / "elsewhere" / "trash").iterdir()) == []


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{",
        b"[]",
        b'{"model_id": 5}',
        None,
        b'{"model_id": "../../../etc", "official_name": "", "removed_at": "", "size_bytes": 0, "file_count": 0}',
    ],
)
def test_a_damaged_manifest_is_told_and_leads_nowhere(api, library, manifest):
    trashed = _remove(api)
    path = trash_of(library) / trashed.entry_id / "manifest.json"
    path.unlink() if manifest is None else path.write_bytes(manifest)
    (entry,) = api.list_trash()
    assert entry.entry_id == trashed.entry_id
    with pytest.raises((Damaged, Conflict)):
        api.restore_from_trash(entry.entry_id).result(30)
    assert (trash_of(library) / entry.entry_id / "model" / "A.gguf").exists()
    if entry.problem is not None:
        assert [one.kind for one in examine_root(Layout(library.parents[1]), Config())] == ["trash_damaged"]
    assert api.empty_trash([entry.entry_id]).result(30).problems == ()
    assert api.list_trash() == []


@pytest.mark.parametrize("what", ["model", "."])
def test_links_in_the_trash_are_not_followed(api, library, tmp_path, what):
    trashed = _remove(api)
    entry = trash_of(library) / trashed.entry_id
    linked = entry / what
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    before = _state(tmp_path / "elsewhere")
    with pytest.raises((Damaged, NotFound)):
        api.restore_from_trash(trashed.entry_id).result(30)
    api.empty_trash([trashed.entry_id]).result(30)
    assert _state(tmp_path / "elsewhere") == before
    assert _ids(api) == ["llm/f/B"]


def test_an_entry_whose_folder_is_gone_is_told(api, library):
    trashed = _remove(api)
    shutil.rmtree(trash_of(library) / trashed.entry_id / "model")
    (entry,) = api.list_trash()
    assert entry.problem == "The model's folder is gone"
    with pytest.raises(Damaged):
        api.restore_from_trash(entry.entry_id).result(30)
    assert api.list_trash() == [entry]


def test_what_is_no_entry_is_left_alone(api, library):
    _remove(api)
    trash = trash_of(library)
    (trash / "notes").mkdir()
    (trash / "notes.removing").mkdir()
    (trash / "20260115T123456789012Z.mine").write_text("x")
    assert len(api.list_trash()) == 1
    api.empty_trash().result(30)
    assert sorted(path.name for path in trash.iterdir()) == ["20260115T123456789012Z.mine", "notes", "notes.removing"]


def test_links_that_lead_to_a_model_go_before_it(fixture_root):
    library = fixture_root / "shared-resources/models"
    with PumasApi(fixture_root, config=Config()) as api:
        plan = api.plan_removal("diffusion/sdxl/SDXLBase10")
        assert [(link.app_id, link.app_version) for link in plan.links] == [("comfyui", "0.6.0")] * 2 + [
            ("comfyui", "0.5.1")
        ] * 2
        assert plan.refusal is None
        targets = [Path(link.target_path) for link in plan.links]
        assert all(target.is_symlink() for target in targets)
        other = targets[0].with_name("DreamShaper_8_pruned.safetensors")
        _remove(api, "diffusion/sdxl/SDXLBase10")
        assert not any(target.is_symlink() for target in targets)
        assert other.is_symlink()
        assert api.get_links_for_model("diffusion/sdxl/SDXLBase10") == []
        assert not (library / "diffusion/sdxl/SDXLBase10").exists()


def test_links_stay_when_the_model_cant_be_removed(fixture_root):
    folder = fixture_root / "shared-resources/models/diffusion/sdxl/SDXLBase10"
    (folder / "metadata.json.trashed").write_text("in the way")
    with PumasApi(fixture_root, config=Config()) as api:
        with pytest.raises(Conflict, match=r"metadata\.json\.trashed"):
            _remove(api, "diffusion/sdxl/SDXLBase10")
        links = api.get_links_for_model("diffusion/sdxl/SDXLBase10")
    assert len(links) == 4
    assert all(Path(link.target_path).is_symlink() for link in links)


def test_links_come_back_when_the_trash_cant_take_the_model(fixture_root, tmp_path):
    library = fixture_root / "shared-resources/models"
    (library / ".pumas").mkdir(exist_ok=True)
    (library / ".pumas/trash").symlink_to(tmp_path)
    with PumasApi(fixture_root, config=Config()) as api:
        links = api.get_links_for_model("diffusion/sdxl/SDXLBase10")
        with pytest.raises(Unavailable, match="is a link"):
            _remove(api, "diffusion/sdxl/SDXLBase10")
        assert len(links) == 4
        assert all(Path(link.target_path).exists() for link in links)
        assert api.get_links_for_model("diffusion/sdxl/SDXLBase10") == links
        (library / ".pumas/trash").unlink()
        _remove(api, "diffusion/sdxl/SDXLBase10")
        assert not any(os.path.lexists(link.target_path) for link in links)
        assert not api.get_link_health("v0.6.0").result(30).orphans


def test_a_file_in_the_place_of_a_link_survives_the_removal_of_its_model(fixture_root):
    with PumasApi(fixture_root, config=Config()) as api:
        target = Path(api.plan_removal("diffusion/sdxl/SDXLBase10").links[0].target_path)
        target.unlink()
        target.write_text("of the user")
        _remove(api, "diffusion/sdxl/SDXLBase10")
        assert api.get_links_for_model("diffusion/sdxl/SDXLBase10") == []
    assert target.read_text() == "of the user"


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_register_of_links_that_cant_be_read_refuses_too(api, library, content):
    (library / "link_registry.db").write_bytes(content)
    with pytest.raises(Unavailable, match="register of links"):
        _remove(api)
    assert (library / "llm/f/A/A.gguf").exists()
    (library / "link_registry.db").write_bytes(b"")  # SQLite's own empty database
    _remove(api)


def test_of_two_who_remove_or_restore_one_model_one_does(library):
    for n in range(8):
        write_model(library, f"llm/f/M{n}")
    root = library.parents[1]
    with PumasApi(root, config=Config()) as one, PumasApi(root, config=Config()) as two:
        for n in range(8):
            assert sorted(_at_once(one, two, lambda api, n=n: api.delete_model(f"llm/f/M{n}"))) == [
                "ModelNotFound", "TrashedModel"
            ]  # fmt: skip
        entries = [entry.entry_id for entry in one.list_trash()]
        assert len(entries) == 8
        for entry in entries[:4]:
            outcome = sorted(_at_once(one, two, lambda api, entry=entry: api.restore_from_trash(entry)))
            assert outcome in (["NotFound", "TrashedModel"], ["Conflict", "TrashedModel"])
        for entry in entries[4:]:
            reports = [api.empty_trash([entry]) for api in (one, two)]
            assert sorted(len(report.result(30).deleted) for report in reports) == [0, 1]
        assert len(list(library.glob("llm/f/*/M*.gguf"))) == 4
        assert one.list_trash() == []


def _at_once(one, two, begin) -> list[str]:
    barrier = threading.Barrier(2)
    outcomes = []

    def work(api) -> None:
        barrier.wait()
        try:
            outcomes.append(type(begin(api).result(30)).__name__)
        except (NotFound, Conflict) as exc:
            outcomes.append(type(exc).__name__)

    threads = [threading.Thread(target=work, args=(api,)) for api in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


@pytest.mark.skipif(not can_mount(), reason="needs permission to mount")
def test_nothing_mounted_is_moved_or_deleted(api, library, tmp_path):
    folder = library / "llm/f/A"
    inside = folder / "drive"
    with mounted_drive(inside):
        (inside / "precious").write_bytes(b"kept")
        assert "mounted" in (api.plan_removal("llm/f/A").refusal or "")
        with pytest.raises(Conflict, match="mounted"):
            _remove(api)
    inside.rmdir()
    (tmp_path / "bound").mkdir()
    (tmp_path / "bound/precious").write_bytes(b"kept")
    inside.mkdir()
    subprocess.run(["mount", "--bind", tmp_path / "bound", inside], check=True)
    try:  # the same drive: only the system's list of mounts tells
        with pytest.raises(Conflict, match="mounted"):
            _remove(api)
    finally:
        subprocess.run(["umount", inside], check=True)
    trashed = _remove(api)
    entry = trash_of(library) / trashed.entry_id / "model" / "drive"
    subprocess.run(["mount", "--bind", tmp_path / "bound", entry], check=True)
    try:
        (problem,) = api.empty_trash().result(30).problems
        assert "mounted" in problem
    finally:
        subprocess.run(["umount", entry], check=True)
    assert (tmp_path / "bound/precious").read_bytes() == b"kept"
    assert api.list_trash() == [trashed]


@pytest.mark.skipif(not can_mount(), reason="needs permission to mount")
def test_a_model_on_another_drive_stays(api, library):
    (library / "audio").mkdir()
    with mounted_drive(library / "audio"):
        write_model(library, "audio/f/C")
        assert "another drive" in (api.plan_removal("audio/f/C").refusal or "")
        with pytest.raises(Conflict, match="another drive"):
            _remove(api, "audio/f/C")
        assert (library / "audio/f/C/C.gguf").exists()


@pytest.mark.skipif(not can_mount(), reason="needs permission to mount")
def test_a_full_drive_and_a_read_only_one_change_nothing(tmp_path):
    root = tmp_path / "root"
    with mounted_drive(root, "size=8m"):
        library = root / "shared-resources/models"
        write_model(library, "llm/f/A")
        write_model(library, "llm/f/B")
        with PumasApi(root, config=Config()) as api:
            api.refresh_models().result(30)
            trashed = _remove(api, "llm/f/B")
            before = _state(library / "llm")
            fill_drive(root / "filler")
            with pytest.raises(NoSpace):
                _remove(api)
            assert _state(library / "llm") == before
            assert api.list_trash() == [trashed]
            assert api.empty_trash().result(30).deleted == (trashed,), "a full drive can be freed"
            (root / "filler").unlink()
            trashed = _remove(api)
        remount(root, "ro")
        with PumasApi(root, config=Config()) as api:
            assert api.list_trash() == [trashed]
            with pytest.raises(Unavailable):
                api.restore_from_trash(trashed.entry_id).result(30)
            assert api.empty_trash().result(30).problems
            assert api.list_trash() == [trashed]
        remount(root, "rw")
        with PumasApi(root, config=Config()) as api:
            api.restore_from_trash(trashed.entry_id).result(30)
            assert _state(library / "llm")["f/A/A.gguf"][3] == b"GGUF"


def _pumas(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "pumas", *arguments], capture_output=True, text=True, timeout=60, check=False, **options
    )


def test_the_commands(library):
    write_model(library, "llm/f/A")
    root = ("--root", str(library.parents[1]))
    plan = _pumas("remove", "llm/f/A", "--dry-run", *root)
    assert plan.returncode == 0
    assert "  A.gguf (4 B)\n" in plan.stdout
    assert (library / "llm/f/A").exists()
    moved = json.loads(_pumas("remove", "llm/f/A", "--json", *root).stdout)
    assert moved["model_id"] == "llm/f/A"
    again = _pumas("remove", "llm/f/A", *root)
    assert (again.returncode, again.stdout) == (3, "")
    assert "There is no model llm/f/A" in again.stderr
    listed = _pumas("trash", "list", *root)
    assert moved["entry_id"] in listed.stdout
    unsure = _pumas("trash", "empty", *root, stdin=subprocess.DEVNULL)
    assert unsure.returncode == 2
    assert "llm/f/A" in unsure.stderr
    assert "nothing was deleted" in unsure.stderr
    restored = _pumas("trash", "restore", moved["entry_id"], *root)
    assert restored.stdout.startswith("Restored: llm/f/A")
    assert "llm/f/A" in _pumas("list", *root).stdout
    moved = json.loads(_pumas("remove", "llm/f/A", "--json", *root).stdout)
    assert _pumas("trash", "empty", "x", "--yes", *root).returncode == 2
    emptied = _pumas("trash", "empty", moved["entry_id"], "--yes", *root)
    assert emptied.stdout.startswith("Deleted 1 model")
    assert not list(library.rglob("A.gguf"))


def test_on_a_terminal_it_asks(library):
    write_model(library, "llm/f/A")
    root = ("--root", str(library.parents[1]))
    assert _pumas("remove", "llm/f/A", *root).returncode == 0
    for answer, code, left in ((b"n\n", 1, 1), (b"\x04", 1, 1), (b"y\n", 0, 0)):
        terminal, keyboard = os.openpty()
        try:
            os.write(terminal, answer)
            emptied = _pumas("trash", "empty", *root, stdin=keyboard)
        finally:
            os.close(terminal)
            os.close(keyboard)
        assert (emptied.returncode, len(list(library.rglob("A.gguf")))) == (code, left)
        assert ("Nothing was deleted" in emptied.stderr) is bool(left)


def test_the_methods(serve, library):
    write_model(library, "llm/f/A")
    client = serve(library.parents[1])
    assert list(client.call("get_models")["models"]) == ["llm/f/A"]
    plan = client.call("plan_removal", {"model_id": "llm/f/A"})
    assert [file["path"] for file in plan["files"]] == ["A.gguf", "metadata.json"]
    moved = client.call("delete_model", {"model_id": "llm/f/A"})["model"]
    assert client.call("delete_model", {"model_id": "llm/f/A"}) == {"success": False, "error": "Model not found"}
    assert client.call("get_library_status")["model_count"] == 0
    assert client.call("list_trash")["models"] == [moved]
    assert client.call("restore_from_trash", {"entry_id": moved["entry_id"]})["success"] is True
    assert client.call("get_library_status")["model_count"] == 1
    moved = client.call("delete_model", {"model_id": "llm/f/A"})["model"]
    assert client.call("empty_trash", {"entry_ids": []})["deleted"] == []
    assert client.call("empty_trash", {"entry_ids": [moved["entry_id"]]})["deleted"] == [moved]
    answer = client.call("empty_trash", {"entry_ids": [moved["entry_id"]]})
    assert answer["success"] is False
    assert answer["errors"] == [answer["error"]]
