"""The documents of a model that is being imported (`storage.md` §4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pumas.library.import_plan import Plan
from pumas.library.records import is_model_file
from pumas.store.library_documents import Hashes, Metadata, ModelFile
from pumas.store.times import TimeForm, format_time

NO_HASHES = Hashes(sha256="", blake3="")


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """One file in the library; its digests are empty until a job has made them."""

    name: str
    original_name: str
    size_bytes: int
    mtime_ns: int
    sha256: str = ""
    blake3: str = ""


def metadata_of(plan: Plan, files: Sequence[PlacedFile], *, name: str) -> Metadata:
    """The `metadata.json` of a new model; `name` is that of its folder."""
    now = format_time(datetime.now(UTC), TimeForm.ZULU)
    repo_id = plan.request.repo_id
    document = Metadata(
        model_id=name,
        family=plan.folder.parent.name,
        model_type=plan.kind.model_type or "",
        subtype=plan.kind.subtype,
        official_name=plan.official_name,
        cleaned_name=name,
        tags=list(plan.request.tags),
        base_model="",
        preview_image="",
        release_date="",
        download_url=f"https://huggingface.co/{repo_id}" if repo_id else "",
        model_card={},
        inference_settings={},
        compatible_apps=[],
        hashes=hashes_of(files),
        notes="",
        added_date=now,
        updated_date=now,
        size_bytes=sum(file.size_bytes for file in files),
        files=[_entry(file) for file in files],
    )
    if plan.kind.needs_review:
        document["needs_review"] = True
    return document


def hashes_of(files: Sequence[PlacedFile]) -> Hashes:
    """The digests of the largest model file; empty when there is none, or they are not made yet."""
    largest = max((file for file in files if is_model_file(file.name)), key=lambda file: file.size_bytes, default=None)
    return NO_HASHES if largest is None else Hashes(sha256=largest.sha256, blake3=largest.blake3)


def _entry(file: PlacedFile) -> ModelFile:
    entry = ModelFile(name=file.name, original_name=file.original_name, size=file.size_bytes)
    if file.sha256:
        entry.update(ModelFile(sha256=file.sha256, blake3=file.blake3, mtime_ns=file.mtime_ns))
    return entry
