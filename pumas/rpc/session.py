"""What a row of the method table is, and what its function gets to work with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

from msgspec import Struct

from pumas.api import PumasApi
from pumas.config import JOB_WAIT_S, LONG_CALL_WAIT_S, LONG_CALLS, LONG_CALLS_WAITING
from pumas.errors import Unavailable
from pumas.jobs import Job
from pumas.rpc import params
from pumas.rpc.pieced import PiecedText

T = TypeVar("T")


class StillRunning(Exception):
    """A job was not waited for to its end: the answer names it instead of giving a result."""

    def __init__(self, job: Job[Any]) -> None:
        super().__init__(job.job_id)
        self.job = job


@dataclass(slots=True)
class Session:
    """What a method may use: the open root, and the way to end the server."""

    api: PumasApi
    request_shutdown: Callable[[], None] = lambda: None
    job_wait_s: float = JOB_WAIT_S
    wait_until: float | None = None
    """Moment on the monotonic clock after which no job is waited for; the calls of a batch share one."""
    long_calls: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(LONG_CALLS))
    waiting_calls: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(LONG_CALLS_WAITING)
    )

    @contextmanager
    def long_call(self) -> Iterator[None]:
        """Do something in this thread that may take long, but not on too many of the server's threads at once.

        Raises:
            Unavailable: As many as may are at it, or the calls before it in a batch took all the time.
        """
        wait_s = LONG_CALL_WAIT_S
        if self.wait_until is not None:
            wait_s = min(wait_s, self.wait_until - monotonic())
        if wait_s <= 0 or not (self.long_calls.acquire(blocking=False) or self._has_waited(wait_s)):
            raise Unavailable("Too many long calls are being answered; try again in a moment")
        try:
            yield
        finally:
            self.long_calls.release()

    def _has_waited(self, wait_s: float) -> bool:
        """Whether a long call may begin after a wait, which holds a thread too."""
        if not self.waiting_calls.acquire(blocking=False):
            return False
        try:
            return self.long_calls.acquire(timeout=wait_s)
        finally:
            self.waiting_calls.release()

    def wait_for(self, job: Job[T]) -> T:
        """Wait for a job, but not longer than the client does, and not on too many of the server's threads.

        Raises:
            StillRunning: The wait is over, the work goes on.
            PumasError: Whatever the work raised.
        """
        if not self.long_calls.acquire(blocking=False):
            raise StillRunning(job)
        try:
            timeout = self.job_wait_s
            if self.wait_until is not None:
                timeout = min(timeout, max(0.0, self.wait_until - monotonic()))
            return job.result(timeout)
        except TimeoutError as exc:
            raise StillRunning(job) from exc
        finally:
            self.long_calls.release()


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the table."""

    name: str
    call: Callable[[Session, Any], Struct | PiecedText]
    summary: str
    result: type[Struct]
    params: type[Struct] = params.NoParams
    failure: Mapping[str, object] = field(default_factory=dict)
    """What an answer with `success: false` holds besides `error`."""
