"""`pumas index …`."""

from __future__ import annotations

import typer

from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import put
from pumas.cli.session import opened
from pumas.cli.text import clean, count_text
from pumas.models import RefreshReport

group = typer.Typer(help="Look after the index of models.")


@group.callback()
def _keep_as_group() -> None:
    """Look after the index of models."""


@group.command("rebuild", epilog="Example: pumas index rebuild")
def rebuild(*, root: Root = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Write the index again from the documents.

    For an index that gives wrong answers. Models and their documents stay as they are.
    """
    with opened(root, is_debug=debug, told=("pumas.api.refresh",)) as api:
        from pumas.cli.progress import wait_for  # noqa: PLC0415 - `pumas --help` does without jobs

        report = wait_for(api.rebuild_index(), is_quiet=as_json)
        put(report, lambda: _told(report), as_json=as_json)


def _told(report: RefreshReport) -> str:
    counts = f"{report.added} written, {report.changed} changed, {report.removed} removed"
    lines = [f"Indexed {count_text(report.model_count, 'model')} in {report.elapsed_s:.1f} s ({counts})"]
    if report.problems:
        lines.append(f"{count_text(len(report.problems), 'problem')}:")
    lines.extend(clean(f"  {problem.path}: {problem.reason}") for problem in report.problems)
    return "\n".join(lines)
