"""Reading the contract's search table as arrays: every document's tokens, every term's documents (`sqlite.md` §2.2).

The first reader takes FTS5's own leaf pages, in one pass over `model_search_data`; the second one asks the `fts5vocab`
table of type `instance`, which is slower by far and can't be wrong. What SQLite's stable format says of the first:

    id 1     averages: varints: rows, then the tokens of each column
    id 10    structure: u32 cookie, varints: levels, segments, write counter; per level: merging, segments;
             per segment, the newest of a level last: its number, its first page, its last page
    id number << 37 | page       a leaf:
       0  u16 offset of the first rowid; 0 when the page has none    2  u16 end of content
       4  content: terms (the first one whole, others as kept bytes and rest) and their postings, which go on on the
          next page: rowid (whole at the start of a term and of a page, else the difference), then twice the size of
          the position list, plus 1 where an older posting of the row is taken away; positions: difference + 2, or 1
          and a column
       end of content: varints: offset of the first term on the page, then the distances to the others

Terms of the main index begin with `0`; prefix indexes follow. Of two postings of one row the newer segment's counts;
one without positions only takes the older one away.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pumas.search._ranking import Documents, Segment, merge
from pumas.search.schema import SEARCH_COLUMNS

Arrays: TypeAlias = dict[str, npt.NDArray[np.integer[Any]]]
_Reader: TypeAlias = Callable[[sqlite3.Connection, Documents], list[Segment]]

_VERSION = 4  # of the format of the data; `secure-delete` and contentless tables make others
_PAGE_BITS = 37
_MAX_SEGMENTS = 2000  # FTS5's own bound


class NotReadable(Exception):
    """The search table's own data is not as expected; the message says what."""


def read_totals(db: sqlite3.Connection) -> tuple[int, int]:
    """Rows and tokens of the search table, from its averages record.

    Raises:
        NotReadable: The record is missing or damaged.
    """
    rows, *columns = _averages(db)
    return rows, sum(columns)


def read_arrays(db: sqlite3.Connection) -> Arrays:
    """The postings by the first reader, inside the caller's read transaction.

    Raises:
        NotReadable: The data is not as expected.
        sqlite3.Error: The database can't be read.
    """
    return _merged(db, _read_leaves)


def read_arrays_slowly(db: sqlite3.Connection) -> Arrays:
    """The same by the second reader; for tests, and where the first one refuses.

    Raises:
        NotReadable: The table's vocabulary and its sizes don't belong together.
        sqlite3.Error: The database can't be read.
    """
    return _merged(db, _read_vocabulary)


def _merged(db: sqlite3.Connection, read: _Reader) -> Arrays:
    documents = _documents(db)
    try:
        return merge(read(db, documents), documents)
    except ValueError as exc:
        raise NotReadable(str(exc)) from exc


def _documents(db: sqlite3.Connection) -> Documents:
    found = db.execute("SELECT id, sz FROM model_search_docsize ORDER BY id").fetchall()
    rowids = np.fromiter((row[0] for row in found), np.int64, len(found))
    try:
        documents = Documents(rowids, [row[1] for row in found], len(SEARCH_COLUMNS))
    except ValueError as exc:
        raise NotReadable(str(exc)) from exc
    if _averages(db) != [documents.count, *documents.column_totals()]:
        raise NotReadable("the averages are not those of the rows")
    return documents


def _averages(db: sqlite3.Connection) -> list[int]:
    record = _record(db, 1)
    if not record:  # a table that never had a row
        return [0] * (len(SEARCH_COLUMNS) + 1)
    found = list(_varints(record))
    if len(found) != len(SEARCH_COLUMNS) + 1:
        raise NotReadable("the averages record has another length")
    return found


def _record(db: sqlite3.Connection, number: int) -> bytes:
    row = db.execute("SELECT block FROM model_search_data WHERE id = ?", (number,)).fetchone()
    if row is None or not isinstance(row[0], bytes):
        raise NotReadable(f"record {number} is missing")
    return row[0]


def _varints(record: bytes) -> Iterator[int]:
    """SQLite's variable-length integers: seven bits a byte, eight in the ninth."""
    value = length = 0
    for byte in record:
        length += 1
        value = value << 8 | byte if length == 9 else value << 7 | byte & 0x7F
        if length == 9 or byte < 0x80:
            yield value
            value = length = 0
    if length:
        raise NotReadable("a number ends too early")


def _segments(db: sqlite3.Connection) -> list[tuple[int, int, int]]:
    """Number, first and last page of each segment, the newest first."""
    numbers = _varints(_record(db, 10)[4:])
    try:
        levels, count, _ = next(numbers), next(numbers), next(numbers)
        if levels > _MAX_SEGMENTS or count > _MAX_SEGMENTS:
            raise NotReadable("the structure record is out of range")
        found: list[tuple[int, int, int]] = []
        for _ in range(levels):
            next(numbers)
            size = next(numbers)
            if size > count - len(found):
                raise NotReadable("the structure record is out of range")
            level = [(next(numbers), next(numbers), next(numbers)) for _ in range(size)]
            found += reversed(level)
    except StopIteration:
        raise NotReadable("the structure record ends too early") from None
    if next(numbers, None) is not None or len(found) != count:
        raise NotReadable("the structure record has another form")
    # A segment that was merged away entirely has no page left.
    return [one for one in found if one[1]]


def _read_leaves(db: sqlite3.Connection, documents: Documents) -> list[Segment]:
    version = db.execute("SELECT v FROM model_search_config WHERE k = 'version'").fetchone()
    if version != (_VERSION,):
        raise NotReadable("the search table's data is of another version")
    return [_read_segment(db, documents, *one) for one in _segments(db)]


def _read_segment(db: sqlite3.Connection, documents: Documents, number: int, first: int, last: int) -> Segment:
    if not (0 < number < 1 << 16 and 0 < first <= last < 1 << 31):
        raise NotReadable("a segment is out of range")
    segment = Segment(documents)
    base = number << _PAGE_BITS
    expected = base + first
    sql = "SELECT id, block FROM model_search_data WHERE id BETWEEN ? AND ? ORDER BY id"
    for page, block in db.execute(sql, (base + first, base + last)):
        if page != expected or not isinstance(block, bytes):
            raise NotReadable("a page is missing")
        segment.add_page(block)
        expected += 1
    if expected != base + last + 1:
        raise NotReadable("a page is missing")
    segment.finish()
    return segment


def _read_vocabulary(db: sqlite3.Connection, documents: Documents) -> list[Segment]:
    columns = {name: number for number, name in enumerate(SEARCH_COLUMNS)}
    segment = Segment(documents)
    db.execute("CREATE VIRTUAL TABLE temp.pumas_vocabulary USING fts5vocab('main', 'model_search', 'instance')")
    try:
        sql = "SELECT CAST(term AS BLOB), doc, col, offset FROM temp.pumas_vocabulary"
        for term, rowid, column, offset in db.execute(sql):
            segment.add_instance(term, rowid, columns[column], offset)
    finally:
        db.execute("DROP TABLE temp.pumas_vocabulary")
    segment.finish()
    return [segment]
