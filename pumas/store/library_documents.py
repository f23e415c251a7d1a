"""What the documents of a model folder hold (`storage.md` §4).

    {lib}/<model type>/<family>/<name>/metadata.json     makes the folder a model
    {lib}/<model type>/<family>/<name>/overrides.json    the user's own settings

These are views, not checks: a document on disk may lack any field, hold others, and hold fields of another type. It is
a plain `dict` that keeps unknown keys and the order of all keys.
"""

from __future__ import annotations

from typing import Any, TypedDict


class ModelFile(TypedDict, total=False):
    """One file of a model: its name now and before the import, and its bytes.

    `sha256` and `blake3` are computed from the file and never replaced; what a hub says of it has a field of its own.
    The original declares the two and writes neither, and keeps fields that it does not know.
    """

    name: str
    original_name: str
    size: int
    sha256: str
    blake3: str
    mtime_ns: int  # of the file when its digests were recorded
    declared_sha256: str  # what the hub declared before the file was downloaded


class Hashes(TypedDict, total=False):
    """Lower-case hex of the primary file; empty text when there is none."""

    sha256: str
    blake3: str


class Metadata(TypedDict, total=False):
    """`metadata.json`; a writer sets the fields up to `files`, in this order. The last three are ours."""

    model_id: str  # name of the folder, not the id that the library uses
    family: str
    model_type: str
    subtype: str
    official_name: str
    cleaned_name: str
    tags: list[str]
    base_model: str | list[str] | dict[str, Any]
    preview_image: str
    release_date: str
    download_url: str
    model_card: dict[str, Any]
    inference_settings: dict[str, Any]
    compatible_apps: list[Any]
    hashes: Hashes
    notes: str
    added_date: str
    updated_date: str
    size_bytes: int
    files: list[ModelFile]
    match_source: str  # `manual` protects the fields from look-ups
    match_method: str
    match_confidence: float
    pending_online_lookup: bool
    lookup_attempts: int
    last_lookup_attempt: str
    description: str
    edited_fields: list[str]  # set by hand: neither look-ups nor identification change them
    needs_review: bool  # only the name of a file says what it is
    hub_fields: list[str]  # filled by a look-up on the hub, which may write them again


class Overrides(TypedDict, total=False):
    """`overrides.json`."""

    version_ranges: dict[str, str]  # app id, any case -> version specifier such as ">=0.6.0,<1"
