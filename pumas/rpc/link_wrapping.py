"""Records of links → the answers of the desktop app, in its words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

import msgspec
from msgspec import UNSET

from pumas import linked
from pumas.rpc import link_responses as responses

_BROKEN = {
    "target_missing": "Link target no longer exists",
    "leads_nowhere": "Broken symlink - source file missing",
    "source_missing": "Source file no longer exists in library",
}
_NO_LINK = "[regular file]"


def mapping_preview_response(plan: linked.LinkPlan) -> responses.MappingPreviewResponse:
    """`preview_model_mapping`: what would be replaced is one of the conflicts there."""
    conflicts = (*plan.to_replace, *plan.conflicts)
    lists = (plan.to_create, plan.in_place, conflicts, plan.to_remove)
    return responses.MappingPreviewResponse(
        to_create=[_action(one, "New symlink to be created", link_type=one.link_type) for one in plan.to_create],
        to_skip_exists=[_action(one, "Already linked to correct source") for one in plan.in_place],
        conflicts=[_conflict(one) for one in conflicts],
        broken_to_remove=[
            responses.BrokenLinkToRemove(
                target_path=one.target_path,
                existing_target=one.link_text or _NO_LINK,
                reason="Broken link (target missing)" if one.is_broken else "The model is excluded from this app",
            )
            for one in plan.to_remove
        ],
        total_actions=sum(map(len, lists)),
        warnings=list(plan.warnings),
        errors=list(plan.errors),
    )


def _conflict(one: linked.PlannedLink) -> responses.MappingAction:
    is_link = one.existing is not None
    reason = "Symlink points to different source" if is_link else "Non-symlink file exists at target"
    return _action(one, reason, existing_target=one.existing if one.existing is not None else _NO_LINK)


def _action(
    one: linked.PlannedLink,
    reason: str,
    *,
    link_type: str | msgspec.UnsetType = UNSET,
    existing_target: str | msgspec.UnsetType = UNSET,
) -> responses.MappingAction:
    return responses.MappingAction(
        model_id=one.model_id,
        model_name=one.model_name,
        source_path=one.source_path,
        target_path=one.target_path,
        link_type=link_type,
        reason=reason,
        existing_target=existing_target,
    )


def apply_response(report: linked.SyncReport) -> responses.ApplyModelMappingResponse:
    """`apply_model_mapping`."""
    return responses.ApplyModelMappingResponse(
        links_created=report.created + report.updated, links_removed=report.removed, total_links=report.in_place
    )


def sync_response(report: linked.SyncReport) -> responses.IncrementalSyncResponse:
    """`sync_models_incremental`: conflicts count as skipped, like links that were right."""
    return responses.IncrementalSyncResponse(
        links_created=report.created, links_updated=report.updated, links_skipped=report.unchanged + report.skipped
    )


def resolutions_response(report: linked.SyncReport) -> responses.SyncWithResolutionsResponse:
    """`sync_with_resolutions`."""
    return responses.SyncWithResolutionsResponse(
        success=not report.errors,
        links_created=report.created,
        links_skipped=report.skipped,
        links_renamed=report.renamed,
        overwrites=report.overwritten,
        errors=list(report.errors),
    )


def link_health_response(health: linked.LinkHealth) -> responses.LinkHealthResponse:
    """`get_link_health`."""
    warnings = []
    if health.orphans:
        warnings.append(f"Found {len(health.orphans)} orphaned symlinks")
    if health.external_count:
        count = health.external_count
        warnings.append(f"{count} links cross filesystem boundaries (may break if drives are unmounted)")
    if health.foreign_count:
        warnings.append(f"{health.foreign_count} links are registered for a place outside this launcher root")
    errors = [f"Found {len(health.broken)} broken links"] if health.broken else []
    return responses.LinkHealthResponse(
        status="errors" if errors else "warnings" if warnings else "healthy",
        total_links=health.total_count,
        healthy_links=health.total_count - len(health.broken),
        broken_links=[
            responses.BrokenLinkInfo(
                link_id=one.link_id,
                target_path=one.target_path,
                expected_source=one.source_path,
                model_id=one.model_id,
                reason=_BROKEN[one.reason],
            )
            for one in health.broken
        ],
        orphaned_links=list(health.orphans),
        warnings=warnings,
        errors=errors,
    )


def links_response(links: Iterable[linked.Link]) -> responses.GetLinksForModelResponse:
    """`get_links_for_model`."""
    return responses.GetLinksForModelResponse(
        links=[msgspec.convert(one, responses.LinkInfo, from_attributes=True) for one in links]
    )


class _Problem(TypedDict, total=False):
    success: bool
    error: str


def first_problem(problems: Sequence[str]) -> _Problem:
    """The fields of an answer whose work was not done in full; none when it was."""
    return {"success": False, "error": problems[0]} if problems else {}
