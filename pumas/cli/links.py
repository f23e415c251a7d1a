"""`pumas link`, `pumas links …`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Column

from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import note, put, table
from pumas.cli.session import bring_in_line, opened
from pumas.cli.text import clean, count_text
from pumas.errors import NotFound
from pumas.linked import CleanReport, Link, LinkHealth, LinkPlan, SyncReport

group = typer.Typer()
links = typer.Typer(help="Look after the links of apps to models.")

_SHOWN = 1000  # lines for people; --json has all
_BROKEN = {
    "target_missing": "there is no link any more",
    "leads_nowhere": "it leads nowhere",
    "source_missing": "its model file is gone",
}

Version = Annotated[
    str | None, typer.Option("--version", metavar="TAG", help="An installed version of the app, such as v0.6.0.")
]
App = Annotated[str, typer.Option("--app", metavar="APP", help="The app that the version is of.")]


@group.command("link", epilog="Example: pumas link comfyui --dry-run")
def link(
    *,
    app_id: Annotated[str, typer.Argument(metavar="APP", help="The app, such as comfyui.")],
    version: Version = None,
    is_dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make the links of an app to models as its mapping rules say; of all its versions when none is named.

    What lies where a link should be, and is not a link to the library, stays and is told. Exit code 1 when a rule is
    wrong or a version could not be done.
    """
    with opened(root, is_debug=debug) as api:
        bring_in_line(api, only_if_empty=False, is_quiet=as_json)
        tags = api.installed_tags(app_id) if version is None else [version]
        if not tags:
            raise NotFound(f"No version of {clean(app_id)} is installed in {api.root.root}")
        from pumas.cli.progress import wait_for  # noqa: PLC0415 - `pumas --help` does without jobs

        plans = {tag: wait_for(api.preview_model_mapping(tag, app_id=app_id), is_quiet=as_json) for tag in tags}
        for text in dict.fromkeys(text for plan in plans.values() for text in (*plan.errors, *plan.warnings)):
            note(text)
        if is_dry_run:
            put(plans, lambda: "\n".join(_plans(plans)), as_json=as_json)
        else:
            reports = {tag: wait_for(api.apply_model_mapping(tag, app_id=app_id), is_quiet=as_json) for tag in tags}
            put(reports, lambda: _reports(reports), as_json=as_json)
    if any(plan.errors for plan in plans.values()):
        raise typer.Exit(1)


@links.command("health", epilog="Example: pumas links health --version v0.6.0")
def health(
    *,
    version: Version = None,
    app_id: App = "comfyui",
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Check all links that were made; with a version also look for links in it that nobody registered.

    Exit code 1 when a link is broken.
    """
    with opened(root, is_debug=debug) as api:
        from pumas.cli.progress import wait_for  # noqa: PLC0415 - as above

        found = wait_for(api.get_link_health(version, app_id=app_id), is_quiet=as_json)
        put(found, lambda: "\n".join(_health(found)), as_json=as_json)
    if found.broken:
        raise typer.Exit(1)


@links.command("clean", epilog="Example: pumas links clean --version v0.6.0")
def clean_links(
    *,
    version: Version = None,
    app_id: App = "comfyui",
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Remove broken links; with a version also links in it that lead into the library and that nobody registered.

    Links that lead elsewhere, and files, always stay. Exit code 1 when a link could not be removed.
    """
    with opened(root, is_debug=debug) as api:
        from pumas.cli.progress import wait_for  # noqa: PLC0415 - as above

        broken = wait_for(api.clean_broken_links(), is_quiet=as_json)
        done = {"broken": broken}
        if version is not None:
            done["orphans"] = wait_for(api.remove_orphaned_links(version, app_id=app_id), is_quiet=as_json)
        put(done, lambda: "\n".join(_cleaned(done)), as_json=as_json)
        for problem in (text for report in done.values() for text in report.problems):
            note(problem)
    if any(report.problems for report in done.values()):
        raise typer.Exit(1)


@links.command("show", epilog="Example: pumas links show diffusion/sdxl/SDXLBase10")
def show(
    *,
    model_id: Annotated[str, typer.Argument(metavar="MODEL", help="An id as `pumas list` shows it.")],
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show the links to a model."""
    with opened(root, is_debug=debug) as api:
        found = api.get_links_for_model(model_id)
        put(found, lambda: _table(found), as_json=as_json)
        if not as_json:
            note(count_text(len(found), "link"))


@links.command("schema", epilog="Example: pumas links schema > mapping.schema.json")
def schema() -> None:
    """Show the JSON Schema of a document of mapping rules."""
    from pumas.links.mapping import mapping_schema  # noqa: PLC0415 - as above

    put(mapping_schema(), str, as_json=True)


def _plans(plans: Mapping[str, LinkPlan]) -> Iterator[str]:
    for tag, plan in plans.items():
        lines = list(_plan(plan))
        yield clean(f"{tag}: {_summary(plan)}")
        yield from (f"  {clean(line)}" for line in lines[:_SHOWN])
        if len(lines) > _SHOWN:
            yield f"  … and {len(lines) - _SHOWN} more; --json shows all"


def _summary(plan: LinkPlan) -> str:
    lists = (plan.to_create, plan.to_replace, plan.to_remove, plan.in_place, plan.conflicts)
    words = ("to make", "to replace", "to remove", "right already", "in the way")
    return ", ".join(f"{len(one)} {word}" for one, word in zip(lists, words, strict=True))


def _plan(plan: LinkPlan) -> Iterator[str]:
    for one in plan.to_create:
        yield f"make    {one.target_path} ({one.link_type}) to {one.source_path}"
    for one in plan.to_replace:
        yield f"replace {one.target_path} ({one.link_type}) to {one.source_path}; it leads to {one.existing}"
    for dead in plan.to_remove:
        yield f"remove  {dead.target_path}"
    for one in plan.conflicts:
        what = "a file or folder" if one.existing is None else f"a link to {one.existing}"
        yield f"keep    {one.target_path}: {what} lies where {one.source_path} should be linked"


def _reports(reports: Mapping[str, SyncReport]) -> str | RenderableType:
    columns = [Column("VERSION", no_wrap=True)]
    columns += [Column(name, justify="right") for name in ("MADE", "REPLACED", "REMOVED", "RIGHT", "IN THE WAY")]
    return table(columns, [_cells(tag, report) for tag, report in reports.items()])


def _cells(tag: str, report: SyncReport) -> tuple[str, ...]:
    counts = (report.created, report.updated, report.removed, report.unchanged, report.skipped)
    return (clean(tag), *map(str, counts))


def _health(found: LinkHealth) -> Iterator[str]:
    for one in found.broken[:_SHOWN]:
        yield clean(f"broken: {one.target_path} ({one.model_id}): {_BROKEN[one.reason]}")
    for path in found.orphans[:_SHOWN]:
        yield clean(f"not registered: {path}")
    if max(len(found.broken), len(found.orphans)) > _SHOWN:
        yield "… and more; --json shows all"
    if found.external_count:
        yield f"{count_text(found.external_count, 'link')} to another drive"
    if found.foreign_count:
        yield f"{count_text(found.foreign_count, 'link')} registered for a place outside this root; they are left alone"
    yield f"{count_text(found.total_count, 'link')}, {len(found.broken)} broken"


def _cleaned(done: Mapping[str, CleanReport]) -> Iterator[str]:
    broken = done["broken"]
    yield f"{count_text(broken.forgotten, 'broken link')} removed"
    if "orphans" in done:
        yield f"{count_text(done['orphans'].removed, 'link')} that nobody registered removed"


def _table(found: Sequence[Link]) -> str | RenderableType:
    columns = (
        Column("APP", no_wrap=True),
        Column("VERSION", no_wrap=True),
        Column("TYPE", no_wrap=True),
        Column("LINK", overflow="fold"),
        Column("FILE", overflow="fold"),
    )
    return table(
        columns,
        [
            tuple(map(clean, (one.app_id, one.app_version, one.link_type, one.target_path, one.source_path)))
            for one in found
        ],
    )
