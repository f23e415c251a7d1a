"""Digests that an import left to a job, since making them takes longer than an answer may.

    {lib}/.pumas/imports/<id>.due.json    {"model_ids": ["llm/llama/A"]}: models whose documents still lack digests

Until they are made `hashes` has two empty texts, as in the documents of the original for files that it does not digest.
The file goes when all are made, or the model is gone; a process that ends before that leaves it to the next one.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pumas.errors import Cancelled, Damaged, ModelNotFound, PumasError
from pumas.jobs import Progress
from pumas.library.import_document import PlacedFile, hashes_of
from pumas.library.import_journal import journals_of
from pumas.library.known import Known, read_contents
from pumas.library.places import existing_place
from pumas.library.recorded import RecordedFile, read_recorded
from pumas.store.documents import read_document, write_document
from pumas.store.library_documents import Metadata
from pumas.store.metadata import METADATA, load, update_metadata
from pumas.store.paths import Layout, resolve_inside

logger = logging.getLogger(__name__)

_ENDING = ".due.json"


def note_due(layout: Layout, model_ids: Sequence[str]) -> None:
    """Note models that lack digests; it is on disk once this returns.

    Raises:
        Unavailable, NoSpace: It can't be written.
    """
    path = journals_of(layout) / f"{uuid.uuid4().hex}{_ENDING}"
    write_document(path, {"model_ids": list(model_ids)}, has_backup=False)


def _noted(layout: Layout) -> list[Path]:
    return sorted(journals_of(layout).glob(f"*{_ENDING}"))


def lacks_digests(folder: Path) -> bool:
    """Whether the document of a model names files without digests."""
    try:
        document = read_document(folder / METADATA.file) or {}
    except (Damaged, PumasError):
        return False
    return any(not file.has_digest for file in read_recorded(document).files.values())


def has_due(layout: Layout) -> bool:
    """Whether models lack digests."""
    return bool(_noted(layout))


def make_due(layout: Layout, progress: Progress) -> int:
    """Make the digests that are due; what was made stays made, however it ends.

    Returns:
        Models whose documents got digests.

    Raises:
        Cancelled: The job is to end.
    """
    made = 0
    for path in _noted(layout):
        failed = False
        for model_id in _model_ids(path):
            progress.check()
            try:
                made += _complete(layout, model_id, progress)
            except Cancelled:
                raise
            except ModelNotFound:
                continue
            except PumasError as exc:
                logger.warning("the digests of %s could not be made: %s", model_id, exc)
                failed = True
        if not failed:
            with suppress(OSError):
                path.unlink()
    return made


def _model_ids(path: Path) -> list[str]:
    try:
        noted = read_document(path) or {}
    except (Damaged, PumasError):
        return []
    model_ids = noted.get("model_ids")
    return [one for one in model_ids if isinstance(one, str)] if isinstance(model_ids, list) else []


def _complete(layout: Layout, model_id: str, progress: Progress) -> bool:
    """Digest the files of a model that have none, and write that down; False when there is nothing to write."""
    document = existing_place(layout, model_id)
    folder, said = document.path.parent, load(document)
    if not said:
        raise Damaged("its document can't be read; see `pumas doctor`", path=document.path)
    recorded = read_recorded(said).files.values()
    lacking = [file for file in recorded if not file.has_digest and _is_inside(folder, file.name)]
    total = sum(file.size_bytes or 0 for file in lacking)
    contents = read_contents(
        [str(folder / file.name) for file in lacking],
        [None] * len(lacking),
        progress=lambda done: progress.report(done, total, f"making digests of {folder.name}"),
        cancel=progress.cancel_token,
    )
    found = {
        file.name: content
        for file, content in zip(lacking, contents, strict=True)
        if isinstance(content, Known) and _is_as_imported(file, content)
    }
    if not found:
        return False

    def change(value: Metadata) -> Metadata:
        listed: object = value.get("files")
        files = [_completed(entry, found) for entry in listed] if isinstance(listed, list) else listed
        changed = {**value, "files": files}
        changed["hashes"] = hashes_of([_placed(entry) for entry in read_recorded(changed).files.values()])
        return changed  # type: ignore[return-value] # the same keys

    update_metadata(layout, model_id, change)
    return True


def _is_as_imported(file: RecordedFile, content: Known) -> bool:
    return content.size_bytes == file.size_bytes


def _is_inside(folder: Path, name: str) -> bool:
    # SECURITY: a document may name any file, whose digest would be written down for others to see.
    try:
        resolve_inside(folder, name, parameter="name")
    except PumasError:
        return False
    return True


def _completed(entry: object, found: Mapping[str, Known]) -> object:
    """An entry of `files` with its digests; one of a wrong form stays as it is."""
    if not isinstance(entry, dict):
        return entry
    name: object = entry.get("name")
    content = found.get(name) if isinstance(name, str) else None
    return entry if content is None else {**entry, **_digests(content)}


def _digests(content: Known) -> dict[str, object]:
    return {"sha256": content.sha256.hex(), "blake3": content.blake3.hex(), "mtime_ns": content.mtime_ns}


def _placed(file: RecordedFile) -> PlacedFile:
    return PlacedFile(
        name=file.name,
        original_name=file.name,
        size_bytes=file.size_bytes or 0,
        mtime_ns=file.mtime_ns or 0,
        sha256=file.sha256 or "",
        blake3=file.blake3 or "",
    )
