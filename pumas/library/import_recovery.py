"""What the next start does about imports that were interrupted; `import_journal` has the table."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pumas.errors import Damaged, PumasError
from pumas.library.import_digests import lacks_digests, note_due
from pumas.library.import_ending import clear_sources, rename_in
from pumas.library.import_journal import WORK, Entry, Journal, left_journals, read_entries, take_over
from pumas.library.import_undo import undo
from pumas.models import Finding
from pumas.store.documents import read_document
from pumas.store.findings import note
from pumas.store.metadata import METADATA
from pumas.store.paths import Layout, is_path, readable

logger = logging.getLogger(__name__)

_READ_ANOTHER_WAY = f"Look for folders {WORK}* in the library: files in them may be the only ones. Then delete it."


@dataclass(slots=True)
class Recovered:
    """What was done about interrupted imports."""

    finished: list[str] = field(default_factory=list)
    """Ids of models that are in the library now."""
    undone: list[str] = field(default_factory=list)
    """A sentence for each import that was undone."""
    left: list[str] = field(default_factory=list)
    """A sentence for each file that could not go back, and where it lies."""


def recover_imports(layout: Layout) -> Recovered:
    """Finish or undo every import whose process has ended; nothing is raised, what can't be done is told.

    It takes renames and deletions only: no file is read.
    """
    recovered = Recovered()
    for path in left_journals(layout):
        try:
            journal = take_over(path)
            if journal is None:
                continue
            try:
                for entry in journal.entries.values():
                    if not entry.is_done:
                        settle(layout, journal, entry, recovered)
                if journal.unread_lines:
                    recovered.left.append(f"{journal.unread_lines} lines of {path} can't be read. {_READ_ANOTHER_WAY}")
            finally:
                journal.end()
        except (PumasError, OSError) as exc:
            recovered.left.append(f"An import that was interrupted can't be looked at ({path}): {exc}")
    for model_id in recovered.finished:
        logger.warning("an import that was interrupted is finished: %s", model_id)
    for told in (*recovered.undone, *recovered.left):
        # A log is UTF-8, whatever bytes a path has.
        logger.warning("%s", told.encode("utf-8", "backslashreplace").decode())
    return recovered


def settle(layout: Layout, journal: Journal, entry: Entry, recovered: Recovered) -> None:
    """Finish or undo one model of a journal, as it is found on the disk."""
    library = layout.library
    work, final = library / entry.work, library / entry.final
    if not _is_sound(entry, journal.id) or _leads_out(library, entry):
        recovered.left.append(f"A line of {journal.path} is no import into this library; nothing was done about it")
        return
    if os.path.lexists(work):
        if not _is_complete(work, entry):
            _undo(library, journal, entry, recovered)
            return
        problems = rename_in(library, journal, [entry])
        if problems:
            error = problems[entry.model]
            recovered.left.append(f"The model {entry.final} lies at {work}: it can't be renamed: {error.strerror}")
            return
        recovered.finished.append(entry.final)
    elif not os.path.lexists(final):
        journal.note_done([entry])
        return
    if lacks_digests(final):
        note_due(layout, [entry.final])
    if entry.is_ours:
        recovered.left.extend(clear_sources(library, entry))
    journal.note_done([entry])


def _undo(library: Path, journal: Journal, entry: Entry, recovered: Recovered) -> None:
    if not entry.is_ours:
        recovered.left.append(
            f"An import of {_origin(entry)} that another user or computer began was interrupted; what it placed lies "
            f"at {library / entry.work}: move it where it belongs, then delete that folder and {journal.path}"
        )
        return
    left = undo(library, entry)
    if left:
        recovered.left.extend(left)
        return
    told = f"An import that was interrupted was undone; everything lies at its place again: {_origin(entry)}"
    recovered.undone.append(told)
    journal.note_done([entry])


def _origin(entry: Entry) -> str:
    return entry.folder or (entry.files[0].source if entry.files else entry.final)


def _is_complete(work: Path, entry: Entry) -> bool:
    """Whether a work folder has its document and all files."""
    try:
        if read_document(work / METADATA.file) is None:
            return False
        return all((work / file.target).lstat().st_size == file.size_bytes for file in entry.files)
    except (Damaged, OSError):
        return False


def _is_sound(entry: Entry, journal_id: str) -> bool:
    """Whether the paths of an entry are such as we write."""
    # SECURITY: a library may come from somebody else, with its journals.
    places = (entry.work, entry.final, *(file.target for file in entry.files))
    sources = (*entry.links, *(file.source for file in entry.files), *((entry.folder,) if entry.folder else ()))
    is_named = re.fullmatch(rf"{re.escape(WORK)}.+\.{journal_id}-{entry.model}", PurePosixPath(entry.work).name)
    return (
        is_named is not None
        and all(_is_below(place) for place in places)
        and all(is_path(source) and Path(source).is_absolute() for source in sources)
    )


def _is_below(place: str) -> bool:
    parts = place.split("/")
    return is_path(place) and not place.startswith("/") and not {"", ".", ".."}.intersection(parts)


def _leads_out(library: Path, entry: Entry) -> bool:
    """Whether something on the way to a file of an entry is a link."""
    ways = {f"{place}/{file.target}" for place in (entry.work, entry.final) for file in entry.files}
    ways.update(f"{place}/{METADATA.file}" for place in (entry.work, entry.final))
    folders = {above for way in ways for above in PurePosixPath(way).parents}
    return any((library / folder).is_symlink() for folder in folders if folder.parts)


def examine_imports(layout: Layout) -> Iterator[Finding]:
    """Imports that run, or were interrupted; nothing is written."""
    for path in left_journals(layout):
        try:
            entries, unread_lines = read_entries(path)
        except OSError:
            continue
        except Damaged as exc:
            yield note("import_unreadable", path, what=str(exc), remedy=_READ_ANOTHER_WAY)
            continue
        sound = [entry for entry in entries if _is_sound(entry, path.stem)]
        unread_lines += len(entries) - len(sound)
        if unread_lines:
            what = f"{unread_lines} of its lines can't be read, or are of no import into this library"
            yield note("import_unreadable", path, what=what, remedy=_READ_ANOTHER_WAY)
        yield from (_examined(layout.library, entry) for entry in sound if not entry.is_done)


def _examined(library: Path, entry: Entry) -> Finding:
    work = library / entry.work
    is_named = os.path.lexists(library / entry.final) and not os.path.lexists(work)
    place = library / entry.final if is_named else work
    moved = sum(os.path.lexists(place / file.target) for file in entry.files)
    remedy = (
        "Opening the launcher root finishes or undoes it, if its process has ended. Move away what lies at the place "
        "of a file that is to go back."
        if entry.is_ours
        else "Another user or computer began it: move its files where they belong, then delete this folder."
    )
    return note(
        "import_interrupted",
        place,
        what=f"an import runs, or was interrupted: {moved} of {len(entry.files)} files lie here, the others at their "
        f"place ({readable(_origin(entry))})",
        remedy=remedy,
    )
