"""Real damage done to real roots: what is found, what is repaired, and that looking changes nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.drives import can_mount, mounted_drive, remount
from support.health import INDEX, MODELS, dead_process, edit_index, found, models_db, quarantined, repaired, snapshot
from support.roots import write_model

from pumas import PumasApi
from pumas.api.examine import examine_root
from pumas.api.repair import repair_root
from pumas.config import Config
from pumas.errors import UnusableRoot
from pumas.store.cache_health import examined_alone
from pumas.store.health import examine_space
from pumas.store.paths import Layout
from pumas.store.removal import LOG, Removal


def test_a_healthy_root_has_no_findings(root):
    assert found(root) == []


def test_the_recorded_root_of_the_original(fixture_root):
    assert found(fixture_root) == [("index_foreign", INDEX)]
    assert {one.severity for one in examine_root(Layout(fixture_root), Config())} == {"note"}
    repaired(fixture_root)
    assert found(fixture_root) == []


def test_a_root_that_is_not_there(tmp_path):
    with pytest.raises(UnusableRoot, match="no launcher root"):
        examine_root(Layout(tmp_path / "nowhere"), Config())
    assert not (tmp_path / "nowhere").exists()


# --- the index


def test_an_index_on_a_read_only_drive_is_not_said_to_be_repaired(root, tmp_path):
    if not can_mount():
        pytest.skip("needs permission to mount")
    edit_index(root, "DELETE FROM models WHERE id = 'llm/llama/one'")
    with mounted_drive(tmp_path / "mounted") as drive:
        shutil.copytree(root, drive / "root", symlinks=True)
        remount(drive, "ro")
        [repair] = repaired(drive / "root")
    assert (repair.kind, repair.is_done) == ("index_behind", False)
    assert "no permission" in repair.told


def damage_header(path):
    path.write_bytes(b"x" * 100 + path.read_bytes()[100:])


def damage_pages(path):
    data = bytearray(path.read_bytes())
    data[4096 * 2 : 4096 * 4] = bytes(range(256)) * 32
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:5000])


def other_columns(path):
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP TABLE models; CREATE TABLE models (x)")


def make_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [damage_header, damage_pages, cut, other_columns, make_folder])
def test_a_damaged_index_is_made_again(root, damage):
    damage(models_db(root))
    [finding] = [one for one in examine_root(Layout(root), Config()) if one.severity == "problem"]
    assert (finding.kind, finding.path) == ("index_damaged", models_db(root))

    def rebuild():
        with PumasApi(root, config=Config()) as opened:
            return opened.rebuild_index().result()

    [repair] = repair_root(Layout(root), [finding], rebuild)
    assert repair.is_done
    assert repair.moved_to is not None
    assert repair.moved_to.parts[-3:] == ("shared-resources", "models", "models.db")
    assert found(root) == []


def test_a_damaged_index_of_an_open_root(root):
    with PumasApi(root, config=Config()) as api:
        assert len(api.list_models()) == 3
        damage_header(models_db(root))
        repairs = api.repair()
        assert [(one.kind, one.is_done) for one in repairs] == [("index_damaged", True)]
        assert len(api.list_models()) == 3
    assert found(root) == []


@pytest.mark.parametrize(
    ("kind", "statement"),
    [
        ("index_behind", "DELETE FROM models WHERE id = 'llm/llama/one'"),
        ("index_behind", "UPDATE models SET tags_json = '[]' WHERE id = 'llm/llama/one'"),
        ("index_search", "DROP TRIGGER model_search_au"),
        ("index_search", "DROP TABLE model_search"),
        ("index_search", "DELETE FROM model_search WHERE rowid = 1"),
        ("index_search", "UPDATE model_search SET rowid = 77 WHERE rowid = 1"),
        ("index_search", "UPDATE model_search SET official_name = 'other' WHERE rowid = 1"),
        ("index_missing", "DROP TABLE models"),
    ],
)
def test_an_index_that_is_not_in_line(root, kind, statement):
    edit_index(root, statement)
    assert kind in [one for one, _ in found(root)]
    assert all(one.is_done for one in repaired(root))
    assert found(root) == []


def test_foreign_triggers_are_noted_and_replaced(root):
    edit_index(
        root,
        "DROP TRIGGER model_search_ad",
        "CREATE TRIGGER model_search_ad AFTER DELETE ON models BEGIN DELETE FROM model_search WHERE id = old.id; END",
    )
    [finding] = examine_root(Layout(root), Config())
    assert (finding.kind, finding.severity) == ("index_foreign", "note")
    assert [one.is_done for one in repaired(root)] == [True]
    assert found(root) == []


def test_models_that_came_changed_and_went(root, library):
    write_model(library, "llm/llama/four")
    write_model(library, "llm/llama/two", official_name="Two")
    shutil.rmtree(library / "llm/llama/three")
    [finding] = examine_root(Layout(root), Config())
    assert "1 models are new, 1 have changed, 1 are gone" in finding.what
    assert [one.kind for one in repaired(root)] == ["index_behind"]
    assert found(root) == []


def test_a_missing_index_is_made(root):
    models_db(root).unlink()
    assert found(root) == [("index_missing", INDEX)]
    with PumasApi(root, config=Config()) as api:
        api.repair()
    assert found(root) == []


def test_an_empty_root_needs_no_index(tmp_path):
    (tmp_path / "new").mkdir()
    assert {kind for kind, _ in found(tmp_path / "new")} == {"folder_missing"}


def killed_writer(root):
    """A process that wrote to the index and was killed before it closed it."""
    script = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1]); "
        "db.execute(\"DELETE FROM models WHERE id = 'llm/llama/one'\"); db.commit(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(models_db(root))], check=False)
    assert Path(f"{models_db(root)}-wal").stat().st_size


@pytest.mark.parametrize("is_copied", [False, True], ids=["killed", "copied"])
def test_what_stands_in_the_log_of_the_index_counts(root, library, is_copied):
    killed_writer(root)
    if is_copied:
        Path(f"{models_db(root)}-shm").unlink()
    before = {path.name: path.read_bytes() for path in library.glob("models.db*") if path.suffix != ".db-shm"}
    names = sorted(os.listdir(library))
    assert found(root) == [("index_behind", INDEX)]
    assert {path.name: path.read_bytes() for path in library.glob("models.db*") if path.suffix != ".db-shm"} == before
    assert sorted(os.listdir(library)) == names


def test_an_index_that_another_process_writes(root):
    with closing(sqlite3.connect(models_db(root))) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM models")
        assert found(root) == []  # what it has not committed is not there


# --- the register of links


def test_a_damaged_registry_is_told_and_never_touched(fixture_root):
    path = fixture_root / MODELS / "link_registry.db"
    damage_header(path)
    data = path.read_bytes()
    [finding] = [one for one in examine_root(Layout(fixture_root), Config()) if one.kind == "registry_damaged"]
    assert (finding.severity, finding.is_repairable) == ("problem", False)
    assert "can't be made again" in finding.remedy
    repaired(fixture_root)
    assert path.read_bytes() == data
    assert "registry_damaged" in [kind for kind, _ in found(fixture_root)]


# --- the cache


def flip_pages(folder):
    data = bytearray((folder / "data.mdb").read_bytes())
    data[8192:] = bytes(255 - byte for byte in data[8192:])
    (folder / "data.mdb").write_bytes(data)


def cut_cache(folder):
    os.truncate(folder / "data.mdb", 5000)


def zero_cache(folder):
    (folder / "data.mdb").write_bytes(bytes(20_000))


def replace_by_file(folder):
    shutil.rmtree(folder)
    folder.write_text("no folder")


@pytest.mark.parametrize("damage", [flip_pages, cut_cache, zero_cache, replace_by_file])
def test_a_damaged_cache_is_moved_away(root, library, damage):
    folder = library / ".pumas" / "cache"
    damage(folder)
    [finding] = examine_root(Layout(root), Config())
    assert (finding.kind, finding.path) == ("cache_damaged", folder)
    [repair] = repair_root(Layout(root), [finding], lambda: pytest.fail("no index was wrong"))
    assert repair.is_done
    assert quarantined(root)
    assert found(root) == []


def test_a_cache_in_use_is_left_alone(root, library):
    folder = library / ".pumas" / "cache"
    zero_cache(folder)
    findings = examine_root(Layout(root), Config())
    with examined_alone(folder) as is_alone:
        assert is_alone
        [repair] = repair_root(Layout(root), findings, lambda: pytest.fail("no index was wrong"))
    assert not repair.is_done
    assert "has the cache open" in repair.told
    assert not quarantined(root)


# --- folders, leftovers, space


def test_missing_folders_are_made(root):
    (root / "launcher-data" / "logs").rmdir()
    assert found(root) == [("folder_missing", "launcher-data/logs")]
    findings = examine_root(Layout(root), Config())
    assert [one.is_done for one in repair_root(Layout(root), findings, lambda: pytest.fail("no"))] == [True]
    assert found(root) == []


def test_a_file_in_the_place_of_a_folder(root):
    (root / "launcher-data" / "icons").rmdir()
    (root / "launcher-data" / "icons").write_text("")
    [finding] = examine_root(Layout(root), Config())
    assert (finding.kind, finding.is_repairable) == ("folder_blocked", False)


def test_leftovers_of_dead_processes_go_to_the_quarantine(root, library):
    model, data = library / "llm/llama/one", root / "launcher-data" / "metadata"
    dead = dead_process()
    names = [f"metadata.json.{dead}.1.tmp", f"metadata.json.bak.{dead}.1.tmp", f"overrides.json.{dead}.2.tmp"]
    left = [*(model / name for name in names), data / f"versions.json.{dead}.7.tmp"]
    mine = data / f"models.json.{os.getpid()}.7.tmp"
    kept = [data / f"versions.json.{os.getppid()}.7.tmp", model / f"config.json.{dead}.1.tmp", model / "weights.tmp"]
    for path in (*left, *kept, mine):
        path.write_bytes(path.name.encode())
    assert {one.path for one in examine_root(Layout(root), Config())} == set(left)
    an_hour_ago = time.time() - 3600
    os.utime(mine, (an_hour_ago, an_hour_ago))
    repairs = repaired(root)
    assert {one.path for one in repairs} == {*left, mine}
    for repair in repairs:
        assert repair.moved_to is not None
        assert repair.moved_to.read_bytes() == repair.path.name.encode()
        assert not repair.path.exists()
    assert all(path.exists() for path in kept)
    assert found(root) == []
    lines = (root / "launcher-data" / "quarantine" / LOG).read_text().splitlines()
    assert [line.split("\t")[1:3] for line in lines] == [[str(one.path), str(one.moved_to)] for one in repairs]


def test_leftovers_beside_a_damaged_document_are_not_deleted(root):
    path = root / "launcher-data" / "metadata" / "versions.json"
    path.write_bytes(b"{")
    left = path.with_name(f"versions.json.{dead_process()}.7.tmp")
    left.write_bytes(b"left")
    assert len(repaired(root)) == 2
    assert [name.partition(".damaged-")[0] for name in quarantined(root)] == [left.name, "versions.json"]
    assert found(root) == []


def test_what_is_only_noted(root, library, scratch):
    (library / "llm/llama/.tmp_import_four").mkdir()
    (library / "models.db.damaged-20260115T123456789012Z").write_text("")
    (root / "launcher-data/metadata/versions.json.damaged-20260115T123456789012Z").write_text("")
    for name in ("pumas-index-old", "pumas-index-new"):
        (scratch / name).mkdir()
    os.utime(scratch / "pumas-index-old", (0, 0))
    findings = examine_root(Layout(root), Config())
    assert sorted(one.kind for one in findings) == ["import_left", "scratch_left", "set_aside", "set_aside"]
    assert {one.severity for one in findings} == {"note"}
    before = snapshot(root / "launcher-data")
    assert repaired(root) == ()
    assert snapshot(root / "launcher-data") == before


def test_little_space(root):
    [finding] = examine_space(Layout(root), wanted_bytes=1 << 60)
    assert (finding.kind, finding.severity, finding.path) == ("space_low", "problem", root)
    assert list(examine_space(Layout(root), wanted_bytes=0)) == []


# --- nothing is written


def damage_everything(root, library):
    damage_header(models_db(root))
    zero_cache(library / ".pumas" / "cache")
    (library / "llm/llama/one/metadata.json").write_bytes(b"")
    (library / "llm/llama/two/overrides.json").write_bytes(b"")
    (root / "launcher-data/metadata/versions.json").write_bytes(b"{")
    (root / f"launcher-data/metadata/versions.json.{dead_process()}.7.tmp").write_bytes(b"")
    (root / "launcher-data/logs").rmdir()


def test_examining_changes_nothing(root, library, tmp_path):
    damage_everything(root, library)
    before = snapshot(tmp_path)
    findings = examine_root(Layout(root), Config())
    assert len(findings) == 7
    assert [one.severity for one in findings] == ["problem"] * 5 + ["note"] * 2
    assert snapshot(tmp_path) == before
    home = Path(os.environ["HOME"])
    assert not list(home.iterdir())


@pytest.fixture
def nobody(root):
    """The same root where only others may write; as an ordinary user."""
    if os.geteuid() != 0:
        pytest.skip("needs permission to be another user; needs permission to mount")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        target = Path(folder) / "root"
        shutil.copytree(root, target, symlinks=True)
        yield target


def as_nobody(work):
    os.seteuid(65534)
    try:
        return work()
    finally:
        os.seteuid(0)


def test_a_root_that_may_only_be_read(nobody):
    found(nobody)  # modules are loaded
    assert as_nobody(lambda: found(nobody)) == []
    document = nobody / "launcher-data/metadata/versions.json"
    document.write_bytes(b"{")
    findings = as_nobody(lambda: examine_root(Layout(nobody), Config()))
    assert [one.kind for one in findings] == ["document_damaged"]
    [repair] = as_nobody(lambda: repair_root(Layout(nobody), findings, lambda: pytest.fail("no index was wrong")))
    assert not repair.is_done
    assert "no permission" in repair.told


def test_what_may_not_be_read_at_all(nobody):
    found(nobody)
    folder = nobody / MODELS / "llm" / "llama" / "two"
    document = nobody / "launcher-data/metadata/versions.json"
    folder.chmod(0o700)
    document.chmod(0o600)
    models_db(nobody).chmod(0o600)
    kinds = {kind for kind, _ in as_nobody(lambda: found(nobody))}
    assert kinds == {"folder_unreadable", "document_unreadable", "index_unreadable"}


# --- the quarantine


def test_the_quarantine_never_overwrites_and_its_log_keeps_to_lines(root):
    removal = Removal(Layout(root))
    path = root / "a\tb\nc"
    targets = []
    for text in ("first", "second"):
        path.write_text(text)
        targets.append(removal.move(path, "why\n"))
    assert [target.read_text() for target in targets] == ["first", "second"]
    assert len({target.parent for target in targets}) == 1
    lines = (root / "launcher-data/quarantine" / LOG).read_text().splitlines()
    assert [line.split("\t")[1] for line in lines] == [f"{root}/a\\tb\\nc"] * 2


def test_what_lies_outside_the_root_can_be_moved_too(root, tmp_path):
    outside = tmp_path / "cache"
    outside.mkdir()
    target = Removal(Layout(root)).move(outside, "why")
    assert target.is_dir()
    assert "outside" in target.relative_to(root).parts
