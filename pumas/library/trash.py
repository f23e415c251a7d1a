"""The trash of a library: models that were removed, each whole, until the trash is emptied (`trash_entries`)."""

from __future__ import annotations

import os
from pathlib import Path

from pumas.errors import Conflict, Damaged, ModelNotFound, PumasError, shown, system_errors
from pumas.library.places import is_inside_model, place_of
from pumas.library.trash_entries import (
    EMPTIED,
    HIDDEN,
    MANIFEST,
    MODEL,
    RESTORING,
    TRASH,
    WHOLE,
    delete_tree,
    discard,
    entries,
    entry_of,
    manifest_of,
    new_entry,
    read_entry,
    refuse_mounts,
    rename_documents,
    renamed_entry,
    sync,
    whole_entry,
)
from pumas.organised import TrashedModel
from pumas.store.documents import made_own_folder, make_folders, write_document
from pumas.store.locks import document_lock
from pumas.store.metadata import METADATA
from pumas.store.paths import Layout, readable
from pumas.store.renames import rename_new


def put_in_trash(library: Path, folder: Path, trashed: TrashedModel) -> TrashedModel:
    """Move the folder of a model into the trash; hold the lock of its document.

    Args:
        library: Its library.
        folder: Its folder, on the same drive.
        trashed: What is to be known of it there; the entry is named here.

    Raises:
        Unavailable, NoSpace: It can't be moved; it lies in the library as it was.
    """
    with system_errors(f"Moving {shown(trashed.model_id)} to the trash"):
        trash = made_own_folder(library, TRASH)
        entry = new_entry(trash)
        try:
            write_document(entry / MANIFEST, manifest_of(trashed), has_backup=False)
            sync(trash)
            folder.rename(entry / MODEL)
        except (PumasError, OSError):
            discard(entry)
            raise
        try:
            sync(entry, folder.parent)
            rename_documents(entry / MODEL, METADATA.file, HIDDEN)
        except OSError:
            (entry / MODEL).rename(folder)
            discard(entry)
            raise
        whole = entry.rename(entry.with_suffix(""))
        sync(trash)
    return entry_of(whole)


def list_trash(library: Path) -> list[TrashedModel]:
    """What lies in the trash, oldest first.

    Raises:
        Unavailable: It can't be listed.
    """
    return [entry_of(entry) for entry in entries(library) if WHOLE.fullmatch(entry.name)]


def restore_from_trash(layout: Layout, entry_id: str) -> TrashedModel:
    """Move a model back to where it was; never over something that lies there.

    Raises:
        NotFound: There is no such entry.
        Conflict: Something else lies in its place.
        Damaged: Its manifest can't be read.
        Unavailable, NoSpace: It can't be moved; it lies in the trash as it was.
    """
    entry = whole_entry(layout.library, entry_id)
    try:
        trashed = read_entry(entry)
    except Damaged:
        whole_entry(layout.library, entry_id)  # taken by another process meanwhile, it is not damaged but gone
        raise
    model_id = trashed.model_id
    try:
        document = place_of(layout, model_id)
    except ModelNotFound:
        raise Conflict(
            f"{shown(model_id)} is no place for a model, or a link lies on the way to it; move the link away, or the "
            f"folder {readable(entry / MODEL)} to where it belongs"
        ) from None
    folder = document.path.parent
    with document_lock(document.locks, document.lock_name), system_errors(f"Restoring {shown(model_id)}"):
        _refuse_taken(layout.library, model_id, folder)
        moving = renamed_entry(entry, RESTORING)
        try:
            make_folders(folder.parent)
            rename_documents(moving / MODEL, HIDDEN, METADATA.file)
            problems = rename_new([moving / MODEL], [folder])
            if problems:
                rename_documents(moving / MODEL, METADATA.file, HIDDEN)
                raise problems[0]
        except OSError:
            moving.rename(entry)
            _refuse_taken(layout.library, model_id, folder)  # an import has taken it meanwhile
            raise
        sync(folder.parent)
        discard(moving)
        sync(entry.parent)
    return trashed


def delete_from_trash(library: Path, entry_id: str) -> TrashedModel:
    """Delete a model in the trash; links in it go, what they show stays.

    Raises:
        NotFound: There is no such entry.
        Conflict: Something is mounted in it.
        Unavailable: It can't be deleted; what is left of it can't be restored.
    """
    entry = whole_entry(library, entry_id)
    trashed = entry_of(entry)
    with system_errors(f"Deleting {entry_id} from the trash"):
        refuse_mounts(entry)
        emptied = renamed_entry(entry, EMPTIED)
        sync(emptied.parent)
        delete_tree(emptied)
    return trashed


def _refuse_taken(library: Path, model_id: str, folder: Path) -> None:
    if os.path.lexists(folder):
        raise Conflict(f"Something lies at {shown(model_id)} already; move it away or remove it, then restore again")
    if is_inside_model(library, folder):
        raise Conflict(f"The folder of {shown(model_id)} lies inside another model now; remove that first")
