"""The rows of the method table that are about links and mappings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from pumas.errors import InvalidInput, PumasError
from pumas.rpc import link_responses, link_wrapping, params, responses
from pumas.rpc.session import Method, Session

_WARNING = (
    "Your model library is on a different drive than the application. Links use absolute paths and will break if the "
    "library drive is unplugged or the mount point changes."
)
_RECOMMENDATION = "Move library to same drive as the application for portable relative symlinks."


@contextmanager
def _told_as_answer() -> Iterator[None]:
    """What the desktop app takes for an answer with `success: false`, not for a call that was wrong."""
    try:
        yield
    except InvalidInput as exc:
        raise PumasError(str(exc)) from exc


def _preview(session: Session, given: params.VersionParams) -> Struct:
    with _told_as_answer():
        return link_wrapping.mapping_preview_response(
            session.wait_for(session.api.preview_model_mapping(given.version_tag))
        )


def _apply(session: Session, given: params.VersionParams) -> Struct:
    with _told_as_answer():
        return link_wrapping.apply_response(session.wait_for(session.api.apply_model_mapping(given.version_tag)))


def _sync(session: Session, given: params.IncrementalSyncParams) -> Struct:
    with _told_as_answer():
        job = session.api.sync_models_incremental(given.version_tag, given.model_ids)
        return link_wrapping.sync_response(session.wait_for(job))


def _resolve(session: Session, given: params.ResolutionsParams) -> Struct:
    with _told_as_answer():
        job = session.api.sync_with_resolutions(given.version_tag, given.resolutions)
        return link_wrapping.resolutions_response(session.wait_for(job))


def _refresh(session: Session, given: params.AppParams) -> Struct:
    with _told_as_answer():
        reports = session.wait_for(session.api.refresh_model_mappings(given.app_id))
    failed = {tag: report for tag, report in reports.items() if report.errors}
    for tag, report in failed.items():
        raise PumasError(f"The links of {tag} could not be made: {report.errors[0]}")
    return link_responses.RefreshMappingsResponse(results={tag: report.in_place for tag, report in reports.items()})


def _health(session: Session, given: params.HealthParams) -> Struct:
    with _told_as_answer():
        return link_wrapping.link_health_response(session.wait_for(session.api.get_link_health(given.version_tag)))


def _clean(session: Session, _: params.NoParams) -> Struct:
    report = session.wait_for(session.api.clean_broken_links())
    return link_responses.CleanBrokenLinksResponse(
        cleaned=report.forgotten, **link_wrapping.first_problem(report.problems)
    )


def _remove_orphans(session: Session, given: params.VersionParams) -> Struct:
    with _told_as_answer():
        report = session.wait_for(session.api.remove_orphaned_links(given.version_tag))
    return link_responses.RemoveOrphanedLinksResponse(
        removed=report.removed, **link_wrapping.first_problem(report.problems)
    )


def _cascade(session: Session, given: params.ModelParams) -> Struct:
    report = session.wait_for(session.api.delete_model_with_cascade(given.model_id))
    return link_responses.DeleteModelCascadeResponse(
        links_removed=report.removed, **link_wrapping.first_problem(report.problems)
    )


def _links_of_model(session: Session, given: params.ModelParams) -> Struct:
    return link_wrapping.links_response(session.api.get_links_for_model(given.model_id))


def _link_count(session: Session, given: params.FileParams) -> Struct:
    count = session.api.get_file_link_count(given.file_path)
    return link_responses.FileLinkCountResponse(link_count=count, is_hard_linked=count > 1)


def _other_drive(session: Session, given: params.VersionParams) -> Struct:
    with _told_as_answer():
        found = session.api.is_on_other_drive(given.version_tag)
    if found is None:
        return link_responses.CrossFilesystemWarningResponse(cross_filesystem=False)
    library, app = found
    return link_responses.CrossFilesystemWarningResponse(
        cross_filesystem=True,
        library_path=str(library),
        app_path=str(app),
        warning=_WARNING,
        recommendation=_RECOMMENDATION,
    )


def _sandbox(session: Session, _: params.NoParams) -> Struct:
    info = session.api.get_sandbox_info()
    return link_responses.SandboxInfoResponse(
        is_sandboxed=info.kind != "none", sandbox_type=info.kind, limitations=list(info.limitations)
    )


def _set_exclusion(session: Session, given: params.ExclusionParams) -> Struct:
    with _told_as_answer():
        session.api.set_model_link_exclusion(given.model_id, given.app_id, excluded=given.excluded)
    return responses.Response()


def _exclusions(session: Session, given: params.AppParams) -> Struct:
    with _told_as_answer():
        return link_responses.LinkExclusionsResponse(model_ids=session.api.get_link_exclusions(given.app_id))


LINK_ROWS = (
    Method(
        "preview_model_mapping",
        _preview,
        "Shows what applying the mapping to a version would do, without doing it.",
        link_responses.MappingPreviewResponse,
        params.VersionParams,
    ),
    Method(
        "apply_model_mapping",
        _apply,
        "Makes the links of one app version match the library and the mapping rules; dead links go.",
        link_responses.ApplyModelMappingResponse,
        params.VersionParams,
        failure={"links_created": 0, "links_removed": 0, "total_links": 0},
    ),
    Method(
        "sync_models_incremental",
        _sync,
        "Links named models into one version, without touching the rest.",
        link_responses.IncrementalSyncResponse,
        params.IncrementalSyncParams,
        failure={"links_created": 0, "links_updated": 0, "links_skipped": 0},
    ),
    Method(
        "sync_with_resolutions",
        _resolve,
        "Applies the mapping with the user's choice (skip, overwrite, rename) for each conflicting model.",
        link_responses.SyncWithResolutionsResponse,
        params.ResolutionsParams,
        failure={"links_created": 0, "links_skipped": 0, "links_renamed": 0, "overwrites": 0, "errors": []},
    ),
    Method(
        "refresh_model_mappings",
        _refresh,
        "Applies the mapping to every installed version of an app.",
        link_responses.RefreshMappingsResponse,
        params.AppParams,
        failure={"results": {}},
    ),
    Method(
        "get_link_health",
        _health,
        "Checks all registered links, and with a tag the links of that version: broken, orphaned, across drives.",
        link_responses.LinkHealthResponse,
        params.HealthParams,
    ),
    Method(
        "clean_broken_links",
        _clean,
        "Removes dead links the launcher made, from disk and from its registry.",
        link_responses.CleanBrokenLinksResponse,
        failure={"cleaned": 0},
    ),
    Method(
        "remove_orphaned_links",
        _remove_orphans,
        "Removes links below a version's models folder that point into the library and are not registered.",
        link_responses.RemoveOrphanedLinksResponse,
        params.VersionParams,
        failure={"removed": 0},
    ),
    Method(
        "delete_model_with_cascade",
        _cascade,
        "Removes every link the launcher made for a model; the model's own files stay.",
        link_responses.DeleteModelCascadeResponse,
        params.ModelParams,
        failure={"links_removed": 0},
    ),
    Method(
        "get_links_for_model",
        _links_of_model,
        "Lists the links made for one model.",
        link_responses.GetLinksForModelResponse,
        params.ModelParams,
        failure={"links": []},
    ),
    Method(
        "get_file_link_count",
        _link_count,
        "Tells how many names (hard links) a file has.",
        link_responses.FileLinkCountResponse,
        params.FileParams,
        failure={"link_count": 1, "is_hard_linked": False},
    ),
    Method(
        "get_cross_filesystem_warning",
        _other_drive,
        "Warns when library and app version lie on different drives, since links then break with the drive.",
        link_responses.CrossFilesystemWarningResponse,
        params.VersionParams,
    ),
    Method(
        "get_sandbox_info",
        _sandbox,
        "Tells whether the launcher runs in a sandbox or container and what that limits.",
        link_responses.SandboxInfoResponse,
    ),
    Method(
        "set_model_link_exclusion",
        _set_exclusion,
        "Has an app get no links to a model, or get them again.",
        responses.Response,
        params.ExclusionParams,
    ),
    Method(
        "get_link_exclusions",
        _exclusions,
        "Lists the models that an app gets no links to.",
        link_responses.LinkExclusionsResponse,
        params.AppParams,
        failure={"model_ids": []},
    ),
)
