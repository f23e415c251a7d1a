"""What the documents of `launcher-data` hold (`storage.md` §4.5 and §5).

    metadata/versions.json                           installed versions of ComfyUI
    metadata/versions-<safe app>.json                of another app
    metadata/models.json custom_nodes.json workflows.json    old catalogues: kept, never written
    config/version-configs/<tag>-config.json         settings of one version: kept, never written
    config/model-library-translation/<app>_<version>_<variant>.json    which models an app is shown
    cache/github-releases.json                       releases of ComfyUI
    cache/github-releases-<safe owner-name>.json     of another repository
    cache/release-pages.json                         marks of their pages, ours alone: losing it costs a few requests
    cache/installation-state.json                    the running or last install of ComfyUI
    cache/installation-state-<safe app>.json         of another app
    cache/release-requirements.json release-sizes.json package-sizes.json    what a version needs, and its size
    cache/constraints-cache.json                     tag -> package -> specifier
    cache/launcher-update-check.json                 the last look for a new launcher

These are views, not checks: see `library_documents`. The names of fields are the original's.
"""

from __future__ import annotations

from typing import Any, TypedDict


class InstalledVersion(TypedDict, total=False):
    """One installed version; `path` is relative to the root."""

    path: str
    installedDate: str
    pythonVersion: str  # ComfyUI only
    releaseTag: str
    downloadUrl: str  # Ollama only, as `size`
    size: int
    gitCommit: str
    releaseDate: str
    releaseNotes: str
    requirementsHash: str
    dependenciesInstalled: bool


class Versions(TypedDict, total=False):
    """`versions.json`: tag -> version, and the two that were chosen."""

    installed: dict[str, InstalledVersion]
    lastSelectedVersion: str | None
    defaultVersion: str | None


class CatalogueEntry(TypedDict, total=False):
    """One entry of `models.json`, by path."""

    path: str
    size: int
    sha256: str
    addedDate: str
    lastUsed: str
    tags: list[str]
    modelType: str
    resolution: str | None
    usedByVersions: list[str]
    source: str
    baseModel: str | None


class NodeCompatibility(TypedDict, total=False):
    """What is known of a custom node in one version."""

    status: str
    checkedAt: str
    requirementsHash: str
    reason: str | None
    conflictingPackages: list[str] | None
    additionalRequirements: list[str] | None


class CustomNode(TypedDict, total=False):
    """One entry of `custom_nodes.json`, by node name."""

    cacheRepo: str
    gitUrl: str
    lastFetched: str
    availableTags: list[str]
    latestCommit: str
    hasRequirements: bool
    tags: list[str]
    description: str
    compatibilityCache: dict[str, NodeCompatibility]


class Workflow(TypedDict, total=False):
    """One entry of `workflows.json`, by workflow name."""

    path: str
    createdDate: str
    modifiedDate: str
    usedByVersions: list[str]
    tags: list[str]
    description: str
    requiredNodes: list[str]
    requiredModels: list[str]


class VersionNode(TypedDict, total=False):
    """A custom node as one version has it."""

    enabled: bool
    gitCommit: str
    gitTag: str | None
    installDate: str
    compatibilityStatus: str
    incompatibilityReason: str | None
    conflictingPackages: list[str] | None
    requirementsInstalled: bool


class VersionConfig(TypedDict, total=False):
    """`<tag>-config.json`."""

    version: str
    customNodes: dict[str, VersionNode]
    launchArgs: list[str]
    pythonPath: str
    uvPath: str
    requirements: dict[str, str]
    requirementsHash: str


class MappingRule(TypedDict, total=False):
    """One rule of a mapping config; `target_subdir` is below the app's models folder."""

    name: str
    description: str
    method: str
    target_subdir: str
    patterns: list[str] | str
    link_type: str
    filters: dict[str, Any]
    enabled: bool
    priority: float


class MappingConfig(TypedDict, total=False):
    """`<app>_<version>_<variant>.json`; only `mappings` is read."""

    app: str
    version: str
    variant: str
    description: str
    created_at: str
    updated_at: str
    mappings: list[MappingRule]


class ReleaseCache(TypedDict, total=False):
    """`github-releases.json`: releases as GitHub gave them, newest first; `ttl` in seconds."""

    lastFetched: str
    ttl: int
    releases: list[dict[str, Any]]


class ReleasePage(TypedDict, total=False):
    """One page of a release list: what GitHub calls its state, and how many releases of the list it holds."""

    etag: str | None
    count: int
    isFull: bool


class ReleasePages(TypedDict, total=False):
    """One entry of `release-pages.json`, by `owner/name`; it belongs to the list with the same `lastFetched`."""

    lastFetched: str
    pages: list[ReleasePage]


class InstalledItem(TypedDict, total=False):
    """What an install has finished: an `archive` or a `package`."""

    name: str
    type: str
    size: int | None
    completed_at: str


class InstallState(TypedDict, total=False):
    """`installation-state.json` (`versions.md` §5.1); without `completed_at` it is running."""

    tag: str
    started_at: str
    stage: str
    stage_progress: int
    overall_progress: int
    current_item: str | None
    download_speed: float | None
    eta_seconds: int | None
    total_size: int | None
    downloaded_bytes: int
    dependency_count: int | None
    completed_dependencies: int
    completed_items: list[InstalledItem]
    error: str | None
    pid: int | None
    log_path: str | None
    total_weight: int
    completed_weight: int
    completed_at: str
    success: bool


class ReleaseRequirements(TypedDict, total=False):
    """One entry of `release-requirements.json`, by tag."""

    requirements_txt: str
    requirements_hash: str  # "sha256:<hex>"
    fetched_at: str
    source_url: str


class ReleaseSize(TypedDict, total=False):
    """One entry of `release-sizes.json`, by tag; sizes in bytes."""

    tag: str
    total_size: int
    archive_size: int
    dependencies_size: int
    dependency_count: int
    unknown_size_count: int
    dependencies: list[Any]
    requirements_hash: str
    calculated_at: str
    platform: str
    python_version: str
    dependencies_size_source: str


class PackageSize(TypedDict, total=False):
    """One package of `package-sizes.json`, by `<specifier>|<platform>|<python>`."""

    size: int
    dependencies: list[Any]
    platform: str
    python_version: str
    checked_at: str
    wheel_filename: str
    resolved_version: str


class PackageSizes(TypedDict, total=False):
    """`package-sizes.json`."""

    packages: dict[str, PackageSize]
    last_updated: str


class UpdateCheck(TypedDict, total=False):
    """`launcher-update-check.json`; `lastChecked` is local time."""

    lastChecked: str
    result: dict[str, Any]
