"""Records of links: what is registered, what a mapping would do, what it did, and whether links are sound."""

from __future__ import annotations

from typing import Literal

from pumas.models import Record

LinkType = Literal["symlink", "hardlink", "copy"]
"""What lies at the target; one that shares the content of its source until either is written is a copy."""


class Link(Record, frozen=True, kw_only=True):
    """One row of the register."""

    link_id: int
    model_id: str
    source_path: str
    """Absolute, of the model's file."""
    target_path: str
    """Absolute, where the link lies."""
    link_type: LinkType
    app_id: str
    app_version: str
    """Without the `v` of the tag."""
    is_external: bool
    """Source and target lie on different file systems."""
    created_at: str
    """ISO 8601, UTC."""


class PlannedLink(Record, frozen=True, kw_only=True):
    """One file of a model, and where the rules want it."""

    model_id: str
    model_name: str
    source_path: str
    target_path: str
    link_type: LinkType
    link_text: str
    """What a symbolic link says; of the others the path of the source."""
    is_external: bool
    existing: str | None = None
    """What lies there and is in the way: where a link leads to; None of what is no link."""


class DeadLink(Record, frozen=True, kw_only=True):
    """A link that is to go."""

    target_path: str
    link_text: str
    """What a symbolic link says; empty of a hard link or a copy."""
    is_broken: bool
    """It leads nowhere; else its model is excluded from the app."""


class LinkPlan(Record, frozen=True, kw_only=True):
    """What applying the mapping to one version would do; each file stands in one of the first four."""

    to_create: tuple[PlannedLink, ...] = ()
    to_replace: tuple[PlannedLink, ...] = ()
    """A link of ours lies there that leads to another file of the library."""
    in_place: tuple[PlannedLink, ...] = ()
    conflicts: tuple[PlannedLink, ...] = ()
    """Something that is not ours lies there; it stays until the user chooses."""
    to_remove: tuple[DeadLink, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    """What is wrong with rules; those rules make no links."""
    has_rules: bool = True
    """Whether any document is for the version."""


class SyncReport(Record, frozen=True, kw_only=True):
    """What was done to the links of one version."""

    created: int = 0
    updated: int = 0
    """Links of ours that led elsewhere, or that the user chose to overwrite."""
    removed: int = 0
    unchanged: int = 0
    """Links that were right already."""
    skipped: int = 0
    """Conflicts that were left as they are."""
    renamed: int = 0
    """What lay at a target and has another name now."""
    overwritten: int = 0
    errors: tuple[str, ...] = ()

    @property
    def in_place(self) -> int:
        """Links that are right now."""
        return self.created + self.updated + self.unchanged


class BrokenLink(Record, frozen=True, kw_only=True):
    """A row of the register that is not true any more."""

    link_id: int
    target_path: str
    source_path: str
    model_id: str
    reason: Literal["target_missing", "leads_nowhere", "source_missing"]


class LinkHealth(Record, frozen=True, kw_only=True):
    """Whether the links in the register are sound."""

    total_count: int
    broken: tuple[BrokenLink, ...]
    orphans: tuple[str, ...]
    """Links in the models folder of the version asked for that nobody registered, in order of paths."""
    external_count: int
    """Links to another file system."""
    foreign_count: int
    """Rows whose target lies outside this launcher root; nothing is ever done at those."""


class CleanReport(Record, frozen=True, kw_only=True):
    """What a clean-up removed."""

    removed: int
    """Targets at which nothing lies now."""
    forgotten: int = 0
    """Rows of the register that went."""
    problems: tuple[str, ...] = ()
    """What could not be removed, and why."""


class SandboxInfo(Record, frozen=True, kw_only=True):
    """Whether Pumas runs in a sandbox or a container."""

    kind: Literal["flatpak", "snap", "docker", "appimage", "none"]
    limitations: tuple[str, ...] = ()
    """What that means, a sentence each."""
    needs: tuple[str, ...] = ()
    """What links need to be permitted there."""
