"""Long work: submit it, watch it, cancel it, take its result.

A job runs on one of a few threads. Work gets a `Progress` to report to and to ask whether it should end; a cancelled
job ends at the next safe point that its work knows.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import monotonic
from typing import Generic, TypeVar

import pumas_native

from pumas.errors import Cancelled, JobNotFound, PumasError
from pumas.models import FileProgress, JobSnapshot

logger = logging.getLogger(__name__)

T = TypeVar("T")

_KEPT = 200  # ended jobs that can still be asked for
_ENDED = frozenset({"completed", "failed", "cancelled"})


class Progress:
    """What running work reports to."""

    def __init__(self, job: Job[object]) -> None:
        self._job = job
        self.cancel_token = pumas_native.CancelToken()
        """To be handed to native functions."""

    def report(
        self, done: int, total: int | None = None, stage: str = "", *, files: tuple[FileProgress, ...] = ()
    ) -> None:
        """Tell how far the work is, and with which files.

        Raises:
            Cancelled: The job is to end; let it pass.
        """
        self.check()
        self._job._update(done=done, total=total, stage=stage, files=files)  # noqa: SLF001 - two halves of one thing

    def check(self) -> None:
        """Raise Cancelled if the job is to end."""
        if self.cancel_token.is_cancelled:
            raise Cancelled("The work was cancelled")


class Job(Generic[T]):
    """One piece of long work; safe to use from several threads."""

    def __init__(
        self, kind: str, work: Callable[[Progress], T], *, key: str | None = None, is_remote: bool = False
    ) -> None:
        self.key = key
        self.is_remote = is_remote
        self.job_id = uuid.uuid4().hex
        self.kind = kind
        self._work = work
        self._changed = threading.Condition()
        self._status = "queued"
        self._done = 0
        self._total: int | None = None
        self._stage = ""
        self._files: tuple[FileProgress, ...] = ()
        self._created_at = _now()
        self._ended_at: str | None = None
        self._error: BaseException | None = None
        self._result: T
        self._version = 0
        self._progress = Progress(self)  # type: ignore[arg-type] # Job is invariant; Progress never sees the result

    @property
    def is_ended(self) -> bool:
        """Whether the work has ended, in whatever way."""
        return self._status in _ENDED

    @property
    def is_queued(self) -> bool:
        """Whether the work has not begun."""
        return self._status == "queued"

    def snapshot(self) -> JobSnapshot:
        """The state at this moment."""
        with self._changed:
            return JobSnapshot(
                job_id=self.job_id,
                kind=self.kind,
                status=self._status,
                done=self._done,
                total=self._total,
                stage=self._stage,
                created_at=self._created_at,
                ended_at=self._ended_at,
                error=None if self._error is None else _sentence(self._error),
                files=self._files,
            )

    def progress(self) -> Iterator[JobSnapshot]:
        """Yield the state whenever it has changed, the final one last."""
        version = -1
        while True:
            with self._changed:
                while self._version == version:
                    self._changed.wait()
                version = self._version
            snapshot = self.snapshot()
            yield snapshot
            if snapshot.status in _ENDED:
                return

    def cancel(self) -> bool:
        """Ask the work to end; it does so at its next safe point.

        Returns:
            False when it has already ended.
        """
        with self._changed:
            if self.is_ended:
                return False
            self._progress.cancel_token.cancel()
            if self.is_queued:
                self._end("cancelled", Cancelled("The work was cancelled before it began"))
            return True

    def result(self, timeout_s: float | None = None) -> T:
        """Wait for the result.

        Raises:
            TimeoutError: The work has not ended within `timeout_s`; it goes on.
            Cancelled: It was cancelled.
            PumasError: Whatever the work raised.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.is_ended, timeout_s):
                raise TimeoutError
            if self._error is not None:
                raise self._error
            return self._result

    def run(self) -> None:
        """Do the work in this thread; called once, by the pool."""
        with self._changed:
            if not self.is_queued:
                return
            self._status = "running"
            self._touch()
        try:
            result = self._work(self._progress)
        except Cancelled as exc:
            self._finish("cancelled", exc)
        except PumasError as exc:
            logger.warning("%s job %s failed: %s", self.kind, self.job_id, exc)
            self._finish("failed", exc)
        except Exception as exc:
            logger.exception("%s job %s failed", self.kind, self.job_id)
            self._finish("failed", exc)
        else:
            self._result = result
            self._finish("completed", None)

    def _finish(self, status: str, error: BaseException | None) -> None:
        with self._changed:
            self._end(status, error)

    def _end(self, status: str, error: BaseException | None) -> None:
        self._status, self._error, self._ended_at, self._files = status, error, _now(), ()
        self._touch()

    def _update(self, *, done: int, total: int | None, stage: str, files: tuple[FileProgress, ...]) -> None:
        with self._changed:
            self._done, self._total, self._stage, self._files = done, total, stage, files
            self._touch()

    def _touch(self) -> None:
        self._version += 1
        self._changed.notify_all()


class JobPool:
    """Runs jobs on at most `workers` threads and remembers them for a while.

    Half of the threads are kept from work that waits for other machines: a hub that does not answer must not keep a
    refresh from beginning.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._jobs: dict[str, Job[object]] = {}
        self._queue: deque[Job[object]] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._running: set[str | None] = set()
        self._remote = 0
        self._wake = threading.Condition()
        self._is_closed = False

    def submit(
        self, kind: str, work: Callable[[Progress], T], *, key: str | None = None, is_remote: bool = False
    ) -> Job[T]:
        """Queue a piece of work.

        Args:
            kind: What it does, for people.
            work: Called with the `Progress` of its job.
            key: A job of this key that has not begun is handed out again instead of a second one.
            is_remote: Whether it waits for other machines.

        Raises:
            Cancelled: The pool was closed.
        """
        with self._wake:
            if self._is_closed:
                raise Cancelled("Pumas is shutting down; the work was not begun")
            if key is not None:
                same = (job for job in self._queue if job.is_queued and job.key == key)
                if (waiting := next(same, None)) is not None:
                    return waiting  # type: ignore[return-value] # same key, same work, same result
            job = Job(kind, work, key=key, is_remote=is_remote)
            self._remember(job)  # type: ignore[arg-type]
            self._queue.append(job)  # type: ignore[arg-type]
            if len(self._queue) > self._idle and len(self._threads) < self._workers:
                # Daemons: a job that finds no safe point must not keep the process from ending.
                thread = threading.Thread(target=self._run, name=f"job-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._wake.notify()
            return job

    def _remember(self, job: Job[object]) -> None:
        self._jobs[job.job_id] = job
        ended = [one for one in self._jobs.values() if one.is_ended]
        for one in ended[: max(0, len(ended) - _KEPT)]:
            del self._jobs[one.job_id]

    def _run(self) -> None:
        while True:
            with self._wake:
                self._idle += 1
                while (job := self._next()) is None and not self._is_closed:
                    self._wake.wait()
                self._idle -= 1
                if job is None:
                    return
                self._running.add(job.key)
                self._remote += job.is_remote
            job.run()
            with self._wake:
                self._running.discard(job.key)
                self._remote -= job.is_remote
                self._wake.notify_all()

    def _next(self) -> Job[object] | None:
        """Take the first job that may begin: one whose key is at work waits, so that later callers can join it."""
        is_full = self._remote >= max(1, self._workers // 2)
        for job in self._queue:
            if (job.key is None or job.key not in self._running) and not (job.is_remote and is_full):
                self._queue.remove(job)
                return job
        return None

    def jobs(self) -> list[Job[object]]:
        """All jobs that are remembered, oldest first."""
        with self._wake:
            return list(self._jobs.values())

    def job(self, job_id: str) -> Job[object]:
        """One job.

        Raises:
            JobNotFound: There is none of that id, or it ended too long ago.
        """
        with self._wake:
            job = self._jobs.get(job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job

    def close(self, timeout_s: float) -> bool:
        """Cancel everything and wait for the running jobs' safe points.

        Returns:
            Whether all have ended in time.
        """
        with self._wake:
            self._is_closed = True
            jobs = list(self._jobs.values())
            self._wake.notify_all()
        for job in jobs:
            job.cancel()
        deadline = monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))
        return not any(thread.is_alive() for thread in self._threads)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _sentence(error: BaseException) -> str:
    if isinstance(error, PumasError):
        return str(error)
    return "An internal error ended the work; the log tells more"
