"""Records of what the hub knows of files and models that lie here."""

from __future__ import annotations

from typing import Literal

import msgspec

from pumas.models import Record

MatchMethod = Literal["hash", "filename_exact", "filename_fuzzy", ""]
"""How a repo was found: it has a file of the same SHA-256, or its name is (nearly) what the file's name says; empty for
one that was named, and has no such file."""


class HubMatch(Record, frozen=True, kw_only=True):
    """The repo of the hub that a file most likely came from; what is not known is empty."""

    repo_id: str
    official_name: str
    family: str
    """Guessed from the name; `unknown` if it says nothing."""
    model_type: str
    subtype: str = ""
    variant: str
    precision: str
    tags: tuple[str, ...]
    base_model: str
    """The repo that it was made from, as its tags say."""
    download_url: str
    description: str = ""
    method: MatchMethod
    confidence: float
    """1 for equal content and what was named, else how alike the names are."""
    requires_confirmation: bool
    """Whether a user should say that it is this repo."""
    is_named: bool = False
    """Whether a user, or the document of the model, says that it is this repo."""
    matched_file: str = ""
    """The file of the repo that has the same content, or should have by its name."""
    expected_sha256: str = ""
    """Of that file, as the hub declares it."""
    has_other_content: bool = False
    """Whether `matched_file` has the file's name and another content."""
    fast_hash: str = ""
    """Of the file (`pumas.library.fast_hash`); empty when there is none."""


class Lookup(Record, frozen=True, kw_only=True):
    """What looking up a file or a model gave."""

    match: HubMatch | None
    """None when nothing fits."""
    asked_at: str = ""
    """When the hub was asked, ISO 8601, if that was an earlier time and it knew nothing."""
    is_stale: bool = False
    """The hub could not be asked now: it answered so before."""


class ModelLookup(Record, frozen=True, kw_only=True):
    """What looking up a model of the library gave, and what of it went into its document."""

    model_id: str
    match: HubMatch | None
    changes: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    """What stood there and what stands there now, or would, by field."""
    kept: tuple[str, ...] = ()
    """Fields that the hub says otherwise, and that stay: a user set them, or they were there before."""
    is_written: bool = False
    told: str = ""
    """Why nothing was written, for people."""
    asked_at: str = ""
    is_stale: bool = False
    """As of `Lookup`, both."""
