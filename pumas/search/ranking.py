"""Ranking over postings: the same rowids in the same order as FTS5's own `ORDER BY rank, rowid` (`ranking.md` §1).

A base of postings never changes. What was written since is a second, small one beside it (`changed`), and the rows of
the base that it replaces, or that are gone, are left out (`gone`). Both are ranked with what holds for all rows, and
the two lists are merged by rank and rowid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import merge
from operator import itemgetter

import numpy as np

from pumas.search._ranking import Matches
from pumas.search.postings import Postings
from pumas.search.query import parse_query, storable
from pumas.search.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class RankedPage:
    """One page: rowids and their ranks in order, the number of all hits, the expression for FTS5."""

    rowids: list[int]
    ranks: list[float]
    total_count: int
    expression: str


class Ranker:
    """Ranks one state of the search table; safe to use from several threads."""

    def __init__(
        self,
        base: Postings,
        tokenizer: Tokenizer,
        *,
        changed: Postings | None = None,
        gone: Sequence[int] = (),
        totals: tuple[int, int] | None = None,
    ) -> None:
        """Take verified postings.

        Args:
            base: The postings of an earlier state.
            tokenizer: Cuts the words of queries.
            changed: Rows written since then.
            gone: Rowids that the base may hold and that are not in this state as the base has them, those of `changed`
                among them.
            totals: Rows and tokens of this state's averages record; the base's when nothing was written.
        """
        self.tokenizer = tokenizer
        self._rows, self._tokens = totals or (base.rows, base.tokens)
        self._parts = [_Part(base, gone)]
        if changed is not None:
            self._parts.append(_Part(changed, ()))

    def rank(
        self, text: str, *, limit: int, offset: int = 0, model_types: Sequence[str] = (), tags: Sequence[str] = ()
    ) -> RankedPage | None:
        """Rank the models for what a user typed.

        Args:
            text: The query.
            limit: Rows of the page, from 0.
            offset: Rows left out before it, from 0.
            model_types: Keep models of any of these types, compared exactly; all when empty.
            tags: Keep models that have all of these tags, compared without case.

        Returns:
            The page; None when the query is one for FTS5: without a word, or with a word for one column.

        Raises:
            InvalidInput: The text is too long.
        """
        query = parse_query(text)
        if not query.words or query.has_column:
            return None
        phrases = [tokens for word in query.words if (tokens := self.tokenizer.tokens(word))]
        if not phrases or not self._rows or not self._tokens:
            return RankedPage([], [], 0, query.expression)
        found = [(part, part.postings.ranking.match(phrases)) for part in self._parts]
        kept = [part.counts(matches) for part, matches in found]
        counts = [sum(each) for each in zip(*kept, strict=True)]
        pages = [
            matches.rank(
                counts,
                self._rows,
                self._tokens,
                offset + limit,
                kept=-1 if tags else mine[0],
                **part.filters(model_types, tags),
            )
            for (part, matches), mine in zip(found, kept, strict=True)
        ]
        rowids, ranks = _merged(pages)
        return RankedPage(
            rowids[offset : offset + limit],
            ranks[offset : offset + limit],
            sum(total for _, _, total in pages),
            query.expression,
        )


class _Part:
    """Postings, and which of their documents count."""

    def __init__(self, postings: Postings, gone: Sequence[int]) -> None:
        self.postings = postings
        rowids = postings.arrays["rowids"]
        left_out = np.isin(rowids, np.array(gone, np.int64)) if len(gone) else np.zeros(len(rowids), bool)
        self._gone = np.flatnonzero(left_out).astype(np.uint32)
        self._kept = (~left_out).astype(np.uint8) if len(self._gone) else None

    def counts(self, matches: Matches) -> list[int]:
        """Documents of each phrase."""
        if not len(self._gone):
            return matches.counts
        return [all_ - gone for all_, gone in zip(matches.counts, matches.count_among(self._gone), strict=True)]

    def filters(self, model_types: Sequence[str], tags: Sequence[str]) -> dict[str, np.ndarray | None]:
        """What `Matches.rank` takes of the filters; one flag per type, one per document."""
        kept = self._kept
        for tag in dict.fromkeys(tags):
            having = np.zeros(len(self.postings.arrays["rowids"]), np.uint8)
            # PERF: numpy turns other numbers into these by itself, but more slowly (1 M models: 0.4 ms, not 1.0).
            having[self.postings.documents_of_tag(storable(tag).lower()).astype(np.intp)] = 1
            kept = having if kept is None else kept & having
        types = None
        if model_types:
            types = np.zeros(len(self.postings.types) + 1, np.uint8)
            numbers = (self.postings.types.get(storable(one).encode()) for one in model_types)
            types[[number for number in numbers if number is not None]] = 1
        return {"types": types, "documents": kept}


def _merged(pages: list[tuple[list[int], list[float], int]]) -> tuple[list[int], list[float]]:
    if len(pages) == 1:
        return pages[0][:2]
    both = list(merge(*(zip(ranks, rowids, strict=True) for rowids, ranks, _ in pages)))
    return list(map(itemgetter(1), both)), list(map(itemgetter(0), both))
