"""The last steps of an import (8 and 9 of `import_journal`): the model gets its name, a move leaves no trace."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path, PurePosixPath

from pumas.errors import Damaged, PumasError, system_errors
from pumas.library.import_journal import Entry, Journal, PlannedFile
from pumas.library.recorded import read_recorded
from pumas.store.documents import read_document, sync_folder, write_document
from pumas.store.metadata import METADATA
from pumas.store.renames import rename_new


def rename_in(library: Path, journal: Journal, entries: Sequence[Entry]) -> dict[int, OSError]:
    """Rename work folders to their final names, or to the next ones that are free (step 8).

    Returns:
        By number of the model why one is still a work folder.

    Raises:
        Unavailable, NoSpace: The journal can't be written, or a folder not be synced.
    """
    problems: dict[int, OSError] = {}
    waiting = list(entries)
    while waiting:
        _choose_names(library, journal, waiting)
        failed = rename_new([library / one.work for one in waiting], [library / one.final for one in waiting])
        taken = [waiting[position] for position, error in failed.items() if isinstance(error, FileExistsError)]
        problems.update(
            (waiting[position].model, error)
            for position, error in failed.items()
            if not isinstance(error, FileExistsError)
        )
        waiting = taken
    with system_errors("Syncing the library"):
        for folder in {(library / entry.final).parent for entry in entries}:
            sync_folder(folder)
    return problems


def _choose_names(library: Path, journal: Journal, entries: Sequence[Entry]) -> None:
    """Give each entry a name that is free, in the journal first, then in its document."""
    chosen: set[str] = set()
    renamed = []
    for entry in entries:
        final = next(
            name for name in _names(entry.wanted) if name not in chosen and not os.path.lexists(library / name)
        )
        chosen.add(final)
        if final != entry.final:
            entry.final = final
            renamed.append(entry)
    if renamed:
        journal.note_final(renamed)
        for entry in renamed:
            _rename_in_document(library / entry.work / METADATA.file, PurePosixPath(entry.final).name)


def _names(wanted: str) -> Iterator[str]:
    yield wanted
    yield from (f"{wanted}-{number}" for number in count(2))


def _rename_in_document(path: Path, name: str) -> None:
    document = read_document(path)
    if document is not None and document.get("cleaned_name") != name:
        write_document(path, {**document, "model_id": name, "cleaned_name": name}, has_backup=False)


def clear_sources(library: Path, entry: Entry) -> tuple[str, ...]:
    """Delete the sources of a move that were copied, links that lead nowhere now, folders that are empty now (step 9).

    Returns:
        A sentence for each that could not be deleted; the model is whole in the library in any case.
    """
    if entry.mode != "move":
        return ()
    notes = list(_delete_copied(library / entry.final, entry))
    for link in entry.links:
        if os.path.islink(link) and not os.path.exists(link):  # noqa: PTH110,PTH114 - texts of any bytes
            with suppress(OSError):
                os.unlink(link)  # noqa: PTH108
    if entry.folder is not None:
        _remove_empty(entry.folder, entry.files)
    return tuple(notes)


def _delete_copied(final: Path, entry: Entry) -> Iterator[str]:
    """Delete the sources that lie on another drive, if they are still what was copied."""
    left = [file for file in entry.files if file.is_taken and os.path.lexists(file.source)]
    if not left or entry.copied is None:
        return
    try:
        recorded = read_recorded(read_document(final / METADATA.file) or {}).files
    except (Damaged, PumasError) as exc:
        yield f"{entry.folder or left[0].source} was copied, not moved: {exc}"
        return
    for file, sha256 in zip(entry.files, entry.copied, strict=True):
        if file not in left:
            continue
        said = recorded.get(file.target)
        if said is None or said.sha256 != sha256 or _size(final / file.target) != file.size_bytes:
            yield f"{file.source} was left at its place: what lies in the library is not its copy any more"
        elif not is_unchanged(file):
            yield f"{file.source} was left at its place: it was changed after it had been copied"
        else:
            try:
                os.unlink(file.source)  # noqa: PTH108
            except OSError as exc:
                yield f"{file.source} was copied, but could not be deleted: {exc.strerror}"


def _size(path: Path) -> int | None:
    try:
        return path.lstat().st_size
    except OSError:
        return None


def is_unchanged(file: PlannedFile) -> bool:
    """Whether a source is what it was when the import was planned."""
    try:
        state = os.lstat(file.source)
    except OSError:
        return False
    found = state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
    return found == (file.inode, file.size_bytes, file.mtime_ns, file.ctime_ns)


def _remove_empty(top: str, files: Sequence[PlannedFile]) -> None:
    """Remove the folders that held files of a model and hold nothing any more, the deepest ones first."""
    folders = {top}
    for file in files:
        folder = os.path.dirname(file.source)  # noqa: PTH120
        while len(folder) > len(top) and folder.startswith(top):
            folders.add(folder)
            folder = os.path.dirname(folder)  # noqa: PTH120
    for folder in sorted(folders, key=len, reverse=True):
        with suppress(OSError):
            os.rmdir(folder)  # noqa: PTH106 - only an empty one goes
