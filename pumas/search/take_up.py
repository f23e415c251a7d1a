"""Bringing the index in line with what the documents say, in one transaction.

Each document is compared with its row, and only what differs is written; readers see the old state or the new one.
A row whose document moved to another folder unchanged keeps its rowid.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pumas.models import DocumentRow
from pumas.search import schema
from pumas.store.times import TimeForm, format_time

# Beyond this share of changed rows the search table is made anew: cheaper than row by row.
_REFILL_SHARE = 0.25

_METADATA = schema.COLUMNS.index("metadata_json")
_INSERT = f"INSERT INTO models({', '.join(schema.COLUMNS)}) VALUES ({', '.join('?' * len(schema.COLUMNS))})"
_UPSERT = (
    f"{_INSERT} ON CONFLICT(id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in schema.COLUMNS[1:])}"
)


@dataclass(slots=True)
class Changes:
    """What taking up the documents changed."""

    model_count: int = 0
    added: int = 0
    changed: int = 0
    moved: int = 0
    removed: int = 0
    is_all_new: bool = False
    """Every row was written; `rowids` and `gone_rowids` are not kept then."""
    rowids: list[int] = field(default_factory=list)
    """Rows that were written."""
    gone_rowids: list[int] = field(default_factory=list)
    """Rows that left."""
    stamp_before: bytes = b""
    stamp_after: bytes = b""

    @property
    def total(self) -> int:
        """Rows written or removed."""
        return self.added + self.changed + self.moved + self.removed


def differing(db: sqlite3.Connection, batch: Sequence[DocumentRow]) -> list[DocumentRow]:
    """Those rows that the index does not hold as they are.

    All columns are compared: another program may have derived them from the same document otherwise.
    """
    sql = f"SELECT {', '.join(schema.COLUMNS[:-1])} FROM models WHERE id IN (SELECT value FROM json_each(?))"
    stored = set(db.execute(sql, (json.dumps([row[0] for row in batch]),)))
    return [row for row in batch if row not in stored]


class TakeUp:
    """One run. Nothing is written, and no lock taken, before the first difference is seen."""

    def __init__(self, db: sqlite3.Connection, *, anew: bool, on_write: Callable[[], None]) -> None:
        self._db = db
        self._anew = anew
        self._on_write = on_write
        self._changes = Changes()
        self._is_writing = False
        self._now = format_time(datetime.now(UTC), TimeForm.ZULU)
        self._known: set[str] = set() if anew else set(schema.ids(db))
        self._is_first_fill = not self._known
        self._movable: dict[str, str] = {}

    def run(
        self, batches: Iterable[Sequence[DocumentRow]], *, scope: Collection[str] | None, gone: Collection[str]
    ) -> Changes:
        """Take up all batches, then let the search table follow.

        Args:
            batches: Rows of documents that were read.
            scope: Ids that are judged: one of them that no batch names leaves the index. All when None.
            gone: Those of them whose folder is known to be gone, so that a new row may be the same model moved.
        """
        seen: set[str] = set()
        try:
            if self._anew:
                self._begin()
            self._find_movable(gone)
            for batch in batches:
                seen.update(row[0] for row in batch)
                if self._is_first_fill:
                    self._fill(batch)
                else:
                    self._write(differing(self._db, batch))
            judged = self._known if scope is None else self._known.intersection(scope)
            self._remove(judged - seen)
            self._changes.model_count = self._db.execute("SELECT count(*) FROM models").fetchone()[0]
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
        self._on_write()
        self._db.execute("BEGIN IMMEDIATE")
        self._is_writing = True
        self._is_ours = schema.is_ours(self._db) and schema.is_related_by_rowid(self._db)
        self._changes.stamp_before = schema.stamp(self._db)
        self._changes.is_all_new = self._is_first_fill
        schema.drop_triggers(self._db)
        if self._is_first_fill:
            schema.empty_search(self._db)
            # Another process may have filled the table since it was found empty.
            self._db.execute("DELETE FROM models")
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS touched (id INTEGER PRIMARY KEY)")
        self._db.execute("DELETE FROM touched")

    def _fill(self, rows: Sequence[DocumentRow]) -> None:
        """Write the rows of an empty index; the search table follows batch by batch, while the next one is read."""
        self._begin()
        last = self._db.execute("SELECT coalesce(max(rowid), 0) FROM models").fetchone()[0]
        self._db.executemany(_INSERT, ((*row, self._now) for row in rows))
        schema.fill_search(self._db, first=last + 1)
        self._changes.added += len(rows)

    def _find_movable(self, gone: Collection[str]) -> None:
        """Documents of folders that are gone, by their text; one that stands there twice is nobody's."""
        ids = json.dumps(sorted(self._known.intersection(gone)))
        sql = "SELECT id, metadata_json FROM models WHERE id IN (SELECT value FROM json_each(?))"
        twice = set()
        for model_id, document in self._db.execute(sql, (ids,)):
            if document in self._movable:
                twice.add(document)
            self._movable[document] = model_id
        for document in twice:
            del self._movable[document]

    def _write(self, rows: Sequence[DocumentRow]) -> None:
        if not rows:
            return
        self._begin()
        moved = self._move(rows)
        self._db.executemany(_UPSERT, ((*row, self._now) for row in rows))
        self._touch((row[0] for row in rows), self._changes.rowids)
        known = sum(row[0] in self._known for row in rows)
        self._changes.moved += moved
        self._changes.changed += known - moved
        self._changes.added += len(rows) - known

    def _move(self, rows: Sequence[DocumentRow]) -> int:
        count = 0
        for row in rows:
            old = self._movable.pop(row[_METADATA], None) if row[0] not in self._known else None
            if old is not None:
                self._db.execute("UPDATE models SET id = ?, path = ? WHERE id = ?", (row[0], row[1], old))
                self._known.discard(old)
                self._known.add(row[0])
                count += 1
        return count

    def _remove(self, ids: set[str]) -> None:
        if not ids:
            return
        self._begin()
        self._touch(ids, self._changes.gone_rowids)
        self._db.executemany("DELETE FROM models WHERE id = ?", ((one,) for one in ids))
        self._changes.removed += len(ids)

    def _touch(self, ids: Iterable[str], kept: list[int]) -> None:
        chosen = json.dumps(list(ids))
        sql = "SELECT rowid FROM models WHERE id IN (SELECT value FROM json_each(?))"
        rowids = [row[0] for row in self._db.execute(sql, (chosen,))]
        self._db.executemany("INSERT OR IGNORE INTO touched VALUES (?)", ((rowid,) for rowid in rowids))
        kept.extend(rowids)

    def _follow(self) -> None:
        is_much = self._changes.total > _REFILL_SHARE * max(self._changes.model_count, 1)
        if self._is_first_fill:
            schema.create_triggers(self._db)
        elif is_much or not self._is_ours:
            schema.refill_search(self._db)
        else:
            schema.refresh_search_rows(self._db, "touched")
            schema.create_triggers(self._db)
        self._changes.stamp_after = schema.stamp(self._db)
