"""Opening `models.db`: a connection per thread, settings of the contract, a damaged file set aside.

`models.db` is the index and can always be made again from the documents, so a file that is not one is renamed
(never deleted) and replaced by an empty one.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from pumas.errors import Damaged, Unavailable, system_errors
from pumas.search import schema
from pumas.store.quarantine import set_aside

logger = logging.getLogger(__name__)

_BUSY_S = 30.0  # `sqlite.md` §1
_COMPANIONS = ("-wal", "-shm")


class Database:
    """The open file; `connection()` gives each thread its own."""

    def __init__(self, path: Path, *, is_writable: bool) -> None:
        self.path = path
        self.is_writable = is_writable
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._generation = 0
        self.is_new = False
        """Whether there was no usable file, so that an empty one was made."""
        with system_errors("Opening the index"):
            self._open_or_replace()

    def _open_or_replace(self) -> None:
        try:
            db = self.connection()
            if not schema.has_models(db):
                self._create(db)
        except (sqlite3.DatabaseError, ValueError) as exc:
            if not self.is_writable or _is_busy(exc):
                raise _translated(exc, self.path) from exc
            self.replace()

    def _create(self, db: sqlite3.Connection) -> None:
        if not self.is_writable:
            return
        with transaction(db):
            if not schema.has_models(db):
                schema.create_models(db)
                self.is_new = True

    def replace(self) -> None:
        """Set the file aside and begin an empty one.

        Raises:
            Unavailable: The folder can't be written to.
        """
        with system_errors("Setting the damaged index aside"):
            self.close()
            if self.path.exists() or self.path.is_symlink():
                set_aside(self.path, companions=_COMPANIONS)
        self._create(self.connection())

    def connection(self) -> sqlite3.Connection:
        """This thread's connection, opened on first use.

        Raises:
            sqlite3.Error: The file can't be opened or is not a database.
        """
        known = getattr(self._local, "connection", None)
        if known is not None and known[0] == self._generation:
            connection: sqlite3.Connection = known[1]
            return connection
        with self._lock:
            connection = self._connect()
            self._all.append(connection)
            self._local.connection = (self._generation, connection)
        return connection

    def _connect(self) -> sqlite3.Connection:
        if self.is_writable:
            db = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                db.execute("PRAGMA busy_timeout = 30000")
                if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")
                db.execute("PRAGMA temp_store = MEMORY")
            except sqlite3.Error:
                db.close()
                raise
            return db
        return self._connect_read_only()

    def _connect_read_only(self) -> sqlite3.Connection:
        if not self.path.is_file():
            db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            schema.create_models(db)
            return db
        # Without write permission SQLite can't make the shared memory of WAL mode; an index that nobody can write to
        # may be read as immutable instead.
        address = f"file:{quote(str(self.path))}?mode=ro"
        for suffix in ("", "&immutable=1"):
            db = sqlite3.connect(
                address + suffix, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            try:
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            except sqlite3.OperationalError:
                db.close()
                continue
            return db
        raise sqlite3.OperationalError("unable to open the index for reading")

    def close(self) -> None:
        """Close every connection; the last one to close checkpoints the file."""
        with self._lock:
            self._generation += 1
            for connection in self._all:
                connection.close()
            self._all.clear()


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """One write transaction: all of it or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into ours."""
    try:
        yield
    except sqlite3.Error as exc:
        raise _translated(exc, path) from exc


def _is_busy(exc: Exception) -> bool:
    return isinstance(exc, sqlite3.OperationalError) and exc.sqlite_errorcode in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
    )


def _translated(exc: Exception, path: Path) -> Exception:
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable("Another program is writing the index; try again in a moment")
    if code == sqlite3.SQLITE_FULL:
        return Unavailable("The drive is full: the index can't be written; free some space and try again")
    if code == sqlite3.SQLITE_READONLY:
        return Unavailable("There is no permission to write the index")
    logger.error("the index %s can't be used: %s", path, exc)
    return Damaged("The index is damaged; rebuild it with `pumas index rebuild`", path=path)
