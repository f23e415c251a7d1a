"""The entries of a library's trash on disk: names, manifests, documents.

    {lib}/.pumas/trash/
      20260115T123456789012Z/             one removed model; the name is the moment, and says how far a step has come:
      20260115T123456789012Z.removing/      its folder is being moved in
      20260115T123456789012Z.restoring/     its folder is being moved out
      20260115T123456789012Z.emptied/       it is being deleted, and can't be restored any more
        manifest.json                     {"model_id", "official_name", "removed_at", "size_bytes", "file_count"}
        model/                            its folder as it was; each `metadata.json` in it is `metadata.json.trashed`:
                                          the original lists every folder that has one, here too

A folder is moved by one rename, after its manifest is on disk: at every instant a model lies whole in the library or
whole in the trash. What a killed process began is finished or undone by `trash_settle`. Whoever moves a model holds
the lock of its document; the deletion of an entry begins with a rename that can't be undone by anyone.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from pumas.errors import Conflict, Damaged, NotFound, PumasError, shown, system_errors
from pumas.organised import TrashedModel
from pumas.store.documents import LEFTOVER, read_document, sync_folder
from pumas.store.metadata import METADATA
from pumas.store.mounts import mounted_in
from pumas.store.paths import readable
from pumas.store.times import TimeForm, dated, format_time

HIDDEN = f"{METADATA.file}.trashed"
MANIFEST = "manifest.json"
MODEL = "model"
TRASH = "trash"
WHOLE = re.compile(r"\d{8}T\d{12}Z")
REMOVING, RESTORING, EMPTIED = ".removing", ".restoring", ".emptied"
STATES = (REMOVING, RESTORING, EMPTIED)


def trash_of(library: Path) -> Path:
    """The folder of the trash."""
    return library / ".pumas" / TRASH


def entries(library: Path) -> Iterator[Path]:
    """The folders in the trash that have a name of ours, in order of names."""
    trash = trash_of(library)
    if trash.is_symlink() or trash.parent.is_symlink():
        return
    with system_errors("Listing the trash"):
        try:
            names = sorted(path.name for path in trash.iterdir())
        except FileNotFoundError:
            return
    for name in names:
        stem, dot, state = name.partition(".")
        is_ours = WHOLE.fullmatch(stem) and (not dot or f".{state}" in STATES)
        # SECURITY: a link is never followed out of the trash.
        if is_ours and not (trash / name).is_symlink():
            yield trash / name


def new_entry(trash: Path) -> Path:
    """Make an entry that a model is about to be moved into."""
    while True:  # a clock that was set back may give a moment twice
        name = dated()
        entry = trash / f"{name}{REMOVING}"
        if any(os.path.lexists(trash / f"{name}{state}") for state in ("", RESTORING, EMPTIED)):
            continue
        with suppress(FileExistsError):
            entry.mkdir()
            return entry


def whole_entry(library: Path, entry_id: str) -> Path:
    """An entry that nobody is at.

    Raises:
        NotFound: There is none of that id.
    """
    entry = trash_of(library) / entry_id if WHOLE.fullmatch(entry_id) else None
    if entry is None or entry not in entries(library):
        raise NotFound(f"There is no {shown(entry_id)} in the trash; `pumas trash list` shows what is")
    return entry


def renamed_entry(entry: Path, state: str) -> Path:
    """Take an entry for one step: of several processes, one succeeds.

    Raises:
        NotFound: Another one has.
    """
    try:
        return entry.rename(entry.with_name(f"{entry.name}{state}"))
    except FileNotFoundError:
        raise NotFound(f"{entry.name} is in the trash no more: another process has taken it") from None


def manifest_of(trashed: TrashedModel) -> dict[str, object]:
    """What is written down of a model that is removed now."""
    return {
        "model_id": trashed.model_id,
        "official_name": trashed.official_name,
        "removed_at": format_time(datetime.now(UTC), TimeForm.ZULU),
        "size_bytes": trashed.size_bytes,
        "file_count": trashed.file_count,
    }


def entry_of(entry: Path) -> TrashedModel:
    """What is known of an entry; where that is nothing, why."""
    try:
        return read_entry(entry)
    except PumasError as exc:
        return TrashedModel(
            entry_id=entry.name,
            model_id="",
            official_name="",
            removed_at="",
            size_bytes=0,
            file_count=0,
            problem=str(exc),
        )


def read_entry(entry: Path) -> TrashedModel:
    """What the manifest of an entry says.

    Raises:
        Damaged: It can't be used, or is gone.
        Unavailable: It can't be read.
    """
    path, model = entry / MANIFEST, entry / MODEL
    if not entry.suffix and (model.is_symlink() or not model.is_dir()):
        raise Damaged("The model's folder is gone", path=model)
    value = read_document(path)
    if value is None:
        raise Damaged("Its manifest is gone", path=path)
    try:
        return msgspec.convert({**value, "entry_id": entry.stem, "problem": None}, TrashedModel)
    except msgspec.ValidationError as exc:
        raise Damaged(f"Its manifest can't be used: {exc}", path=path) from exc


def rename_documents(folder: Path, old: str, new: str) -> None:
    """Rename the documents of a model and those in folders below it, all or none; links are not followed.

    Raises:
        OSError: One can't be renamed.
    """
    if folder.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is a link")
    renamed: list[Path] = []
    try:
        for where in [Path(where) for where, _, files in os.walk(folder, onerror=_raise) if old in files]:
            if os.path.lexists(where / new):
                raise FileExistsError(errno.EEXIST, f"there is a {new} beside a {old}")
            (where / old).rename(where / new)
            renamed.append(where)
            sync_folder(where)
    except OSError:
        for where in renamed:
            (where / new).rename(where / old)
        raise


def _raise(error: OSError) -> None:
    raise error


def discard(entry: Path) -> None:
    """Remove an entry that holds no model.

    Raises:
        OSError: It can't be removed, or something else lies in it, which stays.
    """
    for path in list(entry.iterdir()):
        if path.name == MANIFEST or LEFTOVER.fullmatch(path.name):
            path.unlink()
    entry.rmdir()


def refuse_mounts(folder: Path) -> None:
    """See that a folder lies on one drive: what is mounted in it is neither moved nor deleted.

    Raises:
        Conflict: Something is mounted in it.
        OSError: It can't be told.
    """
    mounted = mounted_in(folder)
    drive = folder.lstat().st_dev
    for where, folders, _ in os.walk(folder, onerror=_raise):
        for path in (Path(where, name) for name in folders):
            if path.lstat().st_dev != drive:
                mounted = path
    if mounted is not None:
        raise Conflict(f"{readable(mounted)} is mounted inside the model's folder; unmount it first")


def delete_tree(entry: Path) -> None:
    """Delete an entry with all that is in it; links go, what they show stays."""
    while os.path.lexists(entry):
        with suppress(FileNotFoundError):  # another process deletes it too
            shutil.rmtree(entry)


def sync(*folders: Path) -> None:
    """Make renames durable."""
    for folder in folders:
        sync_folder(folder)
