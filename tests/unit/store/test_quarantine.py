"""Damaged documents: read from the backup, kept under a dated name when they are replaced, reported once."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest
from support.documents import DAMAGED, count, names, update

from pumas.errors import Damaged, Unavailable
from pumas.store.documents import read_document, recover_document
from pumas.store.quarantine import keep_damaged, out_of_the_way, report_damaged


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_an_update_of_a_damaged_document_starts_from_its_backup_and_keeps_the_damage(tmp_path, data):
    path = tmp_path / "a.json"
    for _ in range(3):
        update(path, count)
    path.write_bytes(data)
    update(path, count)
    assert read_document(path) == {"n": 3}
    assert read_document(path.with_name("a.json.bak")) == {"n": 2}
    assert names(tmp_path) == ["a.json", "a.json.bak", "a.json.damaged-*"]
    (kept,) = tmp_path.glob("*.damaged-*")
    assert kept.read_bytes() == data


@pytest.mark.parametrize("backup", [None, b"{", b"[]", "link", "folder"])
def test_without_a_good_backup_an_update_starts_from_nothing(tmp_path, backup):
    path = tmp_path / "a.json"
    path.write_text("{")
    if backup == "link":
        (tmp_path / "other.json").write_text('{"n": 5}')
        (tmp_path / "a.json.bak").symlink_to("other.json")
    elif backup == "folder":
        (tmp_path / "a.json.bak").mkdir()
    elif isinstance(backup, bytes):
        (tmp_path / "a.json.bak").write_bytes(backup)
    assert recover_document(path) is None
    update(path, count)
    assert read_document(path) == {"n": 1}
    (kept,) = tmp_path.glob("*.damaged-*")
    assert kept.read_bytes() == b"{"


@pytest.mark.parametrize("thing", ["folder", "fifo", "loop", "socket"])
def test_what_is_no_file_is_set_aside_too(tmp_path, thing):
    path = tmp_path / "a.json"
    path.with_name("a.json.bak").write_text('{"n": 5}')
    if thing == "folder":
        path.mkdir()
        (path / "inside").touch()
    elif thing == "fifo":
        os.mkfifo(path)
    elif thing == "loop":
        path.symlink_to("a.json")
    else:
        os.mknod(path, stat.S_IFSOCK | 0o600)
    update(path, count)
    assert read_document(path) == {"n": 6}
    assert names(tmp_path) == ["a.json", "a.json.bak", "a.json.damaged-*"]


def test_reading_a_damaged_document_reports_once_and_writes_nothing(tmp_path, caplog):
    path = tmp_path / "a.json"
    path.write_text("{")
    (tmp_path / "a.json.bak").write_text('{"n": 1}')
    for _ in range(3):
        assert recover_document(path) == {"n": 1}
    assert recover_document(path, has_backup=False) is None
    assert [record.getMessage() for record in caplog.records] == [
        f"a.json is not valid JSON; repair it or move it away ({path}): its backup is used"
    ]
    assert names(tmp_path) == ["a.json", "a.json.bak"]
    path.write_text("[ 1")
    recover_document(path)
    assert len(caplog.records) == 2


def test_an_update_that_reads_a_damaged_document_reports_it_once(tmp_path, caplog):
    path = tmp_path / "a.json"
    path.write_text("{")
    update(path, count)
    update(path, count)
    assert len(caplog.records) == 1


def test_damage_that_can_not_be_replaced_stays_where_it_is(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{")
    (tmp_path / "a.json.1.1.tmp").mkdir()

    def refuse(value):
        path.with_name(f"a.json.{os.getpid()}.{threading.get_ident()}.tmp").mkdir(exist_ok=True)
        return {"n": 1}

    for _ in range(3):
        with pytest.raises(Unavailable):
            update(path, refuse)
    assert path.read_text() == "{"
    assert list(tmp_path.glob("*.damaged-*")) == []


def test_a_folder_in_the_way_of_a_write_that_fails_stays(tmp_path):
    path = tmp_path / "a.json"
    path.mkdir()
    (path / "inside").touch()

    def refuse(value):
        path.with_name(f"a.json.{os.getpid()}.{threading.get_ident()}.tmp").mkdir()
        return {"n": 1}

    with pytest.raises(Unavailable):
        update(path, refuse)
    assert (path / "inside").exists()


def test_what_was_moved_away_comes_back_when_its_place_is_not_taken(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(FileNotFoundError), out_of_the_way(tmp_path / "a.json", "damaged"):
        (tmp_path / "none").replace(tmp_path / "a.json")
    assert names(tmp_path) == ["a.json"]


def test_a_backup_without_its_document_is_never_overwritten(tmp_path):
    path = tmp_path / "a.json"
    path.with_name("a.json.bak").write_text('{"n": 5}')
    for _ in range(3):
        update(path, count)
    assert read_document(path) == {"n": 3}
    (kept,) = tmp_path.glob("a.json.bak.kept-*")
    assert read_document(kept) == {"n": 5}


def _refuse_links(monkeypatch):
    def refuse(self, target):
        raise OSError(errno.EPERM, "no second names")

    monkeypatch.setattr(Path, "hardlink_to", refuse)  # as exFAT answers


def test_without_second_names_a_copy_is_kept_once(tmp_path, monkeypatch):
    _refuse_links(monkeypatch)
    path = tmp_path / "a.json"
    path.write_text("{")
    first = keep_damaged(path)
    assert keep_damaged(path) == first
    assert first.read_text() == path.read_text() == "{"
    path.write_text("[")  # of the same length
    assert keep_damaged(path).read_text() == "["
    assert first.read_text() == "{"


def test_half_a_copy_is_not_kept(tmp_path, monkeypatch):
    _refuse_links(monkeypatch)
    (tmp_path / "a.json").symlink_to("/proc/self/mem")  # can be opened, but not read from its beginning
    with pytest.raises(OSError, match="Input/output error"):
        keep_damaged(tmp_path / "a.json")
    assert names(tmp_path) == ["a.json"]


def test_a_huge_file_is_kept_without_being_read(tmp_path):
    path = tmp_path / "a.json"
    with path.open("wb") as huge:
        huge.truncate(1 << 40)
    update(path, count)
    (kept,) = tmp_path.glob("*.damaged-*")
    assert kept.stat().st_size == 1 << 40
    with path.open("wb") as huge:
        huge.truncate(1 << 40)
    update(path, count)
    assert len(list(tmp_path.glob("*.damaged-*"))) == 2


def test_reports_are_forgotten_before_they_fill_the_memory(tmp_path, caplog):
    for n in range(10_001):
        report_damaged(Damaged("broken", path=tmp_path / str(n)), "left out")
    report_damaged(Damaged("broken", path=tmp_path / "10000"), "left out")
    assert len(caplog.records) == 10_001
    report_damaged(Damaged("broken", path=tmp_path / "0"), "left out")
    assert len(caplog.records) == 10_002
