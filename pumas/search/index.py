"""The index of models: listing, counting, searching, and taking up what the documents say.

Rows are written by `take_up` only. It compares each document with its row and writes what differs, in one
transaction: readers see the old state or the new one.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

from pumas.config import MAX_FILTER_VALUES
from pumas.errors import InvalidInput, Unavailable
from pumas.search import schema
from pumas.search.database import Database, transaction
from pumas.search.query import match_expression

logger = logging.getLogger(__name__)

# Beyond this share of changed rows the search table is made anew: cheaper than row by row.
_REFILL_SHARE = 0.25

_INSERT = f"INSERT INTO models({', '.join(schema.COLUMNS)}) VALUES ({', '.join('?' * len(schema.COLUMNS))})"
_UPSERT = (
    f"{_INSERT} ON CONFLICT(id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in schema.COLUMNS[1:])}"
)
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


@dataclass(slots=True)
class Changes:
    """What taking up the documents changed."""

    model_count: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0

    @property
    def total(self) -> int:
        """Rows written."""
        return self.added + self.changed + self.removed


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
        """Whether there was no usable index file, so that the models have to be taken up."""
        return self._database.is_new

    def replace(self) -> None:
        """Set the file aside and begin an empty index."""
        self._database.replace()

    def count(self) -> int:
        """Models in the index."""
        with self._database.use() as db:
            return int(db.execute("SELECT count(*) FROM models").fetchone()[0])

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

    def rows(self) -> list[tuple[str, str]]:
        """Id and document of every model, in binary order of their paths."""
        with self._database.use() as db:
            return db.execute("SELECT id, metadata_json FROM models ORDER BY path").fetchall()

    def row(self, model_id: str) -> Row | None:
        """One model's row, or None."""
        with self._database.use() as db:
            found = db.execute(f"SELECT {_ALL_COLUMNS} FROM models WHERE id = ?", (_storable(model_id),)).fetchone()
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
        for name, values_given in (("model_type", model_types), ("tags", tags)):
            if len(values_given) > MAX_FILTER_VALUES:
                raise InvalidInput(f"`{name}` may hold at most {MAX_FILTER_VALUES} texts", parameter=name)
        expression = match_expression(_storable(text))
        conditions: list[str] = []
        values: list[object] = []
        source = "models"
        order = "models.updated_at DESC, models.rowid"
        if expression:
            source = "model_search JOIN models ON models.id = model_search.id"
            order = "model_search.rank, model_search.rowid"
            conditions.append("model_search MATCH ?")
            values.append(expression)
        if model_types:
            conditions.append(f"models.model_type IN ({', '.join('?' * len(model_types))})")
            values.extend(map(_storable, model_types))
        for tag in dict.fromkeys(tags):
            members = f"json_each({schema.valid_json('models.tags_json')})"
            conditions.append(f"EXISTS (SELECT 1 FROM {members} WHERE fold(value) = ?)")
            values.append(_storable(tag).lower())
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        with self._database.use() as db:
            if expression:
                self._make_searchable(db)
            if tags:
                db.create_function("fold", 1, _fold, deterministic=True)
            # Both statements in one read transaction, so that page and count belong together.
            db.execute("BEGIN")
            try:
                sql = f"SELECT {_ALL_COLUMNS} FROM {source}{where} ORDER BY {order} LIMIT ? OFFSET ?"
                found = db.execute(sql, (*values, limit, offset)).fetchall()
                is_last_page = len(found) < limit and (found or not offset)
                total = (
                    offset + len(found)
                    if is_last_page
                    else db.execute(f"SELECT count(*) FROM {source}{where}", values).fetchone()[0]
                )
            finally:
                db.execute("ROLLBACK")
        return Page([Row(*row) for row in found], total, expression, (perf_counter() - begun) * 1000)

    def _make_searchable(self, db: sqlite3.Connection) -> None:
        """Make the search table on the first search, as `sqlite.md` §2.4 says."""
        if self._searchable_generation != self._database.generation and self._database.is_writable:
            if not _is_searchable(db):
                with transaction(db):
                    if not _is_searchable(db):
                        schema.refill_search(db)
            self._searchable_generation = self._database.generation

    def take_up(self, batches: Iterable[Sequence[tuple[str, ...]]], *, anew: bool = False) -> Changes:
        """Bring the index in line with the documents; a model that no batch names leaves it.

        Args:
            batches: Rows without the time of writing, in the order of `schema.COLUMNS`.
            anew: Write every row and the search table again, without looking at what is there.

        Raises:
            Unavailable: The index can't be written.
            Damaged: The file is no longer a database; `replace` it and take up again.
        """
        if not self._database.is_writable:
            raise Unavailable("There is no permission to write the index: the launcher root is read-only")
        with self._database.use() as db:
            return _TakeUp(db, anew=anew).run(batches)


class _TakeUp:
    """One run of `Index.take_up`. Nothing is written, and no lock taken, before the first difference is seen."""

    def __init__(self, db: sqlite3.Connection, *, anew: bool) -> None:
        self._db = db
        self._anew = anew
        self._changes = Changes()
        self._is_writing = False
        self._now = datetime.now(UTC).isoformat().removesuffix("+00:00") + "Z"
        self._known: set[str] = set() if anew else {row[0] for row in db.execute("SELECT id FROM models")}
        self._is_first_fill = not self._known

    def run(self, batches: Iterable[Sequence[tuple[str, ...]]]) -> Changes:
        """Take up all batches, then let the search table follow."""
        seen: set[str] = set()
        try:
            if self._anew:
                self._begin()
            for batch in batches:
                seen.update(row[0] for row in batch)
                if self._is_first_fill:
                    self._fill(batch)
                else:
                    self._write(self._differing(batch))
            self._remove(self._known - seen)
            self._changes.model_count = len(seen)
            if self._is_writing:
                self._follow()
                self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return self._changes

    def _begin(self) -> None:
        if self._is_writing:
            return
        self._db.execute("BEGIN IMMEDIATE")
        self._is_writing = True
        self._is_ours = schema.is_ours(self._db) and schema.is_related_by_rowid(self._db)
        schema.drop_triggers(self._db)
        if self._is_first_fill:
            schema.empty_search(self._db)
            # Another process may have filled the table since it was found empty.
            self._db.execute("DELETE FROM models")
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS touched (id INTEGER PRIMARY KEY)")
        self._db.execute("DELETE FROM touched")

    def _fill(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Write the rows of an empty index; the search table follows batch by batch, while the next one is read."""
        self._begin()
        last = self._db.execute("SELECT coalesce(max(rowid), 0) FROM models").fetchone()[0]
        self._db.executemany(_INSERT, ((*row, self._now) for row in rows))
        schema.fill_search(self._db, after=last)
        self._changes.added += len(rows)

    def _differing(self, batch: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        ids = json.dumps([row[0] for row in batch])
        # All columns: another program may have derived them from the same document otherwise.
        sql = f"SELECT {', '.join(schema.COLUMNS[:-1])} FROM models WHERE id IN (SELECT value FROM json_each(?))"
        stored = set(self._db.execute(sql, (ids,)))
        return [row for row in batch if row not in stored]

    def _write(self, rows: Sequence[tuple[str, ...]]) -> None:
        if not rows:
            return
        self._begin()
        self._db.executemany(_UPSERT, ((*row, self._now) for row in rows))
        self._touch(row[0] for row in rows)
        known = sum(row[0] in self._known for row in rows)
        self._changes.changed += known
        self._changes.added += len(rows) - known

    def _remove(self, ids: set[str]) -> None:
        if not ids:
            return
        self._begin()
        self._touch(ids)
        self._db.executemany("DELETE FROM models WHERE id = ?", ((one,) for one in ids))
        self._changes.removed += len(ids)

    def _touch(self, ids: Iterable[str]) -> None:
        sql = "INSERT OR IGNORE INTO touched SELECT rowid FROM models WHERE id = ?"
        self._db.executemany(sql, ((one,) for one in ids))

    def _follow(self) -> None:
        is_much = self._changes.total > _REFILL_SHARE * max(self._changes.model_count, 1)
        if self._is_first_fill:
            schema.create_triggers(self._db)
        elif is_much or not self._is_ours:
            schema.refill_search(self._db)
        else:
            schema.refresh_search_rows(self._db, "touched")
            schema.create_triggers(self._db)


def _is_searchable(db: sqlite3.Connection) -> bool:
    """Whether the search table follows the models; with triggers of ours, by their rowids too (`sqlite.md` §2.6)."""
    if not schema.is_followed(db):
        return False
    return schema.is_related_by_rowid(db) if schema.is_ours(db) else schema.is_complete(db)


def _fold(value: str | float | bytes | None) -> str | float | bytes | None:
    return value.lower() if isinstance(value, str) else value


def _storable(text: str) -> str:
    """A text that SQLite takes: half a surrogate pair finds nothing, so it may become any other character."""
    return text.encode("utf-8", "replace").decode()
