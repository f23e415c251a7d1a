"""`link_registry.db`: which links we made (`sqlite.md` §3), and what is being done to them.

    links             the original's table, byte for byte its schema; both backends read and write it
    settings          the original's; not used
    link_intents      ours: steps that were begun and are not in `links` yet, one row a target (`steps`)
    link_exclusions   ours: models that an app is to have no links to
    {lib}/link_registry.db.bak    the register before the last bulk change; what `links` holds can't be made again

Whoever changes links holds `exclusive`, so that intents which are found when it begins are those of a process that was
killed. The transaction that settles intents is the moment at which a change has happened: before it everything is
undone, after it nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pumas.errors import Damaged, NoSpace, Unavailable, system_errors
from pumas.linked import Link, PlannedLink
from pumas.store.documents import sync_file, sync_folder
from pumas.store.link_registry import registry_backup
from pumas.store.reading import Hindered, Unsound, read_database
from pumas.store.times import TimeForm, format_time

T = TypeVar("T")

BULK = 100
"""Links from which on a change is preceded by a backup."""

_WAIT_S = 30.0  # for another process that changes links
_BUSY_S = 5.0  # `sqlite.md` §1
_CHUNK = 500  # of host parameters; SQLite takes 999 at least

_LINKS = """CREATE TABLE IF NOT EXISTS links (
                    link_id INTEGER PRIMARY KEY AUTOINCREMENT,
                    model_id TEXT NOT NULL,
                    source_path TEXT NOT NULL,
                    target_path TEXT NOT NULL UNIQUE,
                    link_type TEXT NOT NULL,
                    app_id TEXT NOT NULL,
                    app_version TEXT NOT NULL,
                    is_external INTEGER NOT NULL DEFAULT 0,
                    created_at TEXT NOT NULL
                )"""
_SETTINGS = """CREATE TABLE IF NOT EXISTS settings (
                    key TEXT PRIMARY KEY,
                    value TEXT NOT NULL
                )"""
_INTENTS = """CREATE TABLE IF NOT EXISTS link_intents (
                    intent_id INTEGER PRIMARY KEY AUTOINCREMENT,
                    target_path TEXT NOT NULL,
                    source_path TEXT NOT NULL,
                    link_type TEXT NOT NULL,
                    link_text TEXT,
                    old_text TEXT,
                    aside_path TEXT,
                    is_settled INTEGER NOT NULL DEFAULT 0
                )"""
_EXCLUSIONS = """CREATE TABLE IF NOT EXISTS link_exclusions (
                    app_id TEXT NOT NULL,
                    model_id TEXT NOT NULL,
                    excluded_at TEXT NOT NULL,
                    PRIMARY KEY (app_id, model_id)
                ) WITHOUT ROWID"""
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS idx_links_model_id ON links(model_id)",
    "CREATE INDEX IF NOT EXISTS idx_links_app ON links(app_id, app_version)",
    "CREATE INDEX IF NOT EXISTS idx_links_is_external ON links(is_external)",
)
_COLUMNS = "link_id, model_id, source_path, target_path, link_type, app_id, app_version, is_external, created_at"
_INSERT = (
    "INSERT INTO links(model_id, source_path, target_path, link_type, app_id, app_version, is_external, created_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_INTENT = "target_path, source_path, link_type, link_text, old_text, aside_path, is_settled"


@dataclass(slots=True)
class Intent:
    """One target that is about to change; all that is needed to undo it."""

    target_path: str
    source_path: str
    link_type: str
    link_text: str | None
    """What is to lie there; None when the link goes."""
    old_text: str | None = None
    """What the link says that lies there before."""
    aside_path: str | None = None
    """Where a file that lies there before is moved."""
    keeps_aside: bool = False
    """It stays there: the user wants it under that name."""
    is_settled: bool = False
    """The link is registered; what was moved aside is still to go to the quarantine."""
    intent_id: int = 0

    @property
    def temporary(self) -> str:
        """Name under which the link is made."""
        folder = os.path.dirname(self.target_path)
        return f"{folder}{os.sep}.pumas-link-{self.intent_id}.tmp"


class Changes:
    """The register open for one change; made by `LinkRegistry.changes`."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self._path = path
        self._db = db

    def left_intents(self) -> list[Intent]:
        """What a process that was killed has begun."""
        rows = self._db.execute(f"SELECT {_INTENT}, intent_id FROM link_intents ORDER BY intent_id")
        return [
            Intent(target, source, kind, text, old, aside, is_settled=bool(is_settled), intent_id=intent_id)
            for target, source, kind, text, old, aside, is_settled, intent_id in rows
        ]

    def rows(self, model_ids: Sequence[str] | None = None, *, app: tuple[str, str] | None = None) -> list[Link]:
        """Rows as `LinkRegistry.rows`, without what another process has just not committed."""
        return _rows(self._db, model_ids, app)

    def excluded(self, app_id: str) -> frozenset[str]:
        """Models that an app is to have no links to."""
        return _excluded(self._db, app_id)

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the connection that only reads."""
        return work(self._db)

    def begin(self, intents: Sequence[Intent]) -> None:
        """Note what is about to be done; on disk once this returns."""
        with self._transaction():
            first = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'link_intents'").fetchone()
            for number, intent in enumerate(intents, 1 + (first[0] if first else 0)):
                intent.intent_id = number
            self._db.executemany(
                f"INSERT INTO link_intents({_INTENT}, intent_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (one.target_path, one.source_path, one.link_type, one.link_text, one.old_text, one.aside_path,
                     int(one.is_settled), one.intent_id)
                    for one in intents
                ],
            )  # fmt: skip

    def settle(self, intents: Sequence[Intent], links: Iterable[PlannedLink], app: tuple[str, str]) -> None:
        """Register links and forget those that went, with the intents for it, in one transaction."""
        now = format_time(datetime.now(UTC), TimeForm.ZULU)
        rows = [
            (one.model_id, one.source_path, one.target_path, one.link_type, *app, int(one.is_external), now)
            for one in links
        ]
        gone = {intent.target_path for intent in intents}.union(row[2] for row in rows)
        with self._transaction():
            self._db.executemany("DELETE FROM links WHERE target_path = ?", [(target,) for target in gone])
            self._db.executemany(_INSERT, rows)
            to_put_away = [one for one in intents if one.aside_path is not None and not one.keeps_aside]
            self._db.executemany(
                "UPDATE link_intents SET is_settled = 1 WHERE intent_id = ?", [(one.intent_id,) for one in to_put_away]
            )
            if intents:
                # PERF: those of one change follow each other.
                ends = (intents[0].intent_id, intents[-1].intent_id)
                self._db.execute("DELETE FROM link_intents WHERE intent_id BETWEEN ? AND ? AND NOT is_settled", ends)

    def drop(self, intents: Sequence[Intent]) -> None:
        """Forget intents of which nothing is left to do."""
        with self._transaction():
            self._db.executemany("DELETE FROM link_intents WHERE intent_id = ?", [(one.intent_id,) for one in intents])

    def forget(self, link_ids: Sequence[int]) -> None:
        """Delete rows; nothing is done on the disk."""
        with self._transaction():
            self._db.executemany("DELETE FROM links WHERE link_id = ?", [(one,) for one in link_ids])

    def exclude(self, app_id: str, model_id: str) -> None:
        """Have an app get no links to a model."""
        now = format_time(datetime.now(UTC), TimeForm.ZULU)
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO link_exclusions VALUES (?, ?, ?)", (app_id, model_id, now))

    def include(self, app_id: str, model_id: str) -> None:
        """Take back `exclude`."""
        with self._transaction():
            self._db.execute("DELETE FROM link_exclusions WHERE app_id = ? AND model_id = ?", (app_id, model_id))

    def back_up(self) -> None:
        """Write the register beside itself, if it holds anything; the last backup goes once this one is on disk."""
        if self._db.execute("SELECT 1 FROM links LIMIT 1").fetchone() is None:
            return
        backup = registry_backup(self._path)
        temporary = backup.with_name(f"{backup.name}.{os.getpid()}.tmp")
        with system_errors("Backing up the register of links"):
            try:
                temporary.unlink(missing_ok=True)  # it may be a link
                with closing(sqlite3.connect(temporary, isolation_level=None)) as copy:
                    self._db.backup(copy)
                    copy.execute("PRAGMA journal_mode = DELETE")  # one file, whole in itself
                sync_file(temporary)
                temporary.replace(backup)
                sync_folder(backup.parent)
            finally:
                temporary.unlink(missing_ok=True)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


class LinkRegistry:
    """The register of one library; it is opened anew for each use, as the original does."""

    def __init__(self, library: Path) -> None:
        self.path = library / "link_registry.db"
        self._lock = library / ".pumas" / "links.lock"

    def rows(self, model_ids: Sequence[str] | None = None, *, app: tuple[str, str] | None = None) -> list[Link]:
        """Rows in the order in which they were made; nothing is written.

        Args:
            model_ids: Only those of these models.
            app: Only those of this app and version (without `v`).

        Raises:
            Damaged: The register is no such database.
            Unavailable: It can't be read now.
        """
        return self.read(lambda db: _rows(db, model_ids, app), missing=[])

    def excluded(self, app_id: str) -> frozenset[str]:
        """Models that an app is to have no links to.

        Raises:
            Damaged, Unavailable: As of `rows`.
        """
        return self.read(lambda db: _excluded(db, app_id), missing=frozenset())

    def read(self, work: Callable[[sqlite3.Connection], T], *, missing: T) -> T:
        """Do something with a connection that can't write; `missing` is the answer where there is no register.

        Raises:
            Damaged, Unavailable: As of `rows`.
        """
        self._refuse_dangling()
        if not self.path.exists():
            return missing

        def guarded(db: sqlite3.Connection) -> T:
            return work(db) if _has(db, "links") else missing

        try:
            return read_database(self.path, guarded)
        except Unsound as exc:
            raise self._damaged(exc) from exc
        except Hindered as exc:
            raise Unavailable(f"The register of links can't be read: {exc}; try again") from exc
        except UnicodeEncodeError:  # asked for what can't be registered
            return missing

    @contextmanager
    def changes(self) -> Iterator[Changes]:
        """Open it for one change; no other thread or process changes links meanwhile.

        Raises:
            Damaged: It is no such database; nothing was changed.
            Unavailable, NoSpace: It can't be opened or written, or another process has changed links for 30 s.
        """
        with self.exclusive(), _sqlite_errors(self), closing(self._connected()) as db:
            yield Changes(self.path, db)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other thread and process from changing links.

        Raises:
            Unavailable: Another one has changed links for 30 s, or the lock can't be taken.
        """
        import filelock  # noqa: PLC0415 - 40 ms that only a writer pays

        with system_errors("Taking the lock of the links"):
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            if self._lock.is_symlink():
                raise Unavailable(f"The lock can't be taken: {self._lock} is a link; move it away")
            lock = filelock.FileLock(self._lock, timeout=_WAIT_S, poll_interval=0.005, fallback_to_soft=False)
            try:
                lock.acquire()
            except filelock.Timeout as exc:
                raise Unavailable(f"Another program has been changing links for {_WAIT_S:.0f} s; try again") from exc
        try:
            yield
        finally:
            lock.release()

    def _refuse_dangling(self) -> None:
        if self.path.is_symlink() and not self.path.exists():
            raise Unavailable("The register of links is a link to nothing (a drive that is away?); bring that back")

    def _refuse_others(self, db: sqlite3.Connection) -> None:
        # SECURITY: a library may come from somebody else; a link in it leads to no database of another program.
        if self.path.is_symlink() and not _has(db, "links"):
            raise Unavailable("The register of links is a link to something that is none; move the link away")

    def _connected(self) -> sqlite3.Connection:
        self._refuse_dangling()
        db = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
        try:
            self._refuse_others(db)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            if not (_has(db, "links") and _has(db, "link_intents") and _has(db, "link_exclusions")):
                with db:
                    db.execute("BEGIN IMMEDIATE")
                    for statement in (_LINKS, _SETTINGS, *_INDEXES, _INTENTS, _EXCLUSIONS):
                        db.execute(statement)
        except BaseException:
            db.close()
            raise
        return db

    def _damaged(self, exc: Exception) -> Damaged:
        return Damaged(
            f"The register of links is damaged ({exc}); `pumas doctor --fix` puts its backup in its place",
            path=self.path,
        )


@contextmanager
def _sqlite_errors(registry: LinkRegistry) -> Iterator[None]:
    try:
        yield
    except UnicodeEncodeError as exc:
        raise Unavailable("A path that is no UTF-8 can't be registered; rename the folders above it") from exc
    except sqlite3.Error as exc:
        code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise registry._damaged(exc) from exc  # noqa: SLF001 - two halves of one thing
        if code == sqlite3.SQLITE_FULL:
            raise NoSpace("The drive is full: the register of links could not be written; free some space") from exc
        raise Unavailable(f"The register of links can't be written: {exc}; try again") from exc


def _has(db: sqlite3.Connection, table: str) -> bool:
    found = db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
    return found is not None


def _rows(db: sqlite3.Connection, model_ids: Sequence[str] | None, app: tuple[str, str] | None) -> list[Link]:
    where, fixed = ("app_id = ? AND app_version = ?", list(app)) if app else ("1", [])
    if model_ids is None:
        found = db.execute(f"SELECT {_COLUMNS} FROM links WHERE {where} ORDER BY link_id", fixed).fetchall()
    else:
        found = []
        for start in range(0, len(model_ids), _CHUNK):
            some = list(model_ids[start : start + _CHUNK])
            marks = ", ".join("?" * len(some))
            # `+`: the index of models is the narrow one; that of versions would give all links of one.
            narrowed = where.replace("app_id", "+app_id")
            found += db.execute(
                f"SELECT {_COLUMNS} FROM links WHERE model_id IN ({marks}) AND {narrowed} ORDER BY link_id",
                (*some, *fixed),
            )
    return [link_of(row) for row in found]


def left_intent(db: sqlite3.Connection) -> int | None:
    """The first intent that is there; None without any."""
    found = db.execute("SELECT min(intent_id) FROM link_intents").fetchone() if _has(db, "link_intents") else None
    return found[0] if found else None


def rows_leading_to(db: sqlite3.Connection, model_id: str, folder: str | None) -> list[Link]:
    """Rows of a model, and, if it has a folder, of files below that under whatever id."""
    # Not LIKE: to it, `_` and `%` in a path stand for others.
    where = "model_id = ?1 OR substr(source_path, 1, length(?2)) = ?2"
    prefix = None if folder is None else f"{folder}{os.sep}"
    found = db.execute(f"SELECT {_COLUMNS} FROM links WHERE {where} ORDER BY link_id", (model_id, prefix))
    return [link_of(row) for row in found]


def link_of(row: tuple[object, ...]) -> Link:
    """A row of `links` as a record."""
    link_id, *texts, is_external, created_at = row
    model_id, source, target, link_type, app_id, version = map(str, texts)
    return Link(
        link_id=int(str(link_id)),
        model_id=model_id,
        source_path=source,
        target_path=target,
        link_type="hardlink" if link_type == "hardlink" else "copy" if link_type == "copy" else "symlink",
        app_id=app_id,
        app_version=version,
        is_external=bool(is_external),
        created_at=str(created_at),
    )


def _excluded(db: sqlite3.Connection, app_id: str) -> frozenset[str]:
    if not _has(db, "link_exclusions"):
        return frozenset()
    found = db.execute("SELECT model_id FROM link_exclusions WHERE app_id = ?", (app_id,))
    return frozenset(str(row[0]) for row in found)
