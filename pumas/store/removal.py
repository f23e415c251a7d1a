"""Taking files out of the way without losing them: what a repair removes goes to the quarantine.

    launcher-data/quarantine/
      quarantine.log                                one line per file: time, from, to, why; tabs between
      20260115T123456789012Z/<path below the root>  what one repair removed; `outside/<path>` for the rest

Nothing is ever deleted here; a user who has looked at it may delete the folder.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pumas.errors import system_errors
from pumas.store.documents import sync_folder
from pumas.store.paths import Layout
from pumas.store.times import dated

LOG = "quarantine.log"


def quarantine_of(layout: Layout) -> Path:
    """The folder that holds what repairs removed."""
    return layout.data / "quarantine"


class Removal:
    """The quarantine of one repair; its folder is made when there is something to put in."""

    def __init__(self, layout: Layout) -> None:
        self._root = layout.root
        self._quarantine = quarantine_of(layout)
        self._folder: Path | None = None

    def move(self, path: Path, why: str) -> Path:
        """Move one file or folder; a link is moved as such.

        Raises:
            Unavailable, NoSpace: It could not be moved, and lies where it was; or it is gone already.
        """
        with system_errors(f"Moving {path.name} to the quarantine"):
            path.lstat()
            target = self._place(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            # Before the move: nothing may leave its place without a trace, whatever happens in between.
            self._log(path, target, why)
            _move(path, target)
        return target

    def _place(self, path: Path) -> Path:
        if self._folder is None:
            self._folder = self._new_folder()
        if path.is_relative_to(self._root):
            below = path.relative_to(self._root)
        else:
            below = Path("outside", *path.absolute().parts[1:])
        target = self._folder / below
        number = 1
        while os.path.lexists(target):
            number += 1
            target = self._folder / below.with_name(f"{below.name}~{number}")
        return target

    def _new_folder(self) -> Path:
        while True:  # a clock that was set back may give a moment twice
            folder = self._quarantine / dated()
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                if not folder.is_dir():
                    raise
            else:
                return folder

    def _log(self, path: Path, target: Path, why: str) -> None:
        cells = (datetime.now(UTC).isoformat(), str(path), str(target), why)
        line = ("\t".join(map(_cell, cells)) + "\n").encode("utf-8", "surrogateescape")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        # One write in append mode: lines of two processes don't mix.
        with os.fdopen(os.open(self._quarantine / LOG, flags, 0o666), "ab", buffering=0) as log:
            written = log.write(line)
            if written != len(line):
                with suppress(OSError):
                    os.ftruncate(log.fileno(), log.tell() - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(log.fileno())


def _cell(text: str) -> str:
    for character, shown in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(character, shown)
    return text


def _move(path: Path, target: Path) -> None:
    try:
        path.rename(target)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        _copy(path, target)  # the library lies on another drive
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _copy(path: Path, target: Path) -> None:
    """Copy a file, a link or a folder; once it has its name, all of it is on disk."""
    temporary = target.with_name(f"{target.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, temporary, symlinks=True)
            for one in (temporary, *temporary.rglob("*")):
                _sync(one)
        else:
            shutil.copy2(path, temporary, follow_symlinks=False)
            _sync(temporary)
        temporary.rename(target)
        sync_folder(target.parent)
    except (OSError, shutil.Error) as exc:
        if temporary.is_dir() and not temporary.is_symlink():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        if isinstance(exc, shutil.Error):  # of a folder: one line for each file
            raise OSError(errno.EIO, "not everything in it can be copied") from exc
        raise


def _sync(path: Path) -> None:
    if path.is_symlink():
        return
    if path.is_dir():
        sync_folder(path)
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
