"""The shapes that the desktop app reads (`types.schema.json`); they exist only for it.

A field that is not known is left out, not null, where the app's type does not allow null.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from pumas.library.ready import ModelData, SearchItem
from pumas.models import ImportCandidate

Number = int | float


class Response(Struct, frozen=True, kw_only=True):
    """Base of all answers with a `success` field."""

    success: bool = True
    error: str | UnsetType = UNSET


class Health(Struct, frozen=True):
    """Answer of `health_check` and `shutdown`."""

    status: str


class Running(Response, frozen=True, kw_only=True):
    """The call took too long to be waited for; the work goes on as a job."""

    job_id: str
    status: str = "running"


class ModelsResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_models`; with `job_id` when the disk is still being looked at."""

    models: dict[str, ModelData]
    job_id: str | UnsetType = UNSET
    status: str | UnsetType = UNSET


class FTSSearchResponse(Response, frozen=True, kw_only=True):
    """Answer of `search_models_fts`."""

    models: list[SearchItem]
    total_count: int
    query_time_ms: float
    query: str


class GetLibraryStatusResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_library_status`."""

    indexing: bool
    deep_scan_in_progress: bool
    model_count: int
    pending_lookups: int


class OverridesResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_model_overrides`."""

    overrides: dict[str, Any]


class CandidatesResponse(Response, frozen=True, kw_only=True):
    """Answer of `classify_model_import_paths`; ours, with the names of our records."""

    candidates: tuple[ImportCandidate, ...]


class DownloadOptionData(Struct, frozen=True, kw_only=True, rename="camel"):
    """One quantization that a repo of the hub offers."""

    quant: str
    size_bytes: Number | None


class HuggingFaceModel(Struct, frozen=True, kw_only=True, rename="camel"):
    """One hit of a search on the hub."""

    repo_id: str
    name: str
    developer: str
    kind: str
    formats: tuple[str, ...]
    quants: tuple[str, ...]
    url: str
    release_date: str
    downloads: Number | None
    total_size_bytes: Number | None
    quant_sizes: dict[str, Number]
    download_options: tuple[DownloadOptionData, ...]


class HubSearchResponse(Response, frozen=True, kw_only=True):
    """Answer of `search_hf_models` and `get_related_models`."""

    models: tuple[HuggingFaceModel, ...]
    stale: bool | UnsetType = UNSET
    """True when the hub could not be asked: it answered so before."""


class ShardValidation(Struct, frozen=True, kw_only=True):
    """Whether a set of files is complete."""

    complete: bool
    missing_shards: tuple[int, ...]
    total_expected: int
    total_found: int
    error: str


class ShardedSetGroup(Struct, frozen=True, kw_only=True):
    """A set of files, or one that stands alone."""

    files: tuple[str, ...]
    validation: ShardValidation


class DetectShardedSetsResponse(Response, frozen=True, kw_only=True):
    """Answer of `detect_sharded_sets`, by the names of the sets."""

    groups: dict[str, ShardedSetGroup]


class EmbeddedMetadataResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_embedded_metadata`."""

    file_type: str
    metadata: dict[str, Any] | None


class FileTypeValidationResponse(Response, frozen=True, kw_only=True):
    """Answer of `validate_file_type`; here `error` is not that of the call."""

    valid: bool
    detected_type: str


class FileWritable(Struct, frozen=True, kw_only=True):
    """One file of `check_files_writable`."""

    path: str
    writable: bool
    reason: str | UnsetType = UNSET


class CheckFilesWritableResponse(Response, frozen=True, kw_only=True):
    """Answer of `check_files_writable`."""

    all_writable: bool
    details: list[FileWritable]


class DiskSpaceResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_disk_space`, in bytes."""

    total: int = 0
    used: int = 0
    free: int = 0
    percent: Number = 0


class CpuLoad(Struct, frozen=True, kw_only=True):
    """Per cent."""

    usage: float = 0.0


class GpuLoad(Struct, frozen=True, kw_only=True):
    """Per cent and GiB."""

    usage: float = 0.0
    memory: float = 0.0
    memory_total: float = 0.0
    temp: float | UnsetType = UNSET


class RamLoad(Struct, frozen=True, kw_only=True):
    """Usage in per cent, total in GiB."""

    usage: float = 0.0
    total: float = 0.0


class DiskLoad(Struct, frozen=True, kw_only=True):
    """GiB."""

    usage: float = 0.0
    total: float = 0.0
    free: float = 0.0


class ResourceLoads(Struct, frozen=True, kw_only=True):
    """All loads; all zero when they can't be read."""

    cpu: CpuLoad = CpuLoad()
    gpu: GpuLoad = GpuLoad()
    ram: RamLoad = RamLoad()
    disk: DiskLoad = DiskLoad()


class SystemResourcesResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_system_resources`."""

    resources: ResourceLoads = ResourceLoads()


class AppLoadData(Struct, frozen=True, kw_only=True):
    """Per cent and GiB."""

    cpu: float
    ram_memory: float
    gpu_memory: float


class ReleaseInfo(Struct, frozen=True, kw_only=True):
    """Whether a newer version is known."""

    has_update: bool
    latest_version: str | None
    current_version: str | None


class StatusResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_status`."""

    version: str
    deps_ready: bool
    missing_deps: tuple[str, ...]
    patched: bool
    menu_shortcut: bool
    desktop_shortcut: bool
    shortcut_version: str | None
    comfyui_running: bool
    running_processes: list[dict[str, Any]]
    app_resources: dict[str, AppLoadData]
    message: str
    release_info: ReleaseInfo
    last_launch_log: str | None
    last_launch_error: str | None


class NetworkStatusResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_network_status`."""

    total_requests: int = 0
    successful_requests: int = 0
    failed_requests: int = 0
    circuit_breaker_rejections: int = 0
    retries: int = 0
    success_rate: float = 0.0
    circuit_states: dict[str, str] = {}
    is_offline: bool = False


class ImportResponse(Response, frozen=True, kw_only=True):
    """Answer of `import_model`."""

    model_path: str | UnsetType = UNSET


class ModelImportResult(Struct, frozen=True, kw_only=True):
    """What became of one element of `import_specs`."""

    path: str
    success: bool
    model_path: str | UnsetType = UNSET
    error: str | UnsetType = UNSET


class ImportBatchResponse(Response, frozen=True, kw_only=True):
    """Answer of `import_batch`."""

    imported: int
    failed: int
    results: list[ModelImportResult]


class FileData(Struct, frozen=True, kw_only=True):
    """How far a job is with one file."""

    name: str
    done: int
    total: int


class JobData(Struct, frozen=True, kw_only=True):
    """One job."""

    job_id: str
    kind: str
    status: str
    done: int
    total: int | None
    stage: str
    created_at: str
    ended_at: str | None
    error: str | None
    files: list[FileData]


class JobResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_job`."""

    job: JobData


class JobsResponse(Response, frozen=True, kw_only=True):
    """Answer of `list_jobs`."""

    jobs: list[JobData]


class RemovalFile(Struct, frozen=True, kw_only=True):
    """One file that a removal would move."""

    path: str
    size: int
    is_hard_linked: bool


class RemovalLink(Struct, frozen=True, kw_only=True):
    """One link that leads to the model."""

    target_path: str
    app_id: str
    app_version: str


class RemovalPlanResponse(Response, frozen=True, kw_only=True):
    """Answer of `plan_removal`."""

    model_id: str
    folder: str
    files: list[RemovalFile]
    size: int
    links: list[RemovalLink]
    refusal: str | None


class TrashedModelData(Struct, frozen=True, kw_only=True):
    """One model in the trash."""

    entry_id: str
    model_id: str
    official_name: str
    removed_at: str
    size: int
    file_count: int
    problem: str | None


class TrashedModelResponse(Response, frozen=True, kw_only=True):
    """Answer of `delete_model` and `restore_from_trash`."""

    model: TrashedModelData


class TrashResponse(Response, frozen=True, kw_only=True):
    """Answer of `list_trash`."""

    models: list[TrashedModelData]


class EmptyTrashResponse(Response, frozen=True, kw_only=True):
    """Answer of `empty_trash`."""

    deleted: list[TrashedModelData]
    size: int
    errors: list[str]


class ModelResponse(Response, frozen=True, kw_only=True):
    """Answer of `edit_model`: the model as it is listed now."""

    model: ModelData


class FieldChange(Struct, frozen=True, kw_only=True):
    """One field that was changed."""

    before: str
    after: str


class ReidentifiedData(Struct, frozen=True, kw_only=True):
    """One model that was identified again."""

    model_id: str
    changes: dict[str, FieldChange]
    kept: tuple[str, ...]
    evidence: tuple[str, ...]
    confidence: float
    error: str | UnsetType = UNSET


class ReidentifiedResponse(Response, frozen=True, kw_only=True):
    """Answer of `reidentify_models`."""

    models: list[ReidentifiedData]


class ReviewData(Struct, frozen=True, kw_only=True):
    """One model that its user should look at."""

    model_id: str
    model: ModelData
    reason: str


class ReviewResponse(Response, frozen=True, kw_only=True):
    """Answer of `list_models_needing_review`."""

    models: list[ReviewData]


class SharedStorageData(Struct, frozen=True, kw_only=True):
    """What lies in the shared folders; bytes."""

    modelsFound: int = 0  # noqa: N815 - the app's name
    workflowsFound: int = 0  # noqa: N815
    customNodesFound: int = 0  # noqa: N815
    totalSize: int = 0  # noqa: N815


class ScanSharedStorageResponse(Response, frozen=True, kw_only=True):
    """Answer of `scan_shared_storage`."""

    result: SharedStorageData
