"""Searches answered by ranking in memory while it knows the state of the index; else by FTS5.

Every search compares the index's stamp with the one that the ranking was made of, so whoever wrote is noticed, and a
state is never mixed with another. What a refresh of this process wrote is taken up beside the base (`ranking.py`); a
base that too much was written since, or that somebody else's write made stale, is made again in the background.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pumas.errors import Damaged, PumasError
from pumas.jobs import Progress
from pumas.search.index import Index, RowidPage, check_filters
from pumas.search.take_up import Changes
from pumas.store.cache import Cache, Table
from pumas.store.locks import document_lock

if TYPE_CHECKING:
    from pumas.search.postings import Postings
    from pumas.search.ranking import Ranker

logger = logging.getLogger(__name__)

_LOCK = "postings"
_MOST_CHANGED = 5_000  # rows beside a base; each search looks through all of them
_HEAVY_SHARE = 0.02  # of the base's rows: from there on it is worth the time to make it again
_HEAVY_FROM = 200


@dataclass(frozen=True)
class _State:
    """The ranking of one state of the index."""

    stamp: bytes
    base: Postings
    ranker: Ranker
    changed: frozenset[int] = frozenset()
    gone: frozenset[int] = frozenset()

    @property
    def is_heavy(self) -> bool:
        return len(self.gone) > max(_HEAVY_FROM, _HEAVY_SHARE * self.base.rows)


class RankedSearch:
    """The ranking of one library; safe to use from several threads."""

    def __init__(self, index: Index, cache: Cache, locks: Path) -> None:
        self._index = index
        self._cache = cache
        self._locks = locks
        self._state: _State | None = None
        self._lock = threading.Lock()
        self._unusable_stamp = b""
        """A state of the index that can't be ranked."""

    def page(
        self, text: str, *, limit: int, offset: int, model_types: Sequence[str] = (), tags: Sequence[str] = ()
    ) -> RowidPage | None:
        """The page that `Index.search_rowids` gives; None when that has to be asked.

        Raises:
            InvalidInput: The text is too long, or there are too many types or tags.
            Unavailable: The index can't be read.
        """
        state = self._state
        if state is None or self._index.stamp() != state.stamp:
            return None
        check_filters(model_types, tags)
        found = state.ranker.rank(text, limit=limit, offset=offset, model_types=model_types, tags=tags)
        if found is None:
            return None
        return RowidPage(found.rowids, found.total_count, found.expression, state.stamp)

    @property
    def is_heavy(self) -> bool:
        """Whether so much was written since the base was made that searches are slower for it."""
        return self._state is not None and self._state.is_heavy

    @property
    def needs_fill(self) -> bool:
        """Whether the next search could be ranked, or faster, after `fill`."""
        stamp = self._index.stamp()
        state = self._state
        if not stamp or stamp == self._unusable_stamp:
            return False
        return state is None or state.stamp != stamp or state.is_heavy

    def forget(self) -> None:
        """Nothing that is kept belongs to any state of the index from now on."""
        self._state = None
        self._cache.replace_all(Table.POSTINGS, [])

    def follow(self, changes: Changes) -> None:
        """Take up what a refresh wrote, if it wrote to the state that is known; else `fill` is needed."""
        state = self._state
        if state is None or not changes.total or changes.is_all_new or state.stamp != changes.stamp_before:
            return
        gone = state.gone.union(changes.rowids, changes.gone_rowids)
        if len(gone) <= _MOST_CHANGED:
            self._follow(state, changes, gone)

    def _follow(self, state: _State, changes: Changes, gone: frozenset[int]) -> None:
        from pumas.search.leaves import NotReadable, read_totals  # noqa: PLC0415 - numpy, only once something ranks
        from pumas.search.postings import build_changed  # noqa: PLC0415
        from pumas.search.ranking import Ranker  # noqa: PLC0415

        changed = state.changed.union(changes.rowids).difference(changes.gone_rowids)
        try:
            with self._index.snapshot() as (db, stamp):
                if stamp != changes.stamp_after:
                    return
                beside = build_changed(db, sorted(changed)) if changed else None
                totals = read_totals(db)
        except (NotReadable, PumasError) as exc:
            logger.info("a change can't be ranked, FTS5 answers: %s", exc)
            return
        ranker = Ranker(state.base, state.ranker.tokenizer, changed=beside, gone=sorted(gone), totals=totals)
        with self._lock:
            if self._state is state:
                self._state = _State(stamp, state.base, ranker, changed, gone)

    def fill(self, progress: Progress) -> None:
        """Make the ranking of the index as it is now, from the postings on disk or from the search table; a job.

        Raises:
            Unavailable: The index can't be read now.
            Cancelled: The job is to end.
        """
        from pumas.search.generations import keep_postings, load_postings  # noqa: PLC0415 - numpy, only once something ranks
        from pumas.search.leaves import NotReadable  # noqa: PLC0415
        from pumas.search.ranking import Ranker  # noqa: PLC0415
        from pumas.search.tokenizer import Tokenizer  # noqa: PLC0415

        with document_lock(self._locks, _LOCK):
            if not self.needs_fill:
                return
            stamp = self._index.stamp()
            postings = load_postings(self._cache, stamp)
            if postings is None:
                progress.report(0, None, "preparing the ranking")
                try:
                    postings, stamp = self._built()
                except (NotReadable, Damaged) as exc:
                    # A damaged index is made again by whoever meets the damage in an answer.
                    logger.info("searches are left to FTS5: %s", exc)
                    self._unusable_stamp = stamp
                    return
                progress.check()
                if keep_postings(self._cache, postings, stamp):
                    # From the file, whose pages the system may take back, in place of memory.
                    postings = load_postings(self._cache, stamp) or postings
            state = _State(stamp, postings, Ranker(postings, Tokenizer()))
        with self._lock:
            current = self._index.stamp()
            # A refresh may have brought the old one further meanwhile.
            if self._state is None or stamp == current or self._state.stamp != current:
                self._state = state

    def _built(self) -> tuple[Postings, bytes]:
        from pumas.search.oracle import check_scores  # noqa: PLC0415 - numpy, only once something ranks
        from pumas.search.postings import build_postings  # noqa: PLC0415

        with self._index.snapshot() as (db, stamp):
            postings = build_postings(db)
            check_scores(db, postings)
            return postings, stamp
