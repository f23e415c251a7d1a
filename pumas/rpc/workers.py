"""Which handler threads wake up: one at a time as long as calls are short.

Eight short calls at once on eight threads take twice the time that they take one after another: the interpreter runs
one of them, and each file or database that it reads hands the interpreter's lock to another thread on another core.
So a thread takes one waiting call after another, and a second thread is woken only when the first has been at one call
for longer than short ones take. A long call costs those behind it that wait, once.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from waitress.task import ThreadedTaskDispatcher

SHORT_S = 0.005  # most calls take less than 1 ms; also how long CPython lets a thread run that never waits


class Workers(ThreadedTaskDispatcher):  # type: ignore[misc] # waitress has no types
    """The handler threads of a server; `look` has to be called while calls are waiting."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._begun: dict[int, float] = {}
        self._is_waking = False
        self.set_thread_count(threads)

    @property
    def is_waited_for(self) -> bool:
        """Whether a call waits for a thread."""
        return bool(self.queue)

    def add_task(self, task: Any) -> None:
        """Have a thread answer the next request of a connection."""
        with self.lock:
            self.queue.append(_Call(self, task))
            self._wake()

    def look(self) -> None:
        """Wake another thread if a call waits and those at work are at long ones."""
        if self.queue:
            with self.lock:
                self._wake()

    def _wake(self) -> None:
        short_since = monotonic() - SHORT_S
        if self.queue and not self._is_waking and all(begun < short_since for begun in self._begun.values()):
            self._is_waking = True
            self.queue_cv.notify()

    def begin(self, call: _Call) -> None:
        """A thread takes up a call."""
        with self.lock:
            self._is_waking = False
            self._begun[id(call)] = monotonic()

    def end(self, call: _Call) -> None:
        """A thread is done with a call."""
        with self.lock:
            del self._begun[id(call)]


class _Call:
    """A request in the queue, with what Waitress asks of one."""

    __slots__ = ("_task", "_workers")

    def __init__(self, workers: Workers, task: Any) -> None:
        self._workers = workers
        self._task = task

    def service(self) -> None:
        self._workers.begin(self)
        try:
            self._task.service()
        finally:
            self._workers.end(self)

    def cancel(self) -> None:
        self._task.cancel()
