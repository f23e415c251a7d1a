"""What killed processes left in the trash: finished or undone, and told."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from pumas.errors import PumasError, Unavailable, system_errors
from pumas.library.places import place_of
from pumas.library.trash_entries import (
    EMPTIED,
    HIDDEN,
    MANIFEST,
    MODEL,
    REMOVING,
    STATES,
    delete_tree,
    discard,
    entries,
    entry_of,
    read_entry,
    refuse_mounts,
    rename_documents,
    sync,
    trash_of,
)
from pumas.models import Finding
from pumas.store.findings import note
from pumas.store.locks import document_lock
from pumas.store.metadata import METADATA
from pumas.store.paths import Layout

logger = logging.getLogger(__name__)

_OWN_AGE_S = 60.0  # an entry without a manifest, this old, has no process that is about to write it


def has_unfinished(library: Path) -> bool:
    """Whether a step in the trash was interrupted, or is being done; no where that can't be told."""
    try:
        return bool(_unfinished(library))
    except PumasError:
        return False


def settle(layout: Layout) -> int:
    """Finish or undo what killed processes began; what can't be is left as it is, and logged.

    Returns:
        How many entries were settled.
    """
    settled = 0
    for entry in _unfinished(layout.library):
        try:
            with system_errors(f"Settling {entry.name} in the trash"):
                settled += _settle(layout, entry)
        except PumasError as exc:
            logger.warning("%s in the trash can't be settled: %s", entry.name, exc)
    return settled


def examine_trash(library: Path) -> Iterator[Finding]:
    """Entries that are not whole. Nothing here writes."""
    try:
        found = list(entries(library))
    except PumasError:
        remedy = "Give yourself the permission to read it: what lies in it can't be restored."
        yield note("trash_unreadable", trash_of(library), what="the trash can't be read", remedy=remedy)
        return
    for entry in found:
        if entry.suffix in STATES:
            what = "a process was killed while it moved or deleted this model"
            yield note("trash_unfinished", entry, what=what, remedy="Pumas finishes or undoes it when it starts.")
        elif (problem := entry_of(entry).problem) is not None:
            remedy = f"Its files lie in {MODEL}: move that folder into the library to have it back."
            yield note("trash_damaged", entry, what=problem, remedy=remedy)


def _settle(layout: Layout, entry: Path) -> bool:
    if entry.suffix == EMPTIED:
        refuse_mounts(entry)
        delete_tree(entry)
        logger.warning("a model was being deleted from the trash; the rest of it was deleted (%s)", entry.stem)
        return True
    if not (entry / MANIFEST).exists():
        return _settle_begun(entry)
    trashed = read_entry(entry)
    document = place_of(layout, trashed.model_id)
    with document_lock(document.locks, document.lock_name):
        if not entry.is_dir():
            return False  # its process was alive, and has done it
        is_removal, is_in_trash = entry.suffix == REMOVING, os.path.lexists(entry / MODEL)
        if is_in_trash:
            rename_documents(entry / MODEL, METADATA.file, HIDDEN)
            entry.rename(entry.with_suffix(""))
        else:
            discard(entry)
        sync(entry.parent)
    logger.warning(
        "%s of %s was interrupted; %s: the model is in the %s",
        "the removal" if is_removal else "the restoring",
        trashed.model_id,
        "it was finished" if is_removal is is_in_trash else "it was undone",
        f"trash ({entry.stem})" if is_in_trash else "library",
    )
    return True


def _settle_begun(entry: Path) -> bool:
    """An entry without a manifest: nothing was moved into it yet, or all was moved out of it."""
    if os.path.lexists(entry / MODEL):
        raise Unavailable(f"its manifest is gone; its files lie in {entry / MODEL}")
    if time.time() - entry.stat().st_mtime < _OWN_AGE_S:
        return False  # a process may be about to write it
    discard(entry)
    return True


def _unfinished(library: Path) -> list[Path]:
    return [entry for entry in entries(library) if entry.suffix in STATES]
