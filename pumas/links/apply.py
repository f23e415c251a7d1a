"""Bringing the links of one version of an app in line with the rules (`library.md` §9.6-9.8).

`apply_links` and `sync_links` make, replace and remove what `plan_links` says, as a whole or not at all; conflicts
stay. `resolve_links` also does what the user chose for conflicts: one by one, what fails hinders no other.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from pumas.errors import Conflict, InvalidInput, PumasError, shown
from pumas.jobs import Progress
from pumas.linked import LinkPlan, PlannedLink, SyncReport
from pumas.links.places import Places
from pumas.links.preview import no_rules, plan_links
from pumas.links.registry import BULK, Changes, Intent, LinkRegistry
from pumas.links.selection import MappedModel
from pumas.links.steps import RENAMED, REPLACED, carry_out, free_name, put_away, removal_of, settle_left
from pumas.links.targets import link_text
from pumas.links.wanted import AppVersion
from pumas.store.paths import Layout

Resolution = Literal["skip", "overwrite", "rename"]
_RESOLUTIONS = ("skip", "overwrite", "rename")


def preview_links(layout: Layout, app: AppVersion, models: Sequence[MappedModel]) -> LinkPlan:
    """What `apply_links` would do; nothing is written.

    Raises:
        Damaged: The register is damaged.
        Unavailable: Something can't be read now.
    """
    registry = LinkRegistry(layout.library)
    return plan_links(app, models, registry.rows(app=app.key), registry.excluded(app.app_id))


def apply_links(layout: Layout, app: AppVersion, models: Sequence[MappedModel], progress: Progress) -> SyncReport:
    """Make the links of a version match rules and library; dead links of ours go.

    Raises:
        Conflict: Something changed meanwhile; nothing was done.
        Damaged: The register is damaged; nothing was done.
        Unavailable, NoSpace: It can't be done; everything is as it was.
        Cancelled: The job is to end; nothing was done.
    """
    with LinkRegistry(layout.library).changes() as changes:
        settle_left(changes, layout)
        plan = _plan(changes, app, models, progress, is_partial=False)
        return _carry_out(changes, layout, app, plan)


def sync_links(layout: Layout, app: AppVersion, models: Sequence[MappedModel], progress: Progress) -> SyncReport:
    """`apply_links` for some models: no link of another model is looked at.

    Raises:
        Conflict, Damaged, Unavailable, NoSpace, Cancelled: As of `apply_links`.
    """
    with LinkRegistry(layout.library).changes() as changes:
        settle_left(changes, layout)
        plan = _plan(changes, app, models, progress, is_partial=True)
        return _carry_out(changes, layout, app, plan)


def check_resolutions(resolutions: Mapping[str, str]) -> None:
    """Refuse choices that there are none of.

    Raises:
        InvalidInput: A choice is another word.
    """
    for model_id, word in resolutions.items():
        if word not in _RESOLUTIONS:
            message = f"Invalid resolution action '{shown(word)}' for model {shown(model_id)}"
            raise InvalidInput(message, parameter="resolutions")


def resolve_links(
    layout: Layout,
    app: AppVersion,
    models: Sequence[MappedModel],
    resolutions: Mapping[str, str],
    progress: Progress,
) -> SyncReport:
    """Apply the rules, and do what the user chose about what is in the way.

    Args:
        layout: The root.
        app: The version.
        models: All of the index.
        resolutions: By id of a model what is done about all its conflicts: `skip`, also where nothing is said;
            `overwrite`: a link is replaced, a file goes to the quarantine; `rename`: it gets `.old` to its name.
        progress: Of the job.

    Raises:
        InvalidInput: A choice is another word; nothing was done.
        Conflict, Damaged, Unavailable, NoSpace, Cancelled: As of `apply_links`; conflicts that can't be resolved are
            errors of the report.
    """
    check_resolutions(resolutions)
    with LinkRegistry(layout.library).changes() as changes:
        settle_left(changes, layout)
        plan = _plan(changes, app, models, progress, is_partial=False)
        conflicts = (*plan.to_replace, *plan.conflicts)
        report = _carry_out(changes, layout, app, msgspec.structs.replace(plan, to_replace=(), conflicts=()))
        outcomes = [_resolve(changes, layout, app, one, resolutions.get(one.model_id, "skip")) for one in conflicts]
        if not plan.has_rules:
            outcomes.append(no_rules(app))
    counts = {word: outcomes.count(word) for word in _RESOLUTIONS}
    return msgspec.structs.replace(
        report,
        created=report.created + counts["rename"] + counts["overwrite"],
        skipped=counts["skip"],
        renamed=counts["rename"],
        overwritten=counts["overwrite"],
        errors=tuple(one for one in outcomes if one not in counts),
    )


def _plan(
    changes: Changes, app: AppVersion, models: Sequence[MappedModel], progress: Progress, *, is_partial: bool
) -> LinkPlan:
    ids = [model.model_id for model in models] if is_partial else None
    rows = changes.rows(ids, app=app.key)
    progress.check()
    return plan_links(
        app, models, rows, changes.excluded(app.app_id), is_partial=is_partial, cancel=progress.cancel_token
    )


def _carry_out(changes: Changes, layout: Layout, app: AppVersion, plan: LinkPlan) -> SyncReport:
    dead = {one.target_path: one.link_text for one in plan.to_remove}
    intents = [
        Intent(
            target_path=one.target_path,
            source_path=one.source_path,
            link_type=one.link_type,
            link_text=one.link_text,
            old_text=link_text(one.target_path) if one.existing is not None else dead.get(one.target_path),
        )
        for one in (*plan.to_create, *plan.to_replace)
    ]
    replaced = {one.target_path for one in intents}
    intents += [removal_of(target, text) for target, text in dead.items() if target not in replaced]
    links = [*plan.to_create, *plan.to_replace, *_unregistered(changes, app, plan.in_place)]
    if max(len(intents), len(links)) >= BULK:
        changes.back_up()
    if intents or links:
        carry_out(changes, Places(app.library, app.models), intents, links, app.key)
    if any(one.aside_path for one in intents):
        put_away(changes, layout, [one for one in intents if one.aside_path])
    return SyncReport(
        created=len(plan.to_create),
        updated=len(plan.to_replace),
        removed=len(plan.to_remove),
        unchanged=len(plan.in_place),
        skipped=len(plan.conflicts),
    )


def _unregistered(changes: Changes, app: AppVersion, in_place: Sequence[PlannedLink]) -> list[PlannedLink]:
    """Links that are right on the disk, and missing or otherwise in the register."""
    if not in_place:
        return []
    ids = sorted({one.model_id for one in in_place})
    rows = changes.rows(ids if len(ids) < BULK else None, app=app.key)
    known = {(row.target_path, row.source_path, row.model_id) for row in rows}
    return [one for one in in_place if (one.target_path, one.source_path, one.model_id) not in known]


def _resolve(changes: Changes, layout: Layout, app: AppVersion, one: PlannedLink, choice: str) -> str:
    """Do what was chosen for one conflict; returns the choice, or a sentence why it can't be done."""
    try:
        if choice != "skip":
            _resolve_one(changes, layout, app, one, choice)
    except PumasError as exc:
        return f"Failed to resolve conflict for {shown(one.model_id)}: {exc}"
    return choice


def _resolve_one(changes: Changes, layout: Layout, app: AppVersion, one: PlannedLink, choice: str) -> None:
    target = one.target_path
    intent = Intent(target_path=target, source_path=one.source_path, link_type=one.link_type, link_text=one.link_text)
    if choice == "rename":
        intent.aside_path, intent.keeps_aside = free_name(target, RENAMED), True
    elif one.existing is not None:
        intent.old_text = link_text(target)
    elif os.path.isfile(target):
        intent.aside_path = free_name(target, REPLACED)
    else:
        raise Conflict(f"a folder lies at {app.short(target)}; move it away, or choose `rename`")
    carry_out(changes, Places(app.library, app.models), [intent], [one], app.key)
    if intent.aside_path is not None and not intent.keeps_aside:
        put_away(changes, layout, [intent])
