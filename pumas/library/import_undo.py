"""Undoing an import that has not got its name yet: every file of the sources back at its place, replacing nothing."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pumas.errors import shown
from pumas.library.import_ending import is_unchanged
from pumas.library.import_journal import Entry, PlannedFile
from pumas.store.documents import LEFTOVER, make_folders, sync_folder
from pumas.store.metadata import METADATA, OVERRIDES
from pumas.store.renames import rename_new

_PART = re.compile(r"\.\d+\.part")


def part_of(work: str, position: int) -> str:
    """Where a file is while it is being copied: a name that no file of a model has, however long its own one is."""
    return f"{work}/.{position}.part"


def undo(library: Path, entry: Entry) -> tuple[str, ...]:
    """Undo what was done of a model whose work folder has not got its final name.

    Returns:
        A sentence for each file that can't go back and where it lies, whole; nothing is left when there is none.
    """
    work = library / entry.work
    if not os.path.lexists(work):
        return ()
    # First: with its document and all files a work folder would be finished by the next start.
    left = list(_delete(work / METADATA.file))
    if left:
        return tuple(left)
    with suppress(OSError):
        sync_folder(work)
    for file in entry.files:
        left.extend(_put_back(work / file.target, file))
    left.extend(_delete(work / OVERRIDES.file))
    for path in work.iterdir():
        if LEFTOVER.fullmatch(path.name) or _PART.fullmatch(path.name):
            left.extend(_delete(path))
    left.extend(_remove(work, entry))
    return tuple(left)


def _put_back(placed: Path, file: PlannedFile) -> Iterator[str]:
    state = _state(placed)
    if state is None:
        return
    source = _state(Path(file.source))
    # Its number alone does not say: some file systems (exFAT) number their files anew when they are mounted.
    is_itself = file.is_near and (file.is_taken or state.st_ino == file.inode)
    if source is None:
        if is_itself:
            yield from _rename_back(placed, Path(file.source))
        else:
            yield f"A copy of {file.source} lies at {placed}: the file itself is gone, or its drive is away"
    elif os.path.samestat(source, state):
        yield from _delete(placed)  # it has its old name too
    elif is_itself and not is_unchanged(file):
        yield f"{file.source} lies at {placed}: something else lies at its place now"
    elif stat.S_ISREG(source.st_mode):
        yield from _delete(placed)  # a copy of what is there
    else:
        yield f"A copy of {file.source} lies at {placed}: something else lies at its place now"


def _state(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _rename_back(placed: Path, source: Path) -> Iterator[str]:
    try:
        make_folders(source.parent)
        problems = rename_new([placed], [source])
        if problems:
            raise problems[0]
        sync_folder(source.parent)
    except OSError as exc:
        yield f"{source} lies at {placed}: it can't go back: {exc.strerror}"


def _delete(path: Path) -> Iterator[str]:
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        yield f"{path} can't be deleted: {exc.strerror}"


def _remove(work: Path, entry: Entry) -> Iterator[str]:
    """Remove the work folder and those below it that we made; what somebody else put there stays, and is told."""
    folders = {work}
    for file in entry.files:
        folders.update(folder for folder in (work / file.target).parents if folder.is_relative_to(work))
    for folder in sorted(folders, key=lambda one: len(one.parts), reverse=True):
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError as exc:
            yield f"The folder {shown(str(folder))} can't be removed: {exc.strerror}"
    for folder in work.parents[:2]:  # of a family and a type that nothing else is in
        if folder != work.parents[2] and folder.is_dir():
            with suppress(OSError):
                folder.rmdir()
    with suppress(OSError):
        sync_folder(work.parents[1])
