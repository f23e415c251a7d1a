"""Waiting for a job: silent when it is short, a bar on a terminal, a line a second elsewhere."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import TypeVar

from pumas.cli.output import note
from pumas.cli.text import clean, shorten, size_text
from pumas.config import SHUTDOWN_S
from pumas.jobs import Job
from pumas.models import JobSnapshot

T = TypeVar("T")

_SILENT_S = 0.5  # what is done sooner needs no words
_LINE_S = 1.0
_NAME_CHARACTERS = 40


def wait_for(job: Job[T], *, is_quiet: bool, is_bytes: bool = False) -> T:
    """Wait for a job and show how far it is; Ctrl-C cancels it.

    Args:
        job: Submitted work.
        is_quiet: Show nothing.
        is_bytes: Whether it counts bytes: rate and remaining time are shown too.

    Returns:
        Its result.

    Raises:
        KeyboardInterrupt: The user gave up; the job was cancelled and had a moment to reach a safe point.
        PumasError: Whatever the work raised.
    """
    try:
        if not is_quiet and not _has_ended(job, _SILENT_S):
            (_draw if sys.stderr.isatty() else _tell)(job, is_bytes=is_bytes)
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


def _tell(job: Job[T], *, is_bytes: bool) -> None:
    next_at = 0.0
    since: tuple[float, int] | None = None
    for state in job.progress():
        now = monotonic()
        if is_bytes and since is None and state.total:
            since = now, state.done
        if not job.is_ended and now >= next_at:
            next_at = now + _LINE_S
            note(f"{_stage(state)}{_counts(state, now, since)}")


def _counts(state: JobSnapshot, now: float, since: tuple[float, int] | None) -> str:
    if not state.total:
        return ""
    if since is None:
        return f": {state.done} of {state.total}"
    text = f": {size_text(state.done)} of {size_text(state.total)}"
    rate = (state.done - since[1]) / (now - since[0]) if now > since[0] else 0
    if rate > 0:
        text += f", {size_text(round(rate))}/s, {timedelta(seconds=round((state.total - state.done) / rate))} left"
    return text


def _draw(job: Job[T], *, is_bytes: bool) -> None:
    from rich import progress as shown  # noqa: PLC0415 - 60 ms that only a long job pays
    from rich.console import Console  # noqa: PLC0415

    counts: tuple[shown.ProgressColumn, ...] = (shown.MofNCompleteColumn(), shown.TimeElapsedColumn())
    if is_bytes:
        counts = (shown.DownloadColumn(binary_units=True), shown.TransferSpeedColumn(), shown.TimeRemainingColumn())
    columns = (shown.TextColumn("{task.description}"), shown.BarColumn(), *counts)
    with shown.Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=None)
        for state in job.progress():
            progress.update(bar, description=_stage(state), completed=state.done, total=state.total)


def _stage(state: JobSnapshot) -> str:
    stage = (state.stage or state.kind.replace("_", " ")).capitalize()
    if not state.files:
        return stage
    first, others = state.files[0], len(state.files) - 1
    more = f" and {others} more" if others else ""
    return f"{stage}: {clean(shorten(first.name, _NAME_CHARACTERS))} {first.done * 100 // first.total} %{more}"
