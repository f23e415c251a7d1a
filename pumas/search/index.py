"""The index of models: listing, counting, searching, and taking up what the documents say.

Rows are written by `take_up` only, in one transaction: readers see the old state or the new one.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from pumas.config import MAX_FILTER_VALUES
from pumas.errors import InvalidInput, Unavailable
from pumas.models import DocumentRow
from pumas.search import schema
from pumas.search.database import Connection, Database, transaction
from pumas.search.query import match_expression, storable
from pumas.search.take_up import Changes, TakeUp

logger = logging.getLogger(__name__)

_ALL_COLUMNS = ", ".join(f"models.{name}" for name in schema.COLUMNS)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of `models`, as stored."""

    id: str
    path: str
    cleaned_name: str
    official_name: str
    model_type: str
    tags_json: str
    hashes_json: str
    metadata_json: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page in order, the number of all hits, the expression used, the time it took."""

    rows: list[Row]
    total_count: int
    query: str
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class RowidPage:
    """One page as rowids, and the stamp of the state that they belong to."""

    rowids: Sequence[int]
    total_count: int
    query: str
    stamp: bytes


class Index:
    """The index of one library; safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._searchable_generation = -1

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @property
    def is_new(self) -> bool:
        """Whether the index file was made, or put there, and the models were not taken up since."""
        return self._database.is_new

    def replace(self) -> None:
        """Set the file aside and begin an empty index."""
        self._database.replace()

    @property
    def is_writable(self) -> bool:
        """Whether it can be written to; one that could only be read is looked at again."""
        return self._database.try_writing()

    def count(self) -> int:
        """Models in the index."""
        with self._database.use() as db:
            return int(db.execute("SELECT count(*) FROM models").fetchone()[0])

    def is_empty(self) -> bool:
        """Whether it holds no model."""
        with self._database.use() as db:
            return db.execute("SELECT 1 FROM models LIMIT 1").fetchone() is None

    def count_pending_lookups(self) -> int:
        """Models that wait for a look-up on the hub and were not edited by hand."""
        # PERF: the text is searched first; JSON is parsed only where the flag stands (10,000 rows: 8 ms, not 60).
        sql = (
            "SELECT count(*) FROM models WHERE instr(metadata_json, '\"pending_online_lookup\": true') "
            "AND json_valid(metadata_json) AND json_extract(metadata_json, '$.pending_online_lookup') = 1 "
            "AND coalesce(json_extract(metadata_json, '$.match_source'), '') <> 'manual'"
        )
        with self._database.use() as db:
            return int(db.execute(sql).fetchone()[0])

    def rows_to_review(self) -> list[tuple[str, str]]:
        """Id and document of models whose kind is uncertain, in binary order of their paths."""
        sql = (
            "SELECT id, metadata_json FROM models WHERE (model_type IN ('', 'unknown') "
            "OR instr(metadata_json, '\"needs_review\": true')) AND json_valid(metadata_json) ORDER BY path"
        )
        with self._database.use() as db:
            return db.execute(sql).fetchall()

    def total_bytes(self) -> int:
        """What the documents of all models say of their sizes, added up."""
        sql = (
            "SELECT total(max(json_extract(metadata_json, '$.size_bytes'), 0)) FROM models WHERE "
            "CASE WHEN json_valid(metadata_json) THEN json_type(metadata_json, '$.size_bytes') = 'integer' END"
        )
        with self._database.use() as db:
            return int(db.execute(sql).fetchone()[0])  # `sum` would fail on documents that claim too much

    def rows(self) -> list[tuple[str, str]]:
        """Id and document of every model, in binary order of their paths."""
        with self._database.use() as db:
            return db.execute("SELECT id, metadata_json FROM models ORDER BY path").fetchall()

    def row(self, model_id: str) -> Row | None:
        """One model's row, or None."""
        with self._database.use() as db:
            found = db.execute(f"SELECT {_ALL_COLUMNS} FROM models WHERE id = ?", (storable(model_id),)).fetchone()
        return Row(*found) if found else None

    def search(
        self, text: str, *, limit: int, offset: int, model_types: Sequence[str] = (), tags: Sequence[str] = ()
    ) -> Page:
        """Search the models.

        Args:
            text: What a user typed; empty finds all models, last written first.
            limit: Rows of the page, from 0.
            offset: Rows left out before it, from 0.
            model_types: Keep models of any of these types, compared exactly; all when empty.
            tags: Keep models that have all of these tags, compared without case.

        Raises:
            InvalidInput: The text is too long, or there are too many types or tags.
            Unavailable: The index can't be made searchable, or is being written for more than 30 s.
        """
        begun = perf_counter()
        query = _Query(text, model_types, tags)
        with self._reading(query) as db:
            found, total = query.page(db, _ALL_COLUMNS, limit, offset)
        return Page([Row(*row) for row in found], total, query.expression, (perf_counter() - begun) * 1000)

    def search_rowids(
        self, text: str, *, limit: int, offset: int, model_types: Sequence[str] = (), tags: Sequence[str] = ()
    ) -> RowidPage:
        """The same page as `search` gives, as rowids; `stamp` is empty when the search table is not ours."""
        query = _Query(text, model_types, tags)
        with self._reading(query) as db:
            found, total = query.page(db, "models.rowid", limit, offset)
            return RowidPage([row[0] for row in found], total, query.expression, _stamp(db))

    def listed_rowids(self) -> RowidPage:
        """All models as rowids, in binary order of their paths."""
        with self._reading() as db:
            # The ids are the paths, and their own index holds id and rowid: no row is read.
            rowids = array("q", (row[0] for row in db.execute("SELECT rowid FROM models ORDER BY id")))
            return RowidPage(rowids, len(rowids), "", _stamp(db))

    def stamp(self) -> bytes:
        """Changes whenever the models or the search table change; empty when the search table is not ours."""
        with self._database.use() as db:
            # PERF: with every search and list; the triggers are compared when the schema has changed (15 us, not 26).
            found = schema.stamp_under(db, db.followed_cookie)
            if found:
                return _of_this_file(db, found)
        with self._reading() as db:
            return _stamp(db)

    @contextmanager
    def snapshot(self) -> Iterator[tuple[Connection, bytes]]:
        """One read transaction for whoever reads the tables itself, and the stamp of the state that it sees."""
        with self._reading() as db:
            yield db, _stamp(db)

    @contextmanager
    def _reading(self, query: _Query | None = None) -> Iterator[Connection]:
        """One read transaction: everything read in it belongs together."""
        with self._database.use() as db:
            if query is not None and query.expression:
                self._make_searchable(db)
            db.execute("BEGIN")
            try:
                yield db
            finally:
                if db.in_transaction:  # a full drive or too little memory ends it by itself
                    db.execute("ROLLBACK")

    def rows_after(self, rowid: int, count: int) -> tuple[list[tuple[int, Row]], bytes]:
        """The next rows in order of rowid, and the stamp of the state that they belong to."""
        with self._reading() as db:
            sql = f"SELECT models.rowid, {_ALL_COLUMNS} FROM models WHERE rowid > ? ORDER BY rowid LIMIT ?"
            found = [(row[0], Row(*row[1:])) for row in db.execute(sql, (rowid, count))]
            return found, _stamp(db)

    def rows_at(self, rowids: Sequence[int]) -> tuple[list[tuple[int, Row]], bytes]:
        """Rows by rowid, and the stamp of the state that they belong to."""
        with self._reading() as db:
            sql = f"SELECT models.rowid, {_ALL_COLUMNS} FROM models WHERE rowid IN (SELECT value FROM json_each(?))"
            found = [(row[0], Row(*row[1:])) for row in db.execute(sql, (json.dumps(rowids),))]
            return found, _stamp(db)

    def rows_of(self, page: RowidPage) -> list[Row] | None:
        """The rows of a page in its order; None when the index is no longer as it was then."""
        found, stamp = self.rows_at(page.rowids)
        if stamp != page.stamp or len(found) != len(page.rowids):
            return None
        rows = dict(found)
        return [rows[rowid] for rowid in page.rowids]

    def ids(self) -> list[str]:
        """The ids of all models."""
        with self._database.use() as db:
            return schema.ids(db)

    def settle(self) -> bool:
        """See that the search rows have the rowids of their models, and that the triggers are ours (`sqlite.md` §2.6).

        Returns:
            Whether something had to be written.

        Raises:
            Unavailable: The index can't be written.
        """
        if not self.is_writable:
            return False
        with self._database.use() as db:
            if not schema.has_search(db) or (schema.is_ours(db) and schema.is_related_by_rowid(db)):
                return False
            with transaction(db):
                schema.refill_search(db)
            return True

    def _make_searchable(self, db: sqlite3.Connection) -> None:
        """Make the search table on the first search, as `sqlite.md` §2.4 says."""
        if self._searchable_generation != self._database.generation and self._database.is_writable:
            if not _is_searchable(db):
                with transaction(db):
                    if not _is_searchable(db):
                        schema.refill_search(db)
            self._searchable_generation = self._database.generation

    def take_up(
        self,
        batches: Iterable[Sequence[DocumentRow]],
        *,
        anew: bool = False,
        scope: Collection[str] | None = None,
        gone: Collection[str] = (),
        on_write: Callable[[], None] = lambda: None,
    ) -> Changes:
        """Bring the index in line with the documents.

        Args:
            batches: Rows without the time of writing, in the order of `schema.COLUMNS`.
            anew: Write every row and the search table again, without looking at what is there.
            scope: Ids that are judged: one that no batch names leaves the index. All when None.
            gone: Those of them whose folder is known to be gone, so that a new row may be the same model moved.
            on_write: Called when the first difference is about to be written.

        Raises:
            Unavailable: The index can't be written.
            Damaged: The file is no longer a database; `replace` it and take up again.
        """
        if not self.is_writable:
            raise Unavailable("There is no permission to write the index: the launcher root is read-only")
        with self._database.use() as db:
            changes = TakeUp(db, anew=anew, on_write=on_write).run(batches, scope=scope, gone=gone)
            self._database.mark_filled()
            changes.stamp_before = _of_this_file(db, changes.stamp_before)
            changes.stamp_after = _of_this_file(db, changes.stamp_after)
            return changes


def _stamp(db: Connection) -> bytes:
    found = schema.stamp(db)
    db.followed_cookie = schema.cookie_of(found)
    return _of_this_file(db, found)


def _of_this_file(db: Connection, stamp: bytes) -> bytes:
    # A file that was put in this one's place may have counted as far.
    return b"%d:" % db.inode + stamp if stamp and db.inode is not None else b""


def check_filters(model_types: Sequence[str], tags: Sequence[str]) -> None:
    """Refuse filters of too many values.

    Raises:
        InvalidInput: There are too many; the message says of what.
    """
    for name, given in (("model_type", model_types), ("tags", tags)):
        if len(given) > MAX_FILTER_VALUES:
            raise InvalidInput(f"`{name}` may hold at most {MAX_FILTER_VALUES} texts", parameter=name)


class _Query:
    """What a search asks the database."""

    def __init__(self, text: str, model_types: Sequence[str], tags: Sequence[str]) -> None:
        check_filters(model_types, tags)
        self.expression = match_expression(text)
        self._has_tags = bool(tags)
        conditions: list[str] = []
        self._values: list[object] = []
        self._source = "models"
        self._order = "models.updated_at DESC, models.rowid"
        if self.expression:
            self._source = "model_search JOIN models ON models.id = model_search.id"
            self._order = "model_search.rank, model_search.rowid"
            conditions.append("model_search MATCH ?")
            self._values.append(self.expression)
        if model_types:
            conditions.append(f"models.model_type IN ({', '.join('?' * len(model_types))})")
            self._values.extend(map(storable, model_types))
        for tag in dict.fromkeys(tags):
            members = f"json_each({schema.valid_json('models.tags_json')})"
            conditions.append(f"EXISTS (SELECT 1 FROM {members} WHERE fold(value) = ?)")
            self._values.append(storable(tag).lower())
        self._where = f" WHERE {' AND '.join(conditions)}" if conditions else ""

    def page(self, db: sqlite3.Connection, columns: str, limit: int, offset: int) -> tuple[list[Any], int]:
        """Rows of one page and the number of all; in one read transaction, so that they belong together."""
        if self._has_tags:
            db.create_function("fold", 1, _fold, deterministic=True)
        sql = f"SELECT {columns} FROM {self._source}{self._where} ORDER BY {self._order} LIMIT ? OFFSET ?"
        found = db.execute(sql, (*self._values, limit, offset)).fetchall()
        if len(found) < limit and (found or not offset):
            return found, offset + len(found)
        count = f"SELECT count(*) FROM {self._source}{self._where}"
        return found, int(db.execute(count, self._values).fetchone()[0])


def _is_searchable(db: sqlite3.Connection) -> bool:
    """Whether the search table follows the models; with triggers of ours, by their rowids too (`sqlite.md` §2.6)."""
    if not schema.is_followed(db):
        return False
    return schema.is_related_by_rowid(db) if schema.is_ours(db) else schema.is_complete(db)


def _fold(value: str | float | bytes | None) -> str | float | bytes | None:
    return value.lower() if isinstance(value, str) else value
