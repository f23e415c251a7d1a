"""One model document → one record, whatever form its fields have.

A document may be written by another program or by hand: a field of a wrong form is read as far as it goes and never
keeps a model from being listed (L-28).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pumas.library.related import related_available
from pumas.models import Model

_MODEL_SUFFIXES = (".gguf", ".safetensors", ".ckpt", ".pt", ".bin")  # `storage.md` §4.2, `hashes`


def model_of(model_id: str, metadata_json: str) -> Model | None:
    """Make the record of a row of the index; None when the text is not a JSON object."""
    try:
        document = msgspec.json.decode(metadata_json)
    except (msgspec.DecodeError, RecursionError, TypeError):  # TypeError: the column of a damaged row
        return None
    return record_of(model_id, document) if isinstance(document, dict) else None


def record_of(model_id: str, document: Mapping[str, object]) -> Model:
    """Make the record of a document."""
    return Model(
        model_id=model_id,
        official_name=_text(document.get("official_name")),
        cleaned_name=_text(document.get("cleaned_name")),
        model_type=_text(document.get("model_type")),
        subtype=_text(document.get("subtype")),
        family=_text(document.get("family")),
        description=_text(document.get("description")),
        tags=tags_of(document.get("tags")),
        size_bytes=_whole_number(document.get("size_bytes")),
        added_at=_text(document.get("added_date")) or None,
        primary_file=_primary_file(document.get("files")),
        is_related_available=related_available(document),
    )


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return str(value) if is_number else ""


def tags_of(value: object) -> tuple[str, ...]:
    """The tags of a document, whatever form they have."""
    if isinstance(value, str):
        return (value,) if value else ()
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, list):
        return ()
    return tuple(text for text in map(_text, value) if text)


def _whole_number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value)


def _primary_file(files: object) -> str | None:
    if not isinstance(files, list):
        return None
    best: tuple[int, str] | None = None
    for entry in files:
        if not isinstance(entry, Mapping):
            continue
        name, size = entry.get("name"), _whole_number(entry.get("size"))
        if isinstance(name, str) and is_model_file(name) and (best is None or (size or 0) > best[0]):
            best = (size or 0, name)
    return best[1] if best else None


def is_model_file(name: str) -> bool:
    """Whether a name, below the folder of a model, is that of a file of weights."""
    # PERF: pathlib here doubles the time of listing 10,000 models (bench_http).
    if not name.lower().endswith(_MODEL_SUFFIXES):
        return False
    return not name.startswith("/") and "\0" not in name and ".." not in name.split("/")
