"""Taking over a folder that lies in the library already, but is no model yet: it gets its documents, nothing moves.

A folder `<type>/<family>/<name>` keeps what its place says; another one keeps its place, and the content says the rest.
"""

from __future__ import annotations

import os
from pathlib import Path

import pumas_native
from msgspec.structs import replace

from pumas.errors import Conflict, InvalidInput, system_errors
from pumas.library.digests import digest_files
from pumas.library.import_document import PlacedFile, metadata_of
from pumas.library.import_plan import Plan
from pumas.models import ImportResult
from pumas.store.documents import write_document
from pumas.store.locks import document_lock
from pumas.store.metadata import METADATA, OVERRIDES, locate
from pumas.store.paths import Layout


def adopt(layout: Layout, plan: Plan, *, cancel: pumas_native.CancelToken | None = None) -> ImportResult:
    """Make a folder of the library a model where it lies; its files keep their names.

    Raises:
        Conflict: It, or a folder in it, is a model by now.
        InvalidInput: It lies directly in the library, or a name in it is no UTF-8.
        Unavailable, NoSpace: The documents can't be written.
        Cancelled: `cancel` was set.
    """
    folder = Path(plan.sources.path)
    below = folder.relative_to(layout.library.resolve())
    nested = next((one for one in folder.rglob(METADATA.file)), None)
    if nested is not None:
        raise Conflict(f"{nested.parent} is a model already; choose a folder that holds no other one")
    if len(below.parts) < 2:
        raise InvalidInput(f"{folder} holds models by their type; choose the folder of one model")
    if len(below.parts) == 3:
        plan.kind, plan.folder = replace(plan.kind, model_type=below.parts[0]), Path(*below.parts)
    else:
        plan.folder = Path(str(plan.kind.model_type), str(plan.kind.family), folder.name)
    files = _described(plan, cancel)
    document = locate(layout, METADATA, below.as_posix())
    with document_lock(document.locks, document.lock_name):
        if os.path.lexists(document.path):
            raise Conflict(f"{folder} has become a model meanwhile")
        if not os.path.lexists(folder / OVERRIDES.file):
            write_document(folder / OVERRIDES.file, {})
        write_document(document.path, metadata_of(plan, files, name=folder.name))
    return ImportResult(
        path=plan.request.path,
        model_id=below.as_posix(),
        model_path=folder,
        file_count=len(files),
        size_bytes=sum(file.size_bytes for file in files),
        notes=(*plan.sources.notes, "It lies in the library already and stays where it is"),
    )


def _described(plan: Plan, cancel: pumas_native.CancelToken | None) -> list[PlacedFile]:
    sources = [file for file in plan.sources.files if not file.is_linked and file.below != OVERRIDES.file]
    with system_errors(f"Reading {plan.sources.name}"):
        for file in sources:
            try:
                file.below.encode()
            except UnicodeEncodeError as exc:
                raise InvalidInput(f"The name {file.below!a} is not valid UTF-8; rename the file first") from exc
    digests = digest_files([file.path for file in sources], cancel=cancel)
    return [
        PlacedFile(
            name=file.below,
            original_name=file.below,
            size_bytes=file.state.st_size,
            mtime_ns=file.state.st_mtime_ns,
            sha256=digest.sha256 or "",
            blake3=digest.blake3 or "",
        )
        for file, digest in zip(sources, digests, strict=True)
    ]
