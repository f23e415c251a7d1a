"""The shapes of links and mappings that the desktop app reads (`types.schema.json`)."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from pumas.rpc.responses import Response


class MappingAction(Struct, frozen=True, kw_only=True):
    """One file, and where the rules want it."""

    model_id: str
    model_name: str
    source_path: str
    target_path: str
    link_type: str | UnsetType = UNSET
    reason: str
    existing_target: str | UnsetType = UNSET


class BrokenLinkToRemove(Struct, frozen=True, kw_only=True):
    """A link that is to go."""

    target_path: str
    existing_target: str
    reason: str


class MappingPreviewResponse(Response, frozen=True, kw_only=True):
    """Answer of `preview_model_mapping`."""

    to_create: list[MappingAction]
    to_skip_exists: list[MappingAction]
    conflicts: list[MappingAction]
    broken_to_remove: list[BrokenLinkToRemove]
    total_actions: int
    warnings: list[str]
    errors: list[str]


class ApplyModelMappingResponse(Response, frozen=True, kw_only=True):
    """Answer of `apply_model_mapping`."""

    links_created: int
    links_removed: int
    total_links: int


class IncrementalSyncResponse(Response, frozen=True, kw_only=True):
    """Answer of `sync_models_incremental`."""

    links_created: int
    links_updated: int
    links_skipped: int


class SyncWithResolutionsResponse(Response, frozen=True, kw_only=True):
    """Answer of `sync_with_resolutions`."""

    links_created: int
    links_skipped: int
    links_renamed: int
    overwrites: int
    errors: list[str]


class RefreshMappingsResponse(Response, frozen=True, kw_only=True):
    """Answer of `refresh_model_mappings`: links in place by version."""

    results: dict[str, int]


class BrokenLinkInfo(Struct, frozen=True, kw_only=True):
    """A row of the register that is not true any more."""

    link_id: int
    target_path: str
    expected_source: str
    model_id: str
    reason: str


class LinkHealthResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_link_health`."""

    status: str
    total_links: int
    healthy_links: int
    broken_links: list[BrokenLinkInfo]
    orphaned_links: list[str]
    warnings: list[str]
    errors: list[str]


class CleanBrokenLinksResponse(Response, frozen=True, kw_only=True):
    """Answer of `clean_broken_links`."""

    cleaned: int


class RemoveOrphanedLinksResponse(Response, frozen=True, kw_only=True):
    """Answer of `remove_orphaned_links`."""

    removed: int


class DeleteModelCascadeResponse(Response, frozen=True, kw_only=True):
    """Answer of `delete_model_with_cascade`."""

    links_removed: int


class LinkInfo(Struct, frozen=True, kw_only=True):
    """One row of the register."""

    link_id: int
    model_id: str
    source_path: str
    target_path: str
    link_type: str
    app_id: str
    app_version: str
    is_external: bool
    created_at: str


class GetLinksForModelResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_links_for_model`."""

    links: list[LinkInfo]


class FileLinkCountResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_file_link_count`."""

    link_count: int
    is_hard_linked: bool


class CrossFilesystemWarningResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_cross_filesystem_warning`."""

    cross_filesystem: bool
    library_path: str | UnsetType = UNSET
    app_path: str | UnsetType = UNSET
    warning: str | UnsetType = UNSET
    recommendation: str | UnsetType = UNSET


class SandboxInfoResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_sandbox_info`."""

    is_sandboxed: bool
    sandbox_type: str
    limitations: list[str]


class LinkExclusionsResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_link_exclusions`."""

    model_ids: list[str]
