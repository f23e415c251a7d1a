"""What can be wrong with the documents, folders and drives of a launcher root. Nothing here writes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from pumas.errors import Damaged, PumasError, Unavailable
from pumas.models import Finding
from pumas.store.documents import read_backup, read_document
from pumas.store.findings import note, problem, unreadable_folder
from pumas.store.link_registry import has_whole_backup
from pumas.store.metadata import METADATA, OVERRIDES, Document, find_documents, locate_in_model
from pumas.store.paths import MADE_AT_START, Layout, shows_another
from pumas.store.reading import Hindered, Unsound, check, read_database

FREE_BYTES = 1 << 30  # an index, a cache and an import need room; less than this is gone with one download

AnyDocument = Document[Mapping[str, object]]


def examine_folders(layout: Layout) -> Iterator[Finding]:
    """The folders that every root has."""
    blocked: set[Path] = set()
    for name in MADE_AT_START:
        folder = layout.root / name
        there = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
        if not os.path.isdir(there):  # noqa: PTH112 - raises nothing where it may not look
            if there not in blocked:
                yield _blocked_folder(there)
            blocked.add(there)
        elif there != folder:
            remedy = "Pumas makes it when it starts; `pumas doctor --fix` does so now."
            yield note("folder_missing", folder, what="the folder is missing", remedy=remedy, is_repairable=True)
        elif not os.access(folder, os.R_OK | os.X_OK):
            yield unreadable_folder(folder)


def _blocked_folder(path: Path) -> Finding:
    try:
        path.stat()
    except FileNotFoundError:
        remedy = "Bring back what it shows, or remove the link: Pumas does not start without a folder there."
        return problem("folder_blocked", path, what="it is a link to nothing (a drive that is away?)", remedy=remedy)
    except OSError as exc:
        remedy = "See to its permissions, or to the drive: Pumas does not start without a folder there."
        return problem("folder_blocked", path, what=f"it can't be looked at: {exc.strerror}", remedy=remedy)
    remedy = "Move it away: Pumas needs a folder there, and does not start without."
    return problem("folder_blocked", path, what="it is not a folder", remedy=remedy)


def examine_space(layout: Layout, *, wanted_bytes: int = FREE_BYTES) -> Iterator[Finding]:
    """The drives of root and library."""
    drives: set[int] = set()
    for folder in (layout.root, layout.library):
        try:
            drive, free_bytes = folder.stat().st_dev, shutil.disk_usage(folder).free
        except OSError:
            continue  # missing: told by `examine_folders`
        if drive not in drives and free_bytes < wanted_bytes:
            what = f"only {free_bytes >> 20} MiB are free on its drive"
            yield problem(
                "space_low", folder, what=what, remedy="Free some space: writing fails when the drive is full."
            )
        drives.add(drive)


def examine_launcher_documents(layout: Layout) -> Iterator[Finding]:
    """The documents of `launcher-data`."""
    for document in find_documents(layout):
        yield from examine_document(document.path, has_backup=document.kind.has_backup)


def examine_document(path: Path, *, has_backup: bool, otherwise: str = "") -> Iterator[Finding]:
    """One document.

    Args:
        path: It need not exist.
        has_backup: Whether documents of its kind have one.
        otherwise: What else is known to be wrong with it, if it can be read.
    """
    try:
        read_document(path)
    except Damaged as exc:
        is_restorable = has_backup and not shows_another(path) and _is_backup_whole(path)
        yield _damaged(path, str(exc), is_restorable=is_restorable)
    except Unavailable as exc:
        remedy = "See to its permissions, or to the drive; it may be whole."
        yield problem("document_unreadable", path, what=str(exc), remedy=remedy)
    else:
        if otherwise:
            remedy = "Repair the document by hand; until then its model is left out."
            yield problem("document_unusable", path, what=otherwise, remedy=remedy)


def _damaged(path: Path, what: str, *, is_restorable: bool) -> Finding:
    what = what.partition(";")[0]
    if is_restorable:
        remedy = "`pumas doctor --fix` puts its backup in its place and keeps the damaged bytes."
    else:
        remedy = (
            "There is no backup that can be used: repair it by hand, or move it away; until then it counts as missing."
        )
    return problem("document_damaged", path, what=what, remedy=remedy, is_repairable=is_restorable)


def _is_backup_whole(path: Path) -> bool:
    try:
        return read_backup(path) is not None
    except PumasError:
        return False


def document_at(layout: Layout, path: Path) -> AnyDocument | None:
    """The document that lies at a path; None for what is none.

    Raises:
        InvalidInput: It leads out of the library.
    """
    if path.is_relative_to(layout.library) and path.name in (METADATA.file, OVERRIDES.file):
        model_id = path.parent.relative_to(layout.library).as_posix()
        kind = METADATA if path.name == METADATA.file else OVERRIDES
        return locate_in_model(layout.library, kind, model_id, locks=layout.library_locks)
    return next((document for document in find_documents(layout) if document.path == path), None)


def examine_registry(path: Path) -> Iterator[Finding]:
    """`link_registry.db`: what it knows can't be made again; it is repaired by its backup only."""
    if not os.path.lexists(path):
        return
    try:
        read_database(path, lambda db: check(db, is_thorough=True))
    except Unsound as exc:
        if is_restorable := has_whole_backup(path):
            remedy = (
                "`pumas doctor --fix` puts its backup in its place and keeps the damaged bytes; `pumas link APP` then "
                "registers the links that were made since."
            )
        else:
            remedy = (
                "It can't be made again from the files, and there is no backup: put a copy of yours in its place, or "
                "save what sqlite3's `.recover` finds in it; nothing repairs it for you."
            )
        what = f"the register of links is damaged: {exc}"
        yield problem("registry_damaged", path, what=what, remedy=remedy, is_repairable=is_restorable)
    except Hindered as exc:
        yield hindered("registry", path, exc)


def hindered(name: str, path: Path, exc: Hindered) -> Finding:
    """The finding for a database that could not be examined."""
    if exc.is_passing:
        return note(f"{name}_busy", path, what=f"it could not be examined: {exc}", remedy="Try again in a moment.")
    remedy = "See to its permissions, or to the drive; it may be whole."
    return problem(f"{name}_unreadable", path, what=f"it can't be read: {exc}", remedy=remedy)
