"""Refreshing when the disk changes: at once where the system tells of changes, else by looking now and then."""

from __future__ import annotations

import errno
import logging
import math
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

from pumas.config import Config
from pumas.errors import Cancelled, PumasError
from pumas.jobs import Job
from pumas.library.survey import DOCUMENT
from pumas.store.mounts import is_far

logger = logging.getLogger(__name__)

# Events that follow one another within a step are one change; a stream of them is taken up this often.
_STEP_MS = 100
_GROUP_MS = 500
_FIRST_LOOK_MS = 1000
_LONGEST_REST_S = 10.0
_SURE_S = 300.0  # between looks that no event asked for


class LibraryWatch:
    """A thread that has the index refreshed when a model's folder or document appears, changes or goes."""

    def __init__(self, library: Path, refresh: Callable[[], Job[Any]], config: Config) -> None:
        self._library = library
        self._refresh = refresh
        self._is_wanted = config.watch
        self._interval_s = max(1, config.scan_interval_s)
        self._ending = threading.Event()
        # A daemon: it may wait for a refresh that finds no safe point.
        self._thread = threading.Thread(target=self._run, name="library-watch", daemon=True)

    def start(self) -> None:
        """Begin; called once."""
        self._thread.start()

    def end(self) -> None:
        """Ask the thread to end; it does so within a moment."""
        self._ending.set()

    def _run(self) -> None:
        for _ in self._times():
            begun = perf_counter()
            try:
                self._refresh().result()
            except Cancelled:
                if self._ending.is_set():
                    return
            except PumasError:
                pass  # the job has told why; the next change is another try
            # Whoever copies for an hour changes something all the time: at most half of it is spent on refreshes.
            self._ending.wait(min(perf_counter() - begun, _LONGEST_REST_S))

    def _times(self) -> Iterator[None]:
        """Yield whenever the index may be behind."""
        reason = told = "PUMAS_WATCH is off"
        while not self._ending.is_set():
            if self._is_wanted:
                try:
                    yield from self._told()
                    continue
                except (OSError, RuntimeError) as exc:  # RuntimeError: how the library passes on other failures
                    reason = str(exc)
            if not self._is_wanted or reason != told:
                logger.warning("changes of the library are looked for every %d s: %s", self._interval_s, reason)
                told = reason
            yield
            again_at = monotonic() + _SURE_S if self._is_wanted else math.inf
            while not self._ending.wait(self._interval_s) and monotonic() < again_at:
                yield

    def _told(self) -> Iterator[None]:
        """Yield when the system tells of a change, until another folder lies in the library's place.

        Raises:
            OSError: It can't; mostly there are more folders than it watches for one user.
            RuntimeError: It can't say of what: a folder's name is no UTF-8.
        """
        if is_far(self._library):
            raise OSError(errno.EOPNOTSUPP, "the library lies on a network file system")
        from watchfiles import watch  # noqa: PLC0415 - needed by a server only

        logging.getLogger("watchfiles").setLevel(logging.WARNING)
        due_at = 0.0
        watched = self._folder()
        for changes in watch(
            self._library,
            watch_filter=self._is_told_by,
            debounce=_GROUP_MS,
            step=_STEP_MS,
            stop_event=self._ending,
            rust_timeout=_FIRST_LOOK_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            force_polling=False,
            ignore_permission_denied=False,  # if set, the limit of folders would be ignored as well
        ):
            if self._folder() not in (None, watched):
                return
            # The first look finds what happened before; later ones what the system never told: folders that were made
            # when its limit had been reached, or more events than its queue holds.
            if changes or monotonic() >= due_at:
                due_at = monotonic() + _SURE_S
                yield

    def _folder(self) -> tuple[int, int] | None:
        """Which folder lies in the library's place; None while there is none."""
        try:
            status = self._library.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _is_told_by(self, _change: object, path: str) -> bool:
        """Whether an event can concern the index: a document, a folder, or something that is no longer there."""
        try:
            inside = Path(path).relative_to(self._library)
        except ValueError:
            return True
        if any(part.startswith(".") for part in inside.parts):
            return False
        if inside.name == DOCUMENT:
            return True
        if len(inside.parts) == 1 and inside.name.startswith(("models.db", "link_registry.db")):
            return False
        try:
            return stat.S_ISDIR(Path(path).lstat().st_mode)
        except OSError:
            return True
