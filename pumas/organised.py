"""Records of what is done to the models of a library: removal, trash, edits, identification again."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pumas.models import Model, ModelKind, Record


class ModelLink(Record, frozen=True, kw_only=True):
    """A link in the folder of an app that leads to a file of a model."""

    target_path: str
    """Where the link lies."""
    app_id: str
    app_version: str


class FolderFile(Record, frozen=True, kw_only=True):
    """One file in the folder of a model; a link counts as what it is, whatever it shows."""

    path: str
    """Below the model's folder; bytes that are no UTF-8 are `\\xNN`."""
    size_bytes: int
    is_shared: bool
    """The file has other names (hard links): deleting this one frees nothing."""


class RemovalPlan(Record, frozen=True, kw_only=True):
    """What removing a model would move to the trash."""

    model_id: str
    folder: Path
    files: tuple[FolderFile, ...]
    """All that lies in the folder, in order of paths."""
    size_bytes: int
    links: tuple[ModelLink, ...]
    """What refers to it."""
    refusal: str | None
    """Why it can't be removed now."""


class TrashedModel(Record, frozen=True, kw_only=True):
    """A model in the trash."""

    entry_id: str
    """Names it in the trash; entries are in order of time."""
    model_id: str
    """What it was in the library, and will be again."""
    official_name: str
    removed_at: str
    """ISO 8601, UTC."""
    size_bytes: int
    file_count: int
    problem: str | None = None
    """Why it can't be restored; what else is known then is only the entry."""


class TrashReport(Record, frozen=True, kw_only=True):
    """What emptying the trash did."""

    deleted: tuple[TrashedModel, ...]
    size_bytes: int
    """Of what was deleted; files with other names elsewhere count too."""
    problems: tuple[str, ...]
    """What could not be deleted, and why."""


EDITABLE_FIELDS = (
    "official_name", "family", "model_type", "subtype", "tags", "preview_image", "notes", "description",
)  # fmt: skip
"""Fields of a model that a user may set."""


class ModelEdit(Record, frozen=True, kw_only=True):
    """What a user says of a model; None for what is to stay as it is."""

    official_name: str | None = None
    family: str | None = None
    model_type: str | None = None
    subtype: str | None = None
    tags: tuple[str, ...] | None = None
    """All tags; then `add_tags` and `remove_tags` are applied."""
    preview_image: str | None = None
    """Name of a file in the model's folder; empty for none."""
    notes: str | None = None
    description: str | None = None
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()
    released: tuple[str, ...] = ()
    """Fields that were set by hand, and that identification and look-ups may decide again."""


class Reidentified(Record, frozen=True, kw_only=True):
    """What identifying a model again found, and changed."""

    model_id: str
    kind: ModelKind | None = None
    changes: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    """What stood there and what stands there now, by field."""
    kept: tuple[str, ...] = ()
    """Fields that were set by hand, and stay."""
    problem: str | None = None
    """Why it could not be identified; nothing was changed then."""


class ReviewItem(Record, frozen=True, kw_only=True):
    """A model whose user should look what it is."""

    model: Model
    reason: str


class SharedStorage(Record, frozen=True, kw_only=True):
    """What lies in the folders that all apps share."""

    model_count: int
    workflow_count: int
    size_bytes: int
    """Of models, as their documents say, and of everything in the folder of workflows."""
