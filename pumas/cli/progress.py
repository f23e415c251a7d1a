"""Waiting for a job: silent when it is short, a bar on a terminal, a line a second elsewhere."""

from __future__ import annotations

import sys
from contextlib import suppress
from time import monotonic
from typing import TypeVar

from pumas.cli.output import note
from pumas.config import SHUTDOWN_S
from pumas.jobs import Job
from pumas.models import JobSnapshot

T = TypeVar("T")

_SILENT_S = 0.5  # what is done sooner needs no words
_LINE_S = 1.0


def wait_for(job: Job[T], *, is_quiet: bool) -> T:
    """Wait for a job and show how far it is; Ctrl-C cancels it.

    Args:
        job: Submitted work.
        is_quiet: Show nothing.

    Returns:
        Its result.

    Raises:
        KeyboardInterrupt: The user gave up; the job was cancelled and had a moment to reach a safe point.
        PumasError: Whatever the work raised.
    """
    try:
        if not is_quiet and not _has_ended(job, _SILENT_S):
            (_draw if sys.stderr.isatty() else _tell)(job)
        return job.result()
    except KeyboardInterrupt:
        job.cancel()
        _has_ended(job, SHUTDOWN_S)
        raise


def _has_ended(job: Job[T], timeout_s: float) -> bool:
    # An error of the work is for whoever asks for its result.
    with suppress(Exception):
        job.result(timeout_s)
    return job.is_ended


def _tell(job: Job[T]) -> None:
    next_at = monotonic()
    for state in job.progress():
        if not job.is_ended and monotonic() >= next_at:
            next_at = monotonic() + _LINE_S
            note(f"{_stage(state)}: {state.done} of {state.total}" if state.total else _stage(state))


def _draw(job: Job[T]) -> None:
    from rich.console import Console  # noqa: PLC0415 - 60 ms that only a long job pays
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=None)
        for state in job.progress():
            progress.update(bar, description=_stage(state), completed=state.done, total=state.total)


def _stage(state: JobSnapshot) -> str:
    return (state.stage or state.kind.replace("_", " ")).capitalize()
