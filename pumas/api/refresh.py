"""Bringing the index in line with the disk: only what changed is read.

The cache remembers inode, times and size of every document at the last refresh (table `folders`, one value with 48
bytes a model), and the stamp of the index state that came of it. As long as the index still has that stamp, one stat
per model tells what changed; else every document is read and compared with its row.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic, perf_counter

from pumas.api.ready import ReadyRecords, place_key
from pumas.errors import Damaged
from pumas.jobs import Progress
from pumas.library.survey import Changed, Survey, changed_in_library, read_rows
from pumas.models import DocumentProblem, DocumentRow, RefreshReport
from pumas.search.index import Index
from pumas.search.ranked import RankedSearch
from pumas.search.take_up import Changes
from pumas.store.cache import Cache, Table, path_key

logger = logging.getLogger(__name__)

_SNAPSHOT = path_key("")
_STAMP = b"folders"
_RECORD_BYTES = 48  # a model's share (`pumas_native.changed_documents`)


class Refresher:
    """Refreshes one library's index; one refresh at a time."""

    def __init__(self, library: Path, index: Index, cache: Cache, ready: ReadyRecords, ranked: RankedSearch) -> None:
        self._library = library
        self._index = index
        self._cache = cache
        self._ready = ready
        self._ranked = ranked
        self._lock = threading.Lock()
        self._writing = threading.Event()
        self._ended_at: float | None = None
        self._known_problems: frozenset[DocumentProblem] = frozenset()

    @property
    def is_writing(self) -> bool:
        """Whether differences between disk and index were found and are being written."""
        return self._writing.is_set()

    def is_older_than(self, age_s: float) -> bool:
        """Whether the last refresh of this process ended longer ago, or there was none."""
        return self._ended_at is None or monotonic() - self._ended_at >= age_s

    def run(self, progress: Progress, *, anew: bool = False) -> tuple[RefreshReport, bool]:
        """Refresh, or with `anew` write the whole index again.

        Returns:
            What was done, and whether the ready records are in line too.

        Raises:
            Unavailable: The library can't be listed, or the index can't be written.
            Cancelled: The job is to end.
        """
        begun = perf_counter()
        with self._lock:
            try:
                survey, changes = self._take_up(progress, anew=anew)
                is_ready = self._ready.follow(changes)
                self._ranked.follow(changes)
            finally:
                self._writing.clear()
                self._ended_at = monotonic()
        self._tell(survey.problems)
        report = RefreshReport(
            model_count=changes.model_count,
            added=changes.added,
            changed=changes.changed,
            moved=changes.moved,
            removed=changes.removed,
            problems=tuple(survey.problems),
            elapsed_s=perf_counter() - begun,
        )
        if changes.total:
            logger.info("the index holds %d models after %.2f s", report.model_count, report.elapsed_s)
        return report, is_ready

    def _tell(self, problems: Sequence[DocumentProblem]) -> None:
        """Log those that were not there the last time: each is told once, not with every refresh."""
        for problem in problems:
            if problem not in self._known_problems:
                logger.warning("left out or incomplete: %s: %s", problem.path, problem.reason)
        self._known_problems = frozenset(problems)

    def _take_up(self, progress: Progress, *, anew: bool) -> tuple[Survey, Changes]:
        try:
            known = None if anew else self._known()
            return self._take_up_all(progress, anew=anew) if known is None else self._take_up_changed(progress, *known)
        except Damaged:
            self._index.replace()
            return self._take_up_all(progress, anew=True)

    def _take_up_all(self, progress: Progress, *, anew: bool) -> tuple[Survey, Changes]:
        found = changed_in_library(self._library, b"", cancel=progress.cancel_token)
        gone = () if anew else set(self._index.ids()).difference(found.survey.model_ids)
        changes = self._index.take_up(_told(found.survey, progress), anew=anew, gone=gone, on_write=self._begin_anew)
        self._remember(found, self._index.stamp() if not changes.total else changes.stamp_after)
        return found.survey, changes

    def _begin_anew(self) -> None:
        """Before an empty index is filled: it counts from the beginning, and may get stamps of the file before it."""
        self._writing.set()
        if self._index.is_empty():
            self._cache.put_many(Table.META, [(_STAMP, b"")])
            self._ready.forget()
            self._ranked.forget()

    def _take_up_changed(self, progress: Progress, known: bytes, stamp: bytes) -> tuple[Survey, Changes]:
        found = changed_in_library(self._library, known, cancel=progress.cancel_token)
        if not found.survey.paths and not found.vanished:
            if found.records != known:
                self._remember(found, stamp)
            return found.survey, Changes(model_count=self._index.count())
        gone = [model_id for model_id in self._index.ids() if path_key(model_id) in found.vanished]
        scope = {*found.survey.model_ids, *gone}
        changes = self._index.take_up(_told(found.survey, progress), scope=scope, gone=gone, on_write=self._writing.set)
        # What another process wrote meanwhile was not judged here: then the next refresh looks at everything.
        is_alone = not changes.total or changes.stamp_before == stamp
        self._remember(found, (changes.stamp_after if changes.total else stamp) if is_alone else b"")
        return found.survey, changes

    def _known(self) -> tuple[bytes, bytes] | None:
        """What was remembered and the index's stamp, if the index is still as it was then."""
        stamp = self._index.stamp()
        if not stamp or self._cache.get(Table.META, _STAMP) != place_key(stamp, self._library):
            return None
        known = self._cache.get(Table.FOLDERS, _SNAPSHOT)
        return (known, stamp) if known is not None and len(known) % _RECORD_BYTES == 0 else None

    def _remember(self, found: Changed, stamp: bytes) -> None:
        self._cache.put_many(Table.META, [(_STAMP, b"")])
        if stamp and not found.survey.is_nested and self._cache.put_many(Table.FOLDERS, [(_SNAPSHOT, found.records)]):
            self._cache.put_many(Table.META, [(_STAMP, place_key(stamp, self._library))])


def _told(survey: Survey, progress: Progress) -> Iterator[list[DocumentRow]]:
    progress.report(0, len(survey.paths), "reading documents")
    return read_rows(
        survey,
        progress=lambda done: progress.report(done, len(survey.paths), "reading documents"),
        cancel=progress.cancel_token,
    )
