"""`pumas remove`, `pumas trash …`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Column

from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import note, put, table
from pumas.cli.session import opened
from pumas.cli.text import UNKNOWN, clean, count_text, date_text, shorten, size_text
from pumas.errors import Conflict, InvalidInput
from pumas.organised import RemovalPlan, TrashedModel, TrashReport

group = typer.Typer()
trash = typer.Typer(help="Look after models that were removed.")

_NAME_CHARACTERS = 60
_SHOWN = 1000  # lines for people; --json has all

Entries = Annotated[
    list[str] | None, typer.Argument(metavar="ENTRY", help="Entries as `pumas trash list` shows them; all by default.")
]


@group.command("remove", epilog="Example: pumas remove llm/llama/Llama-3.1-8B-Instruct --dry-run")
def remove(
    *,
    model_id: Annotated[str, typer.Argument(metavar="MODEL", help="An id as `pumas list` shows it.")],
    is_dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be moved, and move nothing.")] = False,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Move a model to the trash of its library; `pumas trash restore` brings it back.

    It takes room there until `pumas trash empty`. The links of apps that lead to it are removed first.
    """
    with opened(root, is_debug=debug) as api:
        if is_dry_run:
            plan = api.plan_removal(model_id)
            put(plan, lambda: "\n".join(_plan(plan)), as_json=as_json)
            if plan.refusal is not None:
                raise Conflict(plan.refusal)
            return
        from pumas.cli.progress import wait_for  # noqa: PLC0415 - `pumas --help` does without jobs

        moved = wait_for(api.delete_model(model_id), is_quiet=as_json)
        put(moved, lambda: clean(f"Moved to the trash: {_told(moved)}"), as_json=as_json)


@trash.command("list", epilog="Example: pumas trash list")
def list_trash(*, root: Root = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show what lies in the trash, oldest first."""
    with opened(root, is_debug=debug) as api:
        found = api.list_trash()
        put(found, lambda: _table(found), as_json=as_json)
        if not as_json:
            note(f"{count_text(len(found), 'model')}, {size_text(sum(one.size_bytes for one in found))}")


@trash.command("restore", epilog="Example: pumas trash restore 20260115T123456789012Z")
def restore(
    *,
    entry_id: Annotated[str, typer.Argument(metavar="ENTRY", help="An entry as `pumas trash list` shows it.")],
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Move a model back to where it was; never over something that lies there."""
    with opened(root, is_debug=debug) as api:
        from pumas.cli.progress import wait_for  # noqa: PLC0415 - as above

        restored = wait_for(api.restore_from_trash(entry_id), is_quiet=as_json)
        put(restored, lambda: clean(f"Restored: {_told(restored)}"), as_json=as_json)


@trash.command("empty", epilog="Example: pumas trash empty 20260115T123456789012Z")
def empty(
    *,
    entry_ids: Entries = None,
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Delete models in the trash for good, after showing which.

    Exit code 1 when one could not be deleted.
    """
    with opened(root, is_debug=debug) as api:
        found = [one for one in api.list_trash() if not entry_ids or one.entry_id in entry_ids]
        missing = sorted({*(entry_ids or ())}.difference(one.entry_id for one in found))
        if missing:
            raise InvalidInput(f"There is no {missing[0]} in the trash; `pumas trash list` shows what is")
        if found and not is_sure:
            _ask(found)
        from pumas.cli.progress import wait_for  # noqa: PLC0415 - as above

        # By name: what came into the trash meanwhile was not shown.
        report = wait_for(api.empty_trash([one.entry_id for one in found]), is_quiet=as_json)
        put(report, lambda: "\n".join(_report(report)), as_json=as_json)
    if report.problems:
        raise typer.Exit(1)


def _ask(found: Sequence[TrashedModel]) -> None:
    for one in found[:_SHOWN]:
        note(f"{one.entry_id}: {_told(one)}")
    if len(found) > _SHOWN:
        note(f"… and {len(found) - _SHOWN} more")
    size = size_text(sum(one.size_bytes for one in found))
    if not sys.stdin.isatty():
        raise InvalidInput(f"{count_text(len(found), 'model')}, {size}: nothing was deleted; say --yes to delete them")
    try:
        is_sure = typer.confirm(f"Delete {count_text(len(found), 'model')}, {size}, for good?", err=True)
    except typer.Abort:
        is_sure = False
    if not is_sure:
        note("Nothing was deleted")
        raise typer.Exit(1)


def _told(one: TrashedModel) -> str:
    if one.problem is not None:
        return one.problem
    return f"{one.model_id} ({count_text(one.file_count, 'file')}, {size_text(one.size_bytes)})"


def _plan(plan: RemovalPlan) -> Iterator[str]:
    yield clean(f"{plan.model_id} would move to the trash: {plan.folder}")
    for file in plan.files[:_SHOWN]:
        shared = ", has other names elsewhere" if file.is_shared else ""
        yield clean(f"  {file.path} ({size_text(file.size_bytes)}{shared})")
    if len(plan.files) > _SHOWN:
        yield f"  … and {len(plan.files) - _SHOWN} more; --json shows all"
    for link in plan.links[:_SHOWN]:
        yield clean(f"  linked from {link.target_path} ({link.app_id} {link.app_version})")
    yield f"{count_text(len(plan.files), 'file')}, {size_text(plan.size_bytes)}, {count_text(len(plan.links), 'link')}"


def _report(report: TrashReport) -> Iterator[str]:
    for problem in report.problems:
        yield clean(f"Not deleted: {problem}")
    yield f"Deleted {count_text(len(report.deleted), 'model')}, {size_text(report.size_bytes)}"


def _table(found: Sequence[TrashedModel]) -> str | RenderableType:
    columns = (
        Column("ENTRY", no_wrap=True),
        Column("ID", overflow="fold"),
        Column("NAME"),
        Column("REMOVED", no_wrap=True),
        Column("SIZE", no_wrap=True, justify="right"),
    )
    return table(columns, [_cells(one) for one in found])


def _cells(one: TrashedModel) -> tuple[str, ...]:
    return (
        one.entry_id,
        clean(one.problem or one.model_id),
        shorten(one.official_name, _NAME_CHARACTERS) or UNKNOWN,
        date_text(one.removed_at),
        size_text(one.size_bytes),
    )
