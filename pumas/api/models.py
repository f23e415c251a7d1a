"""Operations on the models of the library."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import TypedDict, TypeVar

from pumas.api.ready import hit_of
from pumas.api.root import LauncherRoot
from pumas.api.watch import LibraryWatch
from pumas.config import MAX_SEARCH_LIMIT, REFRESH_AGE_S
from pumas.errors import Cancelled, Damaged, InvalidInput, ModelNotFound, PumasError, Unavailable
from pumas.jobs import Job, Progress
from pumas.library.overrides import read_overrides, write_overrides
from pumas.library.records import model_of
from pumas.models import LibraryStatus, Model, ReadyPage, RefreshReport, SearchHit, SearchPage
from pumas.search.index import Page, RowidPage
from pumas.system.memory import give_back_free_memory

logger = logging.getLogger(__name__)

T = TypeVar("T")


class ModelOperations:
    """List, search, describe models; keep the index in line with the disk."""

    _root: LauncherRoot

    def list_models(self) -> list[Model]:
        """All models of the index, in order of their ids."""
        models = []
        with self._healed():
            rows = self._root.index.rows()
        for model_id, document in rows:
            model = model_of(model_id, document)
            if model is None:
                logger.warning("the index row of %s is no JSON object; it is left out", model_id)
            else:
                models.append(model)
        return models

    def get_model(self, model_id: str) -> SearchHit:
        """One model with its row of the index.

        Raises:
            ModelNotFound: The index has none of that id.
        """
        with self._healed():
            row = self._root.index.row(model_id)
        model = model_of(model_id, row.metadata_json) if row else None
        if row is None or model is None:
            raise ModelNotFound(model_id)
        return hit_of(model, row)

    def search_models_fts(
        self,
        query: str,
        *,
        limit: int = 100,
        offset: int = 0,
        model_type: str | Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
    ) -> SearchPage:
        """Search names, types, tags, families and descriptions; best hits first (BM25).

        Args:
            query: Words; each is a prefix, any may match. `column:word` narrows one to a column (id, official_name,
                cleaned_name, model_type, tags, family, description). Empty finds all, last written first.
            limit: Hits of the page, 0 to 10,000.
            offset: Hits left out before it.
            model_type: Keep models of this type, or of one of these types; compared exactly.
            tags: Keep models with all of these tags; compared without case.

        Raises:
            InvalidInput: `limit` or `offset` is out of range, or `query` too long.
            Unavailable: The index can't be used now.
        """
        begun = perf_counter()
        chosen = _chosen(limit, offset, model_type, tags)
        with self._healed():
            ranked = self._ranked_page(query, chosen)
            rows = None if ranked is None else self._root.index.rows_of(ranked)
            if ranked is None or rows is None:
                page = self._root.index.search(query, **chosen)
            else:
                page = Page(rows, ranked.total_count, ranked.query, (perf_counter() - begun) * 1000)
        hits = ((model_of(row.id, row.metadata_json), row) for row in page.rows)
        return SearchPage(
            hits=tuple(hit_of(model, row) for model, row in hits if model is not None),
            total_count=page.total_count,
            query_time_ms=page.elapsed_ms,
            query=page.query,
        )

    def get_library_status(self) -> LibraryStatus:
        """How many models the index knows, and whether it is being brought in line."""
        with self._healed():
            return LibraryStatus(
                model_count=self._root.index.count(),
                pending_lookups=self._root.index.count_pending_lookups(),
                is_indexing=self._root.refresher.is_writing,
            )

    @contextmanager
    def _healed(self) -> Iterator[None]:
        """Make a damaged index again in the background; whoever met it is told to come back."""
        try:
            yield
        except Damaged as exc:
            self.rebuild_index()
            raise Unavailable("The index was damaged and is being made again; try again in a moment") from exc

    def refresh_models(self) -> Job[RefreshReport]:
        """Bring the index in line with the documents on disk; only those that changed are read.

        Unchanged models keep their rows; nothing is written when nothing differs. A call while another refresh waits
        to begin joins that one.
        """
        return self._root.jobs.submit("refresh_models", self._refresh, key="refresh_models")

    def rebuild_index(self) -> Job[RefreshReport]:
        """Write the whole index again from the documents, in one transaction; for one that gives wrong answers."""
        return self._root.jobs.submit("rebuild_index", self._rebuild, key="rebuild_index")

    def refresh_if_due(self) -> Job[RefreshReport] | None:
        """Begin a refresh in the background if the last one of this process is older than two seconds.

        Returns:
            The job to wait for if the index has never been filled, or was made anew; else None.
        """
        refresher, index = self._root.refresher, self._root.index
        if not index.is_writable:
            self._refresh_or_follow()
            return None
        is_first = refresher.is_older_than(math.inf) or index.is_new
        if not is_first and not refresher.is_older_than(REFRESH_AGE_S):
            return None
        is_empty = is_first and index.is_empty()
        job = self.refresh_models()
        return job if is_empty else None

    def _refresh_or_follow(self) -> Job[RefreshReport] | Job[None]:
        """Refresh; where nothing may be written, take up what another process wrote."""
        if self._root.index.is_writable:
            return self.refresh_models()
        return self._root.jobs.submit("follow_index", self._follow_others, key="follow_index")

    def _follow_others(self, progress: Progress) -> None:
        if self._root.wants_ready:
            self._fill_ready(progress)

    def _rebuild(self, progress: Progress) -> RefreshReport:
        return self._refresh(progress, anew=True)

    def _refresh(self, progress: Progress, *, anew: bool = False) -> RefreshReport:
        report, is_ready = self._root.refresher.run(progress, anew=anew)
        if not is_ready and self._root.wants_ready:
            if self._root.index.stamp():
                self._root.jobs.submit("prepare_answers", self._fill_ready, key="prepare_answers")
            else:  # the original made its own triggers since
                self._root.jobs.submit("settle_index", self._settle, key="settle_index")
        return report

    def _submit_change(self, kind: str, change: Callable[[], T]) -> Job[T]:
        """A job that changes something on disk, and has the index follow."""

        def work(progress: Progress) -> T:
            result = change()
            self._follow(progress)
            return result

        return self._root.jobs.submit(kind, work)

    def _follow(self, progress: Progress) -> None:
        """Take up what an operation changed on disk; where that can't be now, the next refresh does.

        Raises:
            Cancelled: The job is to end; another one takes it up.
        """
        try:
            self._refresh(progress)
        except Cancelled:
            with suppress(Cancelled):  # Pumas is being closed: the next start takes it up
                self.refresh_models()
            raise
        except PumasError as exc:
            logger.warning("the index does not follow yet: %s", exc)

    def _fill_ready(self, progress: Progress) -> None:
        self._root.ready.fill(progress)
        give_back_free_memory()

    def prepare_answers(self) -> None:
        """From now on keep the answers for the desktop app ready; a server calls it once."""
        self._root.wants_ready = True
        self._root.jobs.submit("settle_index", self._settle, key="settle_index")

    def watch_library(self) -> None:
        """From now on refresh whenever the library changes on disk; once is enough.

        Where the system can't tell of changes (`PUMAS_WATCH=0`, a network file system, too many folders for it), the
        library is looked through every `PUMAS_SCAN_INTERVAL_S` seconds.
        """
        root = self._root
        if root.watch is None:
            root.watch = LibraryWatch(root.layout.library, self._refresh_or_follow, root.config)
            root.watch.start()

    def _settle(self, progress: Progress) -> None:
        if self._root.index.settle():
            logger.info("the search table was made again: another program had written it")
        self._fill_ready(progress)

    def ready_listing(self) -> Sequence[bytes] | None:
        """The object of all models as the desktop app reads it, in pieces; None when it has to be made from records."""
        with self._healed():
            return self._root.ready.listing()

    def ready_search(
        self,
        query: str,
        *,
        limit: int = 100,
        offset: int = 0,
        model_type: str | Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
    ) -> ReadyPage | None:
        """The same as `search_models_fts`, its hits as the desktop app reads them; None when they aren't ready."""
        begun = perf_counter()
        chosen = _chosen(limit, offset, model_type, tags)
        with self._healed():
            page = self._ranked_page(query, chosen) or self._root.index.search_rowids(query, **chosen)
            hits = self._root.ready.hits(page.rowids, page.stamp)
        if hits is None:
            return None
        elapsed_ms = (perf_counter() - begun) * 1000
        return ReadyPage(hits=hits, total_count=page.total_count, query_time_ms=elapsed_ms, query=page.query)

    def _ranked_page(self, query: str, chosen: _Chosen) -> RowidPage | None:
        """A page by the ranking in memory; None when FTS5 is to be asked."""
        ranked = self._root.ranked
        page = ranked.page(query, **chosen)
        # The one search of a short process is not worth the second that a ranking takes to make.
        if (page is None or ranked.is_heavy) and self._root.has_searched and ranked.needs_fill:
            with suppress(Cancelled):  # while Pumas is being closed, the search at hand is still answered
                self._root.jobs.submit("prepare_ranking", ranked.fill, key="prepare_ranking")
        self._root.has_searched = True
        if page is None and self._root.index.is_new:
            with suppress(Cancelled):
                self._refresh_or_follow()
        return page

    def get_model_overrides(self, rel_path: str) -> dict[str, object]:
        """The user's own settings of a model; empty when there are none or there is no such model."""
        return read_overrides(self._root.layout.library, rel_path)

    def update_model_overrides(self, rel_path: str, overrides: Mapping[str, object]) -> None:
        """Store the user's own settings of a model.

        Raises:
            ModelNotFound: There is no such model.
            InvalidInput: A known field has a wrong form.
            Unavailable, NoSpace: They can't be written; the old ones stay.
        """
        layout = self._root.layout
        write_overrides(layout.library, rel_path, overrides, locks=layout.library_locks)


class _Chosen(TypedDict):
    """Which hits of a search are wanted."""

    limit: int
    offset: int
    model_types: list[str]
    tags: list[str]


def _chosen(limit: int, offset: int, model_type: str | Sequence[str] | None, tags: Sequence[str] | None) -> _Chosen:
    for name, value, most in (("limit", limit, MAX_SEARCH_LIMIT), ("offset", offset, 2**62)):
        if not 0 <= value <= most:
            raise InvalidInput(f"`{name}` must be a whole number from 0 to {most}, not {value}", parameter=name)
    types = [model_type] if isinstance(model_type, str) else list(model_type or ())
    return _Chosen(limit=limit, offset=offset, model_types=[one for one in types if one], tags=list(tags or ()))
