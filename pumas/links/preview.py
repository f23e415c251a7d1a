"""What applying the mapping to one version of an app would do; nothing is written (`library.md` §9.2-9.5).

    at the target                                   the plan
    nothing                                         to_create
    a link to the source                            in_place
    a link into the library that leads nowhere      to_remove and to_create
    a link to another file of the library           to_replace
    anything else                                   conflicts

A link that leads into the library is ours: this backend's, or the original's. Of two files that rules want at one
target the last one gets it, and a warning tells so. Dead links of ours directly inside the direct sub-folders of the
models folder go too, unless index and register are empty: then the library may just not be mounted.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import msgspec
import pumas_native

from pumas.errors import system_errors
from pumas.linked import DeadLink, Link, LinkPlan, PlannedLink
from pumas.links.mapping import read_rules
from pumas.links.places import Places
from pumas.links.selection import MappedModel
from pumas.links.targets import is_file_of, is_linked, link_text
from pumas.links.walk import BROKEN, WalkedTree
from pumas.links.wanted import AppVersion, ModelFiles, Wanting

OTHER_DRIVE = (
    "Library and app are on different filesystems. Absolute symlinks will be used, which may break if the library "
    "drive is unmounted."
)
NOT_MOUNTED = (
    "The library is empty, and links in the app lead to files in it: they stay. If its drive is not mounted, mount it."
)


def no_rules(app: AppVersion) -> str:
    """What is told where no document holds rules for a version."""
    return f"No mapping config found for {app.app_id} {app.version}"


@dataclass(slots=True)
class _Plan:
    has_rules: bool
    to_create: list[PlannedLink] = field(default_factory=list)
    to_replace: list[PlannedLink] = field(default_factory=list)
    in_place: list[PlannedLink] = field(default_factory=list)
    conflicts: list[PlannedLink] = field(default_factory=list)
    to_remove: dict[str, DeadLink] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def frozen(self) -> LinkPlan:
        return LinkPlan(
            to_create=tuple(self.to_create),
            to_replace=tuple(self.to_replace),
            in_place=tuple(self.in_place),
            conflicts=tuple(self.conflicts),
            to_remove=tuple(self.to_remove.values()),
            warnings=tuple(self.warnings),
            errors=tuple(self.errors),
            has_rules=self.has_rules,
        )


def plan_links(
    app: AppVersion,
    models: Sequence[MappedModel],
    rows: Sequence[Link],
    excluded: Collection[str],
    *,
    is_partial: bool = False,
    cancel: pumas_native.CancelToken | None = None,
) -> LinkPlan:
    """Compare what the rules want with what lies in the models folder.

    Args:
        app: The version.
        models: Those of the index that are asked about.
        rows: What is registered for them and this version.
        excluded: Models that the app gets no links to.
        is_partial: Look at nothing but the targets of these models.
        cancel: Looked at between folders.

    Raises:
        Unavailable: The library, the rules or the models folder can't be read.
        Cancelled: `cancel` was set.
    """
    plan = _Plan(has_rules=True)
    places = Places(app.library, app.models)
    found = read_rules(app.rules, app.app_id, app.version)
    plan.errors += found.problems
    if not found.is_found:
        plan.has_rules = False
        plan.errors.append(no_rules(app))
    with system_errors("Looking through the models folder of the app"):
        included = [model for model in models if model.model_id not in excluded]
        wanting = Wanting(
            app, places, ModelFiles(app.library, included, cancel), errors=plan.errors, warnings=plan.warnings
        )
        for one in wanting.links(found.rules, included):
            _classify(places, one, plan)
        _drop_excluded(places, rows, excluded, plan)
        if found.is_found and not is_partial:
            dead = _find_dead(places, rows, plan, cancel)
            if models or rows:
                plan.to_remove |= dead
            elif dead:
                plan.warnings.append(NOT_MOUNTED)
            if app.models.exists() and places.is_external:
                plan.warnings.append(OTHER_DRIVE)
            if app.sandbox_warning is not None:
                plan.warnings.append(app.sandbox_warning)
    return plan.frozen()


def _classify(places: Places, one: PlannedLink, plan: _Plan) -> None:
    text = link_text(one.target_path)
    if text is None:
        _classify_file(one, plan)
        return
    if one.link_type == "symlink" and text == one.link_text:
        plan.in_place.append(one)
        return
    existing = os.path.realpath(one.target_path)
    leads_home = existing == os.path.realpath(one.source_path)
    if leads_home:
        plan.in_place.append(one)
    elif not places.leads_into_library(one.target_path, text):
        plan.conflicts.append(msgspec.structs.replace(one, existing=existing))
    elif os.path.exists(one.target_path):
        plan.to_replace.append(msgspec.structs.replace(one, existing=existing))
    else:
        plan.to_remove[one.target_path] = DeadLink(target_path=one.target_path, link_text=text, is_broken=True)
        plan.to_create.append(one)


def _classify_file(one: PlannedLink, plan: _Plan) -> None:
    try:
        there = os.lstat(one.target_path)
    except (FileNotFoundError, NotADirectoryError):
        plan.to_create.append(one)
        return
    is_right = (
        one.link_type != "symlink" and stat.S_ISREG(there.st_mode) and is_file_of(one.link_type, there, one.source_path)
    )
    (plan.in_place if is_right else plan.conflicts).append(one)


def _drop_excluded(places: Places, rows: Sequence[Link], excluded: Collection[str], plan: _Plan) -> None:
    """Links to models that the app is to have none to; only those that are what the register says."""
    kept = {one.target_path for one in plan.in_place} if excluded else ()
    for row in rows:
        is_wanted = row.model_id not in excluded or row.target_path in kept
        if not is_wanted and is_linked(row) and places.holds(row.target_path):
            text = link_text(row.target_path) or ""
            plan.to_remove[row.target_path] = DeadLink(target_path=row.target_path, link_text=text, is_broken=False)


def _find_dead(
    places: Places, rows: Sequence[Link], plan: _Plan, cancel: pumas_native.CancelToken | None
) -> dict[str, DeadLink]:
    found = {}
    tree = WalkedTree(places.models, links=True, cancel=cancel)
    dead = (tree.path(entry) for entry in tree.links() if tree.states[entry] in BROKEN)
    targets = [f"{places.models}/{path}" for path in dead if path.count("/") == 1]
    registered = {row.target_path: row for row in rows} if targets else {}
    for target in targets:
        text, row = link_text(target), registered.get(target)
        if text is None or target in plan.to_remove or not places.holds(target):
            continue
        if places.leads_into_library(target, text) or (row is not None and is_linked(row)):
            found[target] = DeadLink(target_path=target, link_text=text, is_broken=True)
    return found
