"""Reading FTS5's leaf pages, and ranking: the one compiled module of `pumas` (`ranking.md`).

What the arrays hold is said in `pumas/search/postings.py`, the format of the pages in `leaves.py`. Nothing here is
bounds-checked: `Arrays` are ranked with only when they were built here or `find_fault` found nothing.
"""

from typing import Any, Self, TypeAlias, final

import numpy as np
import numpy.typing as npt

_Named: TypeAlias = dict[str, npt.NDArray[np.integer[Any]]]

HEAVY_COLUMNS: int
"""Columns of the table of heavy ranges."""

@final
class Documents:
    """The rows of the search table, in order, with the lengths of their columns."""

    def __init__(self, rowids: npt.NDArray[np.int64], sizes: list[bytes], columns: int) -> None:
        """Take the records of the table of sizes: one varint per column.

        Raises:
            ValueError: Rowids don't ascend, a record is damaged, a row has over 65,535 tokens, or all have 2**31.
        """
    @property
    def rowids(self) -> npt.NDArray[np.int64]: ...
    @property
    def token_starts(self) -> npt.NDArray[np.uint32]: ...
    @property
    def count(self) -> int: ...
    @property
    def columns(self) -> int: ...
    def column_totals(self) -> list[int]:
        """Tokens per column."""

@final
class Segment:
    """Terms and postings of one segment of the index. After a ValueError it is of no use."""

    def __init__(self, documents: Documents) -> None: ...
    def add_page(self, page: bytes) -> None:
        """Take the next leaf page.

        Raises:
            ValueError: It is not one that can follow.
        """
    def add_instance(self, term: bytes, rowid: int, column: int, offset: int) -> None:
        """Take the next occurrence, in order of term, rowid, column and offset.

        Raises:
            ValueError: It is out of order, or of no row.
        """
    def finish(self) -> None:
        """End the segment.

        Raises:
            ValueError: The last page ends too early.
        """

def merge(segments: list[Segment], documents: Documents) -> _Named:
    """Make the arrays of terms, postings and tokens of all segments, the newest first; without the GIL.

    Raises:
        ValueError: Positions and sizes don't belong together.
    """

@final
class Heavy:
    """Champions and merged lists of the ranges of terms that have many postings."""

    def __init__(self, arrays: _Named, heavy_from: int, union_from: int, kept: int) -> None:
        """Choose what is kept.

        Args:
            arrays: Those of `merge`.
            heavy_from: Postings of a range that has champions.
            union_from: Postings of a range of several terms whose merged list is kept.
            kept: A document is a champion unless so many others beat it.
        """
    def run(self) -> _Named:
        """Make the arrays `heavy`, `champions` and `unions`; without the GIL."""

@final
class Arrays:
    """The arrays of one state of the table, ready to rank; may be used by several threads at once."""

    def __init__(self, arrays: _Named, champions: int) -> None: ...
    @property
    def arrays(self) -> _Named: ...
    @property
    def documents(self) -> int: ...
    @property
    def terms(self) -> int: ...
    @property
    def champions(self) -> int: ...
    def match(self, phrases: list[list[bytes]]) -> Matches:
        """Look up phrases, each one or more tokens of which the last is a prefix; without the GIL."""

def find_fault(arrays: Arrays) -> str | None:
    """What points outside or is out of order; None when the arrays can be ranked with."""

@final
class Matches:
    """The documents of each phrase of a query."""

    def __new__(cls, arrays: Arrays, phrases: list[list[bytes]]) -> Self:
        """Use `Arrays.match`."""
    @property
    def phrases(self) -> int: ...
    @property
    def counts(self) -> list[int]:
        """Documents of each phrase."""
    def count_among(self, documents: npt.NDArray[np.uint32]) -> list[int]:
        """How many of some documents each phrase has.

        Raises:
            ValueError: A document is out of range.
        """
    def rank(
        self,
        counts: list[int],
        rows: int,
        tokens: int,
        limit: int,
        *,
        types: npt.NDArray[np.uint8] | None = None,
        documents: npt.NDArray[np.uint8] | None = None,
        kept: int = -1,
    ) -> tuple[list[int], list[float], int]:
        """Rank by BM25 as FTS5 computes it, to the last bit; without the GIL.

        Args:
            counts: Documents of each phrase in the whole table, those of other arrays included.
            rows: Rows of the table.
            tokens: Its tokens.
            limit: Hits wanted.
            types: By number of type, 1 where its models may be found, else 0.
            documents: By document, 1 where it may be found, else 0.
            kept: How many documents of the only phrase `documents` leaves, where that is known.

        Returns:
            Rowids and ranks, best first (ranks are negative, ties in order of rowid), and the number of all hits.

        Raises:
            ValueError: A number is out of range, or a filter has another length.
        """
