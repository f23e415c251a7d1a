"""Records of `PumasApi` → the answers of the desktop app, and errors → texts for people.

This is the only place of the server that turns an error into a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import UNSET

from pumas import models, organised, repos
from pumas.errors import NotFound
from pumas.library.ready import model_data, search_item
from pumas.rpc import params, responses
from pumas.rpc.pieced import PiecedText
from pumas.upstream import NetworkStatus

_GIB = 1024**3


def models_response(listed: Sequence[models.Model]) -> responses.ModelsResponse:
    """`get_models`: by id, in order of ids."""
    return responses.ModelsResponse(models={model.model_id: model_data(model) for model in listed})


def ready_models_response(listing: Sequence[bytes]) -> PiecedText:
    """`get_models` from ready bytes; the same text as `models_response` gives."""
    return PiecedText([b'{"success":true,"models":', *listing, b"}"])


def search_response(page: models.SearchPage, library: Path) -> responses.FTSSearchResponse:
    """`search_models_fts`; `library` makes file paths absolute."""
    return responses.FTSSearchResponse(
        models=[search_item(hit, library) for hit in page.hits],
        total_count=page.total_count,
        query_time_ms=page.query_time_ms,
        query=page.query,
    )


def ready_search_response(page: models.ReadyPage) -> PiecedText:
    """`search_models_fts`, its hits joined from ready bytes; the same text as `search_response` gives."""
    figures = {"total_count": page.total_count, "query_time_ms": page.query_time_ms, "query": page.query}
    return PiecedText([b'{"success":true,"models":', page.hits, b",", msgspec.json.encode(figures)[1:]])


def library_status_response(status: models.LibraryStatus) -> responses.GetLibraryStatusResponse:
    """`get_library_status`."""
    return responses.GetLibraryStatusResponse(
        indexing=status.is_indexing,
        deep_scan_in_progress=False,
        model_count=status.model_count,
        pending_lookups=status.pending_lookups,
    )


def hub_search_response(found: repos.HubSearch) -> responses.HubSearchResponse:
    """`search_hf_models` and `get_related_models`."""
    return responses.HubSearchResponse(
        models=tuple(map(_hub_model, found.models)), stale=True if found.is_stale else UNSET
    )


def _hub_model(model: repos.HubModel) -> responses.HuggingFaceModel:
    return responses.HuggingFaceModel(
        repo_id=model.repo_id,
        name=model.name,
        developer=model.developer,
        kind=model.kind,
        formats=model.formats,
        quants=tuple(option.quantization for option in model.options),
        url=model.url,
        release_date=model.changed_at,
        downloads=model.downloads,
        total_size_bytes=model.total_size_bytes,
        quant_sizes={one.quantization: one.size_bytes for one in model.options if one.size_bytes is not None},
        download_options=tuple(
            responses.DownloadOptionData(quant=one.quantization, size_bytes=one.size_bytes) for one in model.options
        ),
    )


def shards_response(sets: Sequence[models.ShardSet]) -> responses.DetectShardedSetsResponse:
    """`detect_sharded_sets`."""
    groups = {}
    for one in sets:
        validation = responses.ShardValidation(
            complete=one.is_complete,
            missing_shards=one.missing,
            total_expected=one.expected_count,
            total_found=one.found_count,
            error=one.error,
        )
        groups[one.name] = responses.ShardedSetGroup(files=one.files, validation=validation)
    return responses.DetectShardedSetsResponse(groups=groups)


def embedded_metadata_response(embedded: models.EmbeddedMetadata) -> responses.EmbeddedMetadataResponse:
    """`get_embedded_metadata`."""
    return responses.EmbeddedMetadataResponse(
        success=embedded.error is None,
        file_type=embedded.file_type,
        metadata=embedded.metadata,
        error=UNSET if embedded.error is None else embedded.error,
    )


def file_type_response(checked: models.FileType) -> responses.FileTypeValidationResponse:
    """`validate_file_type`; a file that can't be read fails the call, one of no known format does not."""
    return responses.FileTypeValidationResponse(
        success=checked.detected_type != "error",
        valid=checked.is_valid,
        detected_type=checked.detected_type,
        error=checked.error,
    )


def writable_response(files: Sequence[models.Writable]) -> responses.CheckFilesWritableResponse:
    """`check_files_writable`."""
    return responses.CheckFilesWritableResponse(
        all_writable=all(file.is_writable for file in files),
        details=[
            responses.FileWritable(
                path=file.path, writable=file.is_writable, reason=UNSET if file.is_writable else file.reason
            )
            for file in files
        ],
    )


def disk_space_response(space: models.DiskSpace) -> responses.DiskSpaceResponse:
    """`get_disk_space`."""
    return responses.DiskSpaceResponse(
        total=space.total_bytes, used=space.used_bytes, free=space.free_bytes, percent=space.used_percent
    )


def network_status_response(status: NetworkStatus) -> responses.NetworkStatusResponse:
    """`get_network_status`."""
    return responses.NetworkStatusResponse(
        total_requests=status.total_requests,
        successful_requests=status.successful_requests,
        failed_requests=status.failed_requests,
        circuit_breaker_rejections=status.circuit_breaker_rejections,
        retries=status.retries,
        success_rate=round(status.success_rate, 1),
        circuit_states=dict(status.circuit_states),
        is_offline=status.is_offline,
    )


def resources_response(sample: models.Resources) -> responses.SystemResourcesResponse:
    """`get_system_resources`."""
    disk = sample.disk
    return responses.SystemResourcesResponse(
        resources=responses.ResourceLoads(
            cpu=responses.CpuLoad(usage=sample.cpu_percent),
            gpu=gpu_load(sample.gpus),
            ram=responses.RamLoad(usage=sample.ram_used_percent, total=_gib(sample.ram_total_bytes)),
            disk=responses.DiskLoad(
                usage=_gib(disk.used_bytes), total=_gib(disk.total_bytes), free=_gib(disk.free_bytes)
            ),
        )
    )


def gpu_load(gpus: Sequence[models.Gpu]) -> responses.GpuLoad:
    """All GPUs as the one that the app shows: memory summed, usage averaged, the hottest temperature (S-6)."""
    if not gpus:
        return responses.GpuLoad()
    temperatures = [gpu.temperature_c for gpu in gpus if gpu.temperature_c is not None]
    return responses.GpuLoad(
        usage=round(sum(gpu.usage_percent for gpu in gpus) / len(gpus), 1),
        memory=_gib(sum(gpu.used_bytes for gpu in gpus)),
        memory_total=_gib(sum(gpu.total_bytes for gpu in gpus)),
        temp=max(temperatures) if temperatures else UNSET,
    )


def _gib(size_bytes: int) -> float:
    return round(size_bytes / _GIB, 1)


def status_response(status: models.Status) -> responses.StatusResponse:
    """`get_status`."""
    loads = {
        app_id: responses.AppLoadData(cpu=load.cpu_percent, ram_memory=load.ram_gib, gpu_memory=load.gpu_gib)
        for app_id, load in status.app_loads.items()
    }
    return responses.StatusResponse(
        version=status.version,
        deps_ready=not status.missing_tools,
        missing_deps=status.missing_tools,
        patched=status.is_patched,
        menu_shortcut=status.has_menu_shortcut,
        desktop_shortcut=status.has_desktop_shortcut,
        shortcut_version=status.active_version,
        comfyui_running="comfyui" in loads,
        running_processes=[],
        app_resources=loads,
        message=status.message,
        release_info=responses.ReleaseInfo(
            has_update=status.release.has_update,
            latest_version=status.release.latest_version,
            current_version=status.release.current_version,
        ),
        last_launch_log=status.last_launch_log,
        last_launch_error=status.last_launch_error,
    )


def import_request(spec: params.ImportSpec) -> models.ImportRequest:
    """One element of `import_specs`; the content decides on the type where none is given."""
    given = {name: value for name in spec.__struct_fields__ if (value := getattr(spec, name))}
    return msgspec.convert(given, models.ImportRequest)


def import_response(result: models.ImportResult) -> responses.ImportResponse:
    """Answer of `import_model`."""
    if result.error is not None:
        return responses.ImportResponse(success=False, error=result.error)
    return responses.ImportResponse(model_path=str(result.model_path))


def import_batch_response(results: Sequence[models.ImportResult]) -> responses.ImportBatchResponse:
    """Answer of `import_batch`."""
    failed = sum(result.error is not None for result in results)
    return responses.ImportBatchResponse(
        success=not failed,
        imported=len(results) - failed,
        failed=failed,
        results=[_import_result(result) for result in results],
    )


def _import_result(result: models.ImportResult) -> responses.ModelImportResult:
    if result.error is None:
        return responses.ModelImportResult(path=result.path, success=True, model_path=str(result.model_path))
    error = "Path does not exist" if result.error_kind == NotFound.kind else result.error
    return responses.ModelImportResult(path=result.path, success=False, error=error)


def job_data(snapshot: models.JobSnapshot) -> responses.JobData:
    """One job."""
    return msgspec.convert(snapshot, responses.JobData, from_attributes=True)


def removal_plan_response(plan: organised.RemovalPlan) -> responses.RemovalPlanResponse:
    """`plan_removal`."""
    return responses.RemovalPlanResponse(
        model_id=plan.model_id,
        folder=str(plan.folder),
        files=[
            responses.RemovalFile(path=file.path, size=file.size_bytes, is_hard_linked=file.is_shared)
            for file in plan.files
        ],
        size=plan.size_bytes,
        links=[msgspec.convert(link, responses.RemovalLink, from_attributes=True) for link in plan.links],
        refusal=plan.refusal,
    )


def trashed_model(entry: organised.TrashedModel) -> responses.TrashedModelData:
    """One model in the trash."""
    return responses.TrashedModelData(
        entry_id=entry.entry_id,
        model_id=entry.model_id,
        official_name=entry.official_name,
        removed_at=entry.removed_at,
        size=entry.size_bytes,
        file_count=entry.file_count,
        problem=entry.problem,
    )


def empty_trash_response(report: organised.TrashReport) -> responses.EmptyTrashResponse:
    """`empty_trash`; success means that all of it is gone."""
    return responses.EmptyTrashResponse(
        success=not report.problems,
        error="; ".join(report.problems) or UNSET,
        deleted=[trashed_model(entry) for entry in report.deleted],
        size=report.size_bytes,
        errors=list(report.problems),
    )


def model_response(model: models.Model) -> responses.ModelResponse:
    """`edit_model`."""
    return responses.ModelResponse(model=model_data(model))


def reidentified_response(done: Sequence[organised.Reidentified]) -> responses.ReidentifiedResponse:
    """`reidentify_models`; success means that all could be identified."""
    return responses.ReidentifiedResponse(
        success=all(one.problem is None for one in done),
        error=next((f"{one.model_id}: {one.problem}" for one in done if one.problem is not None), UNSET),
        models=[_reidentified(one) for one in done],
    )


def _reidentified(one: organised.Reidentified) -> responses.ReidentifiedData:
    return responses.ReidentifiedData(
        model_id=one.model_id,
        changes={
            name: responses.FieldChange(before=before, after=after) for name, (before, after) in one.changes.items()
        },
        kept=one.kept,
        evidence=one.kind.evidence if one.kind else (),
        confidence=one.kind.confidence if one.kind else 0.0,
        error=UNSET if one.problem is None else one.problem,
    )


def review_response(items: Sequence[organised.ReviewItem]) -> responses.ReviewResponse:
    """`list_models_needing_review`."""
    return responses.ReviewResponse(
        models=[
            responses.ReviewData(model_id=item.model.model_id, model=model_data(item.model), reason=item.reason)
            for item in items
        ]
    )


def shared_storage_response(found: organised.SharedStorage) -> responses.ScanSharedStorageResponse:
    """`scan_shared_storage`; custom nodes lie in the folders of apps, never in shared ones."""
    return responses.ScanSharedStorageResponse(
        result=responses.SharedStorageData(
            modelsFound=found.model_count,
            workflowsFound=found.workflow_count,
            customNodesFound=0,
            totalSize=found.size_bytes,
        )
    )
