"""What the next start does about imports that were interrupted; `import_journal` has the table."""

from __future__ import annotations

import logging
import os
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
from pumas.store.paths import Layout

logger = logging.getLogger(__name__)


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
            finally:
                journal.end()
        except (PumasError, OSError) as exc:
            recovered.left.append(f"An import that was interrupted can't be looked at ({path}): {exc}")
    for model_id in recovered.finished:
        logger.warning("an import that was interrupted is finished: %s", model_id)
    for told in (*recovered.undone, *recovered.left):
        logger.warning("%s", told)
    return recovered


def settle(layout: Layout, journal: Journal, entry: Entry, recovered: Recovered) -> None:
    """Finish or undo one model of a journal, as it is found on the disk."""
    library = layout.library
    work, final = library / entry.work, library / entry.final
    if not _is_sound(entry):
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
    recovered.left.extend(clear_sources(library, entry))
    journal.note_done([entry])


def _undo(library: Path, journal: Journal, entry: Entry, recovered: Recovered) -> None:
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


def _is_sound(entry: Entry) -> bool:
    """Whether the paths of an entry lie below the library, as those that we write do."""
    # SECURITY: a library may come from somebody else, with its journals.
    places = (entry.work, entry.final, *(file.target for file in entry.files))
    is_inside = all(_is_below(place) for place in places)
    return is_inside and PurePosixPath(entry.work).name.startswith(WORK)


def _is_below(place: str) -> bool:
    parts = place.split("/")
    return bool(place) and not place.startswith("/") and not {"", ".", ".."}.intersection(parts)


def examine_imports(layout: Layout) -> Iterator[Finding]:
    """Imports that run, or were interrupted; nothing is written."""
    for path in left_journals(layout):
        try:
            entries = [entry for entry in read_entries(path) if not entry.is_done]
        except OSError:
            continue
        for entry in entries:
            work = layout.library / entry.work
            is_named = os.path.lexists(layout.library / entry.final) and not os.path.lexists(work)
            place = layout.library / entry.final if is_named else work
            moved = sum(os.path.lexists(place / file.target) for file in entry.files)
            yield note(
                "import_interrupted",
                place,
                what=f"an import runs, or was interrupted: {moved} of {len(entry.files)} files lie here, the others at "
                f"their place ({_origin(entry)})",
                remedy="Opening the launcher root finishes or undoes it, if its process has ended. Move away what lies "
                "at the place of a file that is to go back.",
            )
