"""The one table of RPC methods: name, parameters, operation, answer, summary.

Dispatch, parameter checks, `rpc.discover` and the README's table of what works are made from it. A name that is not in
it answers -32601.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from pumas.api import PumasApi
from pumas.config import JOB_WAIT_S, LONG_CALL_WAIT_S, LONG_CALLS, LONG_CALLS_WAITING
from pumas.errors import PumasError, Unavailable
from pumas.jobs import Job
from pumas.models import ImportResult
from pumas.organised import ModelEdit
from pumas.rpc import hub_lookup, params, responses, wrapping
from pumas.rpc.pieced import PiecedText

logger = logging.getLogger(__name__)

T = TypeVar("T")


class StillRunning(Exception):
    """A job was not waited for to its end: the answer names it instead of giving a result."""

    def __init__(self, job: Job[Any]) -> None:
        super().__init__(job.job_id)
        self.job = job


@dataclass(slots=True)
class Session:
    """What a method may use: the open root, and the way to end the server."""

    api: PumasApi
    request_shutdown: Callable[[], None] = lambda: None
    job_wait_s: float = JOB_WAIT_S
    wait_until: float | None = None
    """Moment on the monotonic clock after which no job is waited for; the calls of a batch share one."""
    long_calls: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(LONG_CALLS))
    waiting_calls: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(LONG_CALLS_WAITING)
    )

    @contextmanager
    def long_call(self) -> Iterator[None]:
        """Do something in this thread that may take long, but not on too many of the server's threads at once.

        Raises:
            Unavailable: As many as may are at it, or the calls before it in a batch took all the time.
        """
        wait_s = LONG_CALL_WAIT_S
        if self.wait_until is not None:
            wait_s = min(wait_s, self.wait_until - monotonic())
        if wait_s <= 0 or not (self.long_calls.acquire(blocking=False) or self._has_waited(wait_s)):
            raise Unavailable("Too many long calls are being answered; try again in a moment")
        try:
            yield
        finally:
            self.long_calls.release()

    def _has_waited(self, wait_s: float) -> bool:
        """Whether a long call may begin after a wait, which holds a thread too."""
        if not self.waiting_calls.acquire(blocking=False):
            return False
        try:
            return self.long_calls.acquire(timeout=wait_s)
        finally:
            self.waiting_calls.release()

    def wait_for(self, job: Job[T]) -> T:
        """Wait for a job, but not longer than the client does, and not on too many of the server's threads.

        Raises:
            StillRunning: The wait is over, the work goes on.
            PumasError: Whatever the work raised.
        """
        if not self.long_calls.acquire(blocking=False):
            raise StillRunning(job)
        try:
            timeout = self.job_wait_s
            if self.wait_until is not None:
                timeout = min(timeout, max(0.0, self.wait_until - monotonic()))
            return job.result(timeout)
        except TimeoutError as exc:
            raise StillRunning(job) from exc
        finally:
            self.long_calls.release()


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the table."""

    name: str
    call: Callable[[Session, Any], Struct | PiecedText]
    summary: str
    result: type[Struct]
    params: type[Struct] = params.NoParams
    failure: Mapping[str, object] = field(default_factory=dict)
    """What an answer with `success: false` holds besides `error`."""


def _get_models(session: Session, _: params.NoParams) -> Struct | PiecedText:
    job = session.api.refresh_if_due()
    running = None
    if job is not None:
        try:
            session.wait_for(job)
        except StillRunning:
            running = job.job_id
        except PumasError as exc:
            logger.warning("the disk could not be looked at, the index answers: %s", exc)
    listing = session.api.ready_listing() if running is None else None
    if listing is not None:
        return wrapping.ready_models_response(listing)
    answer = wrapping.models_response(session.api.list_models())
    if running is None:
        return answer
    return responses.ModelsResponse(models=answer.models, job_id=running, status="running")


def _refresh_model_index(session: Session, _: params.NoParams) -> Struct:
    session.wait_for(session.api.refresh_models())
    return responses.Response()


def _get_library_status(session: Session, _: params.NoParams) -> Struct:
    return wrapping.library_status_response(session.api.get_library_status())


def _search_models_fts(session: Session, given: params.SearchParams) -> Struct | PiecedText:
    api = session.api
    ready = api.ready_search(
        given.query, limit=given.limit, offset=given.offset, model_type=given.model_type, tags=given.tags
    )
    if ready is not None:
        return wrapping.ready_search_response(ready)
    page = api.search_models_fts(
        given.query, limit=given.limit, offset=given.offset, model_type=given.model_type, tags=given.tags
    )
    return wrapping.search_response(page, api.library)


def _get_model_overrides(session: Session, given: params.OverridesParams) -> Struct:
    return responses.OverridesResponse(overrides=session.api.get_model_overrides(given.rel_path))


def _update_model_overrides(session: Session, given: params.NewOverridesParams) -> Struct:
    session.api.update_model_overrides(given.rel_path, given.overrides)
    return responses.Response()


def _mark_metadata_as_manual(session: Session, given: params.ModelParams) -> Struct:
    session.wait_for(session.api.mark_metadata_as_manual(given.model_id))
    return responses.Response()


def _edit_model(session: Session, given: params.EditModelParams) -> Struct:
    fields = {name: value for name, value in msgspec.structs.asdict(given).items() if value is not None}
    model_id = fields.pop("model_id")
    edit = msgspec.convert(fields, ModelEdit)
    return wrapping.model_response(session.wait_for(session.api.edit_model(model_id, edit)))


def _reidentify_models(session: Session, given: params.ModelsParams) -> Struct:
    done = session.wait_for(session.api.reidentify_models(given.model_ids))
    return wrapping.reidentified_response(done)


def _list_models_needing_review(session: Session, _: params.NoParams) -> Struct:
    return wrapping.review_response(session.api.list_models_needing_review())


def _scan_shared_storage(session: Session, _: params.NoParams) -> Struct:
    return wrapping.shared_storage_response(session.wait_for(session.api.scan_shared_storage()))


def _plan_removal(session: Session, given: params.ModelParams) -> Struct:
    return wrapping.removal_plan_response(session.api.plan_removal(given.model_id))


def _delete_model(session: Session, given: params.ModelParams) -> Struct:
    trashed = session.wait_for(session.api.delete_model(given.model_id))
    return responses.TrashedModelResponse(model=wrapping.trashed_model(trashed))


def _list_trash(session: Session, _: params.NoParams) -> Struct:
    return responses.TrashResponse(models=[wrapping.trashed_model(entry) for entry in session.api.list_trash()])


def _restore_from_trash(session: Session, given: params.TrashEntryParams) -> Struct:
    restored = session.wait_for(session.api.restore_from_trash(given.entry_id))
    return responses.TrashedModelResponse(model=wrapping.trashed_model(restored))


def _empty_trash(session: Session, given: params.TrashEntriesParams) -> Struct:
    return wrapping.empty_trash_response(session.wait_for(session.api.empty_trash(given.entry_ids)))


def _classify_model_import_paths(session: Session, given: params.PathsParams) -> Struct:
    candidates = session.wait_for(session.api.classify_model_import_paths(given.paths))
    return responses.CandidatesResponse(candidates=candidates)


def _detect_sharded_sets(session: Session, given: params.FilesParams) -> Struct:
    return wrapping.shards_response(session.api.detect_sharded_sets(given.file_paths))


def _get_embedded_metadata(session: Session, given: params.FileParams) -> Struct:
    return wrapping.embedded_metadata_response(session.api.get_embedded_metadata(given.file_path))


def _validate_file_type(session: Session, given: params.FileParams) -> Struct:
    return wrapping.file_type_response(session.api.validate_file_type(given.file_path))


def _check_files_writable(session: Session, given: params.FilesParams) -> Struct:
    return wrapping.writable_response(session.api.check_files_writable(given.file_paths))


def _lookup_hf_metadata_for_file(session: Session, given: params.LookupParams) -> Struct:
    job = session.api.lookup_hf_metadata_for_file(given.filename, given.file_path)
    return hub_lookup.lookup_response(session.wait_for(job))


def _refetch_model_metadata_from_hf(session: Session, given: params.RefetchParams) -> Struct:
    found = session.wait_for(session.api.refetch_model_metadata_from_hf(given.model_id, given.repo_id))
    return hub_lookup.ModelLookupResponse(found=found.match is not None, lookup=found)


def _get_hf_download_details(session: Session, given: params.DetailsParams) -> Struct:
    job = session.api.get_hf_download_details(given.repo_id, given.quant, context=given.context)
    return hub_lookup.DownloadDetailsResponse(details=session.wait_for(job))


def _search_hf_models(session: Session, given: params.HubSearchParams) -> Struct:
    with session.long_call():
        found = session.api.search_hf_models(given.query, kind=given.kind, limit=given.limit)
    return wrapping.hub_search_response(found)


def _get_related_models(session: Session, given: params.RelatedParams) -> Struct:
    with session.long_call():
        found = session.api.get_related_models(given.model_id, limit=given.limit)
    return wrapping.hub_search_response(found)


def _get_status(session: Session, _: params.NoParams) -> Struct:
    return wrapping.status_response(session.api.get_status())


def _get_disk_space(session: Session, _: params.NoParams) -> Struct:
    return wrapping.disk_space_response(session.api.get_disk_space())


def _get_system_resources(session: Session, _: params.NoParams) -> Struct:
    return wrapping.resources_response(session.api.get_system_resources())


def _get_network_status(session: Session, _: params.NoParams) -> Struct:
    return wrapping.network_status_response(session.api.get_network_status())


def _import_model(session: Session, given: params.ImportParams) -> Struct:
    # The desktop app moves; it imports the same bytes a second time when it is asked to.
    job = session.api.import_model(
        given.local_path,
        family=given.family,
        official_name=given.official_name,
        repo_id=given.repo_id,
        mode="move",
        allows_duplicates=True,
    )
    return wrapping.import_response(session.wait_for(job).results[0])


def _import_batch(session: Session, given: params.BatchParams) -> Struct:
    specs = params.read_specs(given.import_specs)
    requests = [wrapping.import_request(spec) for spec in specs if spec.path]
    job = session.api.import_batch(requests, mode="move", allows_duplicates=True)
    done = iter(session.wait_for(job).results)
    nothing = ImportResult(path="", error="Missing path")
    return wrapping.import_batch_response([next(done) if spec.path else nothing for spec in specs])


def _list_jobs(session: Session, _: params.NoParams) -> Struct:
    return responses.JobsResponse(jobs=[wrapping.job_data(job) for job in session.api.list_jobs()])


def _get_job(session: Session, given: params.JobParams) -> Struct:
    return responses.JobResponse(job=wrapping.job_data(session.api.get_job(given.job_id)))


def _cancel_job(session: Session, given: params.JobParams) -> Struct:
    return responses.Response(success=session.api.cancel_job(given.job_id))


def _health_check(_: Session, __: params.NoParams) -> Struct:
    return responses.Health("ok")


def _shutdown(session: Session, _: params.NoParams) -> Struct:
    session.request_shutdown()
    return responses.Health("shutting_down")


_ROWS = (
    Method("health_check", _health_check, "Tells that the server is up.", responses.Health),
    Method(
        "shutdown",
        _shutdown,
        "Ends the server after the answer is out; jobs stop at a safe point; exit code 0.",
        responses.Health,
    ),
    Method(
        "get_status",
        _get_status,
        "Gives everything the page's header shows: version, tools, patch, shortcuts, running servers, last launch.",
        responses.StatusResponse,
    ),
    Method(
        "get_disk_space",
        _get_disk_space,
        "Gives total, used and free bytes of the drive with the launcher root.",
        responses.DiskSpaceResponse,
        failure={"total": 0, "used": 0, "free": 0, "percent": 0},
    ),
    Method(
        "get_system_resources",
        _get_system_resources,
        "Gives the load of processor, memory, GPU and drive.",
        responses.SystemResourcesResponse,
        failure={"resources": responses.ResourceLoads()},
    ),
    Method(
        "get_network_status",
        _get_network_status,
        "Gives counters and circuit states of the network client, for the offline sign.",
        responses.NetworkStatusResponse,
    ),
    Method(
        "get_models",
        _get_models,
        "Lists the library's models with name, type, size and date, after looking for changes on disk.",
        responses.ModelsResponse,
        failure={"models": {}},
    ),
    Method(
        "refresh_model_index",
        _refresh_model_index,
        "Reads all model documents again and brings the index in line with them.",
        responses.Response,
    ),
    Method(
        "get_library_status",
        _get_library_status,
        "Tells how many models the library has and whether it is being scanned.",
        responses.GetLibraryStatusResponse,
        failure={"indexing": False, "deep_scan_in_progress": False, "model_count": 0, "pending_lookups": 0},
    ),
    Method(
        "search_models_fts",
        _search_models_fts,
        "Full-text search in the library, with paging and filters.",
        responses.FTSSearchResponse,
        params.SearchParams,
        failure={"models": [], "total_count": 0, "query_time_ms": 0.0, "query": ""},
    ),
    Method(
        "get_model_overrides",
        _get_model_overrides,
        "Gives the user's own settings stored with a model (e.g. version ranges).",
        responses.OverridesResponse,
        params.OverridesParams,
        failure={"overrides": {}},
    ),
    Method(
        "update_model_overrides",
        _update_model_overrides,
        "Stores the user's own settings with a model.",
        responses.Response,
        params.NewOverridesParams,
    ),
    Method(
        "mark_metadata_as_manual",
        _mark_metadata_as_manual,
        "Protects a model's data from being overwritten by hub look-ups.",
        responses.Response,
        params.ModelParams,
    ),
    Method(
        "edit_model",
        _edit_model,
        "Changes what a model's document says of it; fields that were set so survive look-ups and identification.",
        responses.ModelResponse,
        params.EditModelParams,
    ),
    Method(
        "reidentify_models",
        _reidentify_models,
        "Identifies models again by their files; what the user set stays.",
        responses.ReidentifiedResponse,
        params.ModelsParams,
        failure={"models": []},
    ),
    Method(
        "list_models_needing_review",
        _list_models_needing_review,
        "Lists the models of which nothing certain says what they are.",
        responses.ReviewResponse,
        failure={"models": []},
    ),
    Method(
        "scan_shared_storage",
        _scan_shared_storage,
        "Counts models, workflows and bytes in the shared folders, after looking for changes on disk.",
        responses.ScanSharedStorageResponse,
        failure={"result": responses.SharedStorageData()},
    ),
    Method(
        "plan_removal",
        _plan_removal,
        "Tells what removing a model would move to the trash, how much that is, and which links lead to it.",
        responses.RemovalPlanResponse,
        params.ModelParams,
    ),
    Method(
        "delete_model",
        _delete_model,
        "Moves a model to the library's trash; one that links of apps lead to is refused.",
        responses.TrashedModelResponse,
        params.ModelParams,
    ),
    Method(
        "list_trash", _list_trash, "Lists the models in the trash.", responses.TrashResponse, failure={"models": []}
    ),
    Method(
        "restore_from_trash",
        _restore_from_trash,
        "Moves a model from the trash back to where it was, never over something else.",
        responses.TrashedModelResponse,
        params.TrashEntryParams,
    ),
    Method(
        "empty_trash",
        _empty_trash,
        "Deletes the named models in the trash for good.",
        responses.EmptyTrashResponse,
        params.TrashEntriesParams,
        failure={"deleted": [], "size": 0, "errors": []},
    ),
    Method(
        "lookup_hf_metadata_for_file",
        _lookup_hf_metadata_for_file,
        "Finds the hub repository a local file most likely came from, by digest or by name.",
        hub_lookup.HFMetadataLookupResponse,
        params.LookupParams,
        failure={"found": False},
    ),
    Method(
        "refetch_model_metadata_from_hf",
        _refetch_model_metadata_from_hf,
        "Looks a model up on the hub and fills what its document lacks; what the user set stays.",
        hub_lookup.ModelLookupResponse,
        params.RefetchParams,
        failure={"found": False},
    ),
    Method(
        "get_hf_download_details",
        _get_hf_download_details,
        "Gives the exact bytes of what a hub repository offers, and whether this machine has room to run it.",
        hub_lookup.DownloadDetailsResponse,
        params.DetailsParams,
    ),
    Method(
        "classify_model_import_paths",
        _classify_model_import_paths,
        "Tells what an import would make of each path: type, family, name, files, duplicates; changes nothing.",
        responses.CandidatesResponse,
        params.PathsParams,
        failure={"candidates": []},
    ),
    Method(
        "detect_sharded_sets",
        _detect_sharded_sets,
        "Groups chosen files into multi-part models by their names and says which parts are missing.",
        responses.DetectShardedSetsResponse,
        params.FilesParams,
        failure={"groups": {}},
    ),
    Method(
        "get_embedded_metadata",
        _get_embedded_metadata,
        "Reads what a model file says about itself (GGUF keys, safetensors header), for the import dialog.",
        responses.EmbeddedMetadataResponse,
        params.FileParams,
        failure={"file_type": "unknown", "metadata": None},
    ),
    Method(
        "validate_file_type",
        _validate_file_type,
        "Tells from the first bytes whether a file is a model format the library takes.",
        responses.FileTypeValidationResponse,
        params.FileParams,
        failure={"valid": False, "detected_type": "error"},
    ),
    Method(
        "check_files_writable",
        _check_files_writable,
        "Tells for each path whether the file exists and its folder may be changed, so it can be moved or deleted.",
        responses.CheckFilesWritableResponse,
        params.FilesParams,
        failure={"all_writable": False, "details": []},
    ),
    Method(
        "import_model",
        _import_model,
        "Moves one model file or folder into the library: identified, hashed, named, indexed.",
        responses.ImportResponse,
        params.ImportParams,
    ),
    Method(
        "import_batch",
        _import_batch,
        "Moves several model files or folders into the library, one result each.",
        responses.ImportBatchResponse,
        params.BatchParams,
        failure={"imported": 0, "failed": 0, "results": []},
    ),
    Method(
        "search_hf_models",
        _search_hf_models,
        "Searches the hub for models to download, with formats, quantizations and sizes.",
        responses.HubSearchResponse,
        params.HubSearchParams,
        failure={"models": []},
    ),
    Method(
        "get_related_models",
        _get_related_models,
        "Lists hub models of the same owner and family as a model of the library.",
        responses.HubSearchResponse,
        params.RelatedParams,
        failure={"models": []},
    ),
    Method("list_jobs", _list_jobs, "Lists long work, running and ended.", responses.JobsResponse),
    Method("get_job", _get_job, "Gives the state of one job.", responses.JobResponse, params.JobParams),
    Method(
        "cancel_job",
        _cancel_job,
        "Asks a job to end at its next safe point; success is false when it had ended.",
        responses.Response,
        params.JobParams,
    ),
)

METHODS: dict[str, Method] = {row.name: row for row in _ROWS}
