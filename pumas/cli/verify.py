"""`pumas verify`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

import typer

from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import put
from pumas.cli.session import opened
from pumas.cli.text import clean, count_text, size_text
from pumas.models import VerifyReport

group = typer.Typer()

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SHOWN = 1000  # findings told to people; --json has all


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no time such as 90s, 20m, 2h or 30d")
    return float(match[1]) * _UNITS[match[2]]


@group.command("verify", epilog="Example: pumas verify --max-age 30d --budget 2h")
def verify(
    *,
    model_ids: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL", help="Ids as `pumas list` shows them; all by default.")
    ] = None,
    is_full: Annotated[
        bool, typer.Option("--full", help="Read every file, whether it changed or not; goes on where it was ended.")
    ] = False,
    budget_s: Annotated[
        float | None,
        typer.Option("--budget", metavar="TIME", parser=_seconds, help="Begin to read no more files after so long."),
    ] = None,
    max_age_s: Annotated[
        float | None,
        typer.Option("--max-age", metavar="TIME", parser=_seconds, help="Read files that were last read longer ago."),
    ] = None,
    records: Annotated[
        bool, typer.Option("--record", help="Write down the digests of files that have none in their document.")
    ] = False,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Compare the files of models with their recorded digests.

    Files that did not change since they were last read are not read again. What is recorded is never replaced. Times
    are such as 90s, 20m, 2h or 30d. Exit code 1 when a file is not as recorded, missing or unreadable.
    """
    with opened(root, is_debug=debug) as api:
        from pumas.cli.progress import wait_for  # noqa: PLC0415 - `pumas --help` does without jobs

        job = api.verify(model_ids or None, is_full=is_full, budget_s=budget_s, max_age_s=max_age_s, records=records)
        report = wait_for(job, is_quiet=as_json, is_bytes=True)
        put(report, lambda: "\n".join(_lines(report)), as_json=as_json)
    if not report.is_sound:
        raise typer.Exit(1)


def _lines(report: VerifyReport) -> Iterator[str]:
    for finding in report.findings[:_SHOWN]:
        yield clean(f"{finding.kind.replace('_', ' ').capitalize()}: {finding.path}: {finding.what}")
        if finding.expected is not None:
            yield f"  expected {finding.expected}, found {finding.found}"
    if len(report.findings) > _SHOWN:
        yield f"… and {len(report.findings) - _SHOWN} more; --json shows all"
    if report.recorded_files:
        yield f"Recorded the digests of {count_text(report.recorded_files, 'file')}"
    if report.unrecorded_files:
        yield f"{count_text(report.unrecorded_files, 'file')} without a recorded digest; --record writes them down"
    if report.left_files:
        left = f"{count_text(report.left_files, 'file')}, {size_text(report.left_bytes)}"
        yield f"Left for the next run: {left}"
    notes = sum(finding.kind == "extra" for finding in report.findings)
    yield (
        f"{count_text(report.model_count, 'model')}: {count_text(report.unchanged_files, 'file')} unchanged, "
        f"{report.read_files} read ({size_text(report.read_bytes)}); "
        f"{count_text(len(report.findings) - notes, 'problem')}, {count_text(notes, 'note')}"
    )
