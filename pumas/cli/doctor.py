"""`pumas doctor`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pumas.cli.logs import logged
from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import put
from pumas.cli.text import clean, count_text
from pumas.models import Finding, Record, RefreshReport, Repair

if TYPE_CHECKING:
    from pumas.config import Config
    from pumas.store.paths import Layout

group = typer.Typer()

Fix = Annotated[bool, typer.Option("--fix", help="Repair what can be repaired without a risk.")]

# What they warn of are the findings themselves.
_TOLD = (
    "pumas.api.refresh",
    "pumas.library.ready",
    "pumas.search.database",
    "pumas.store.cache",
    "pumas.store.cache_file",
    "pumas.store.quarantine",
)


class Diagnosis(Record, frozen=True, kw_only=True):
    """What `pumas doctor` tells."""

    root: Path
    is_healthy: bool
    """Whether there are no problems (any more); notes are none."""
    findings: tuple[Finding, ...]
    """With `--fix`, what is left."""
    repairs: tuple[Repair, ...]


@group.command("doctor", epilog="Example: pumas doctor --fix")
def doctor(*, root: Root = None, fix: Fix = False, as_json: AsJson = False, debug: Debug = False) -> None:
    """Look for damage in documents, databases, cache and folders.

    Nothing is written without --fix. With it, whatever has to go is moved to launcher-data/quarantine, never deleted.
    Exit code 1 when problems remain.
    """
    with logged(is_debug=debug, told=_TOLD):
        from pumas.api.examine import examine_root  # noqa: PLC0415 - `pumas --help` does without it

        layout, config = _root_of(root)
        findings = examine_root(layout, config)
        repairs: tuple[Repair, ...] = ()
        if fix:
            repairs = _repaired(layout, findings, is_quiet=as_json)
            findings = examine_root(layout, config)
        diagnosis = Diagnosis(
            root=layout.root,
            is_healthy=all(finding.severity == "note" for finding in findings),
            findings=findings,
            repairs=repairs,
        )
        put(diagnosis, lambda: "\n".join(_lines(diagnosis)), as_json=as_json)
    if not diagnosis.is_healthy:
        raise typer.Exit(1)


def _root_of(root: Path | None) -> tuple[Layout, Config]:
    """The root, as it lies there: opening it would already change it."""
    from pumas.config import Config, expanded  # noqa: PLC0415 - as above
    from pumas.store.paths import Layout, chosen_root  # noqa: PLC0415

    config = Config.from_env()
    return Layout(expanded(chosen_root(root, config)[0]).absolute()), config


def _repaired(layout: Layout, findings: Sequence[Finding], *, is_quiet: bool) -> tuple[Repair, ...]:
    from pumas.api import PumasApi  # noqa: PLC0415 - as above
    from pumas.api.repair import repair_root  # noqa: PLC0415
    from pumas.cli.progress import wait_for  # noqa: PLC0415

    def rebuild_index() -> RefreshReport:
        with PumasApi(layout.root) as api:
            return wait_for(api.rebuild_index(), is_quiet=is_quiet)

    return repair_root(layout, findings, rebuild_index)


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    for repair in diagnosis.repairs:
        yield clean(f"{'Repaired' if repair.is_done else 'Not repaired'}: {repair.path}: {repair.told}")
        if repair.moved_to is not None:
            yield clean(f"  now in {repair.moved_to}")
    for finding in diagnosis.findings:
        yield clean(f"{finding.severity.capitalize()}: {finding.path}: {finding.what}")
        yield clean(f"  {finding.remedy}")
    yield _summary(diagnosis)


def _summary(diagnosis: Diagnosis) -> str:
    problems = sum(finding.severity == "problem" for finding in diagnosis.findings)
    notes = len(diagnosis.findings) - problems
    counts = f"{count_text(problems, 'problem')}, {count_text(notes, 'note')}"
    return clean(f"{diagnosis.root}: {counts if diagnosis.findings else 'nothing is wrong'}")
