"""Ready JSON of one model, in the two shapes that the desktop app reads; made once, joined into every answer.

These shapes exist only for the app (`types.schema.json`); a field that is not known is left out.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import UNSET, Struct, UnsetType

from pumas.models import Model, SearchHit


class ModelData(Struct, frozen=True, kw_only=True):
    """One model in the list."""

    path: str
    size: int | UnsetType = UNSET
    addedDate: str | UnsetType = UNSET  # noqa: N815 - the app's name
    modelType: str  # noqa: N815
    officialName: str  # noqa: N815
    cleanedName: str  # noqa: N815
    relatedAvailable: bool  # noqa: N815


class SearchItem(Struct, frozen=True, kw_only=True):
    """One hit: the index row, then what is read out of the document."""

    id: str
    path: str
    cleaned_name: str
    official_name: str
    model_type: str
    tags_json: str
    hashes_json: str
    metadata_json: str
    updated_at: str
    tags: tuple[str, ...]
    family: str
    description: str
    related_available: bool
    model_id: str
    file_path: str


def model_data(model: Model) -> ModelData:
    """One entry of the list."""
    return ModelData(
        path=model.model_id,
        size=UNSET if model.size_bytes is None else model.size_bytes,
        addedDate=model.added_at or UNSET,
        modelType=model.subtype or model.model_type or "unknown",
        officialName=model.official_name,
        cleanedName=model.cleaned_name,
        relatedAvailable=model.is_related_available,
    )


def search_item(hit: SearchHit, library: Path) -> SearchItem:
    """One hit; `library` makes the file path absolute."""
    model = hit.model
    below = f"{model.model_id}/{model.primary_file}" if model.primary_file else model.model_id
    return SearchItem(
        id=model.model_id,
        path=model.model_id,
        cleaned_name=model.cleaned_name,
        official_name=model.official_name,
        model_type=model.model_type,
        tags_json=hit.tags_json,
        hashes_json=hit.hashes_json,
        metadata_json=hit.metadata_json,
        updated_at=hit.updated_at,
        tags=model.tags,
        family=model.family,
        description=model.description,
        related_available=model.is_related_available,
        model_id=model.model_id,
        file_path=f"{library}/{below}",
    )


def list_entry(model: Model) -> bytes:
    """`"<id>":{…}`, as it stands in the object of `get_models`."""
    return msgspec.json.encode(model.model_id) + b":" + msgspec.json.encode(model_data(model))


def search_entry(hit: SearchHit, library: Path) -> bytes:
    """An object, as it stands in the list of `search_models_fts`."""
    return msgspec.json.encode(search_item(hit, library))
