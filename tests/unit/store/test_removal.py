"""What goes to the quarantine: logged before it is moved, whole before it is removed."""

from __future__ import annotations

import errno
import os
import resource
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from pumas.errors import NoSpace, Unavailable
from pumas.store.paths import Layout
from pumas.store.removal import LOG, Removal


@contextmanager
def _at_most(size_bytes):
    """No file may grow beyond this."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


def test_half_a_line_in_the_log_is_taken_back_and_nothing_moved(tmp_path):
    layout = Layout(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    removal = Removal(layout)
    removal.move(tmp_path / "one", "first")
    log = layout.data / "quarantine" / LOG
    before = log.read_bytes()
    with _at_most(len(before) + 10), pytest.raises(NoSpace):
        removal.move(tmp_path / "two", "second")
    assert log.read_bytes() == before
    assert (tmp_path / "two").read_text() == "two"


def _other_drive(monkeypatch, own_folder):
    rename = Path.rename

    def refuse(self, target):
        if self.is_relative_to(own_folder) != Path(target).is_relative_to(own_folder):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)  # as between two drives


def test_what_lies_on_another_drive_is_copied_whole_then_removed(tmp_path, monkeypatch):
    layout = Layout(tmp_path)
    _other_drive(monkeypatch, layout.data)
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "folder" / "below" / "file").write_text("y")
    (tmp_path / "folder" / "link").symlink_to("nowhere")
    removal = Removal(layout)
    assert removal.move(tmp_path / "file", "why").read_text() == "x"
    moved = removal.move(tmp_path / "folder", "why")
    assert (moved / "below" / "file").read_text() == "y"
    assert (moved / "link").is_symlink()
    assert [one.name for one in tmp_path.iterdir()] == ["launcher-data"]
    assert list(tmp_path.rglob("*.part")) == []


def test_what_can_not_be_copied_whole_stays(tmp_path, monkeypatch):
    layout = Layout(tmp_path)
    _other_drive(monkeypatch, layout.data)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(bytes(100_000))
    with _at_most(4096), pytest.raises(Unavailable):
        Removal(layout).move(tmp_path / "folder", "why")
    assert (tmp_path / "folder" / "file").stat().st_size == 100_000
    assert [one.name for one in layout.data.rglob("*") if one.is_file()] == [LOG]
