"""Opening `models.db`: a connection per thread, settings of the contract, a damaged file set aside.

`models.db` is the index and can always be made again from the documents, so a file that is not one is renamed
(never deleted) and replaced by an empty one.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import weakref
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


class _Connection(sqlite3.Connection):
    """Closes itself when its thread is gone."""

    def __del__(self) -> None:
        self.close()


class Database:
    """The open file; `connection()` gives each thread its own."""

    def __init__(self, path: Path, *, is_writable: bool) -> None:
        self.path = path
        self.is_writable = is_writable
        self._local = threading.local()
        self._all: weakref.WeakSet[sqlite3.Connection] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._generation = 0
        self.is_new = False
        """Whether there was no usable file, so that an empty one was made."""
        with system_errors("Opening the index"):
            self._open_or_replace()

    def _open_or_replace(self) -> None:
        if self.is_writable and os.path.lexists(self.path) and not self.path.is_file():
            self.replace()  # a folder, a FIFO, a link to nowhere
            return
        try:
            db = self.connection()
            if not schema.has_models(db):
                self._create(db)
        except (sqlite3.DatabaseError, ValueError) as exc:
            if not self.is_writable or _passing(exc) is not None:
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
            if os.path.lexists(self.path):
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
            self._all.add(connection)
            self._local.connection = (self._generation, connection)
        return connection

    def _connect(self) -> sqlite3.Connection:
        if self.is_writable:
            db = _open(str(self.path))
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
            db = _open(":memory:")
            schema.create_models(db)
            return db
        # Without write permission SQLite can't make the shared memory of WAL mode; an index that nobody can write to
        # may be read as immutable instead.
        address = f"file:{quote(str(self.path))}?mode=ro"
        for suffix in ("", "&immutable=1"):
            db = _open(address + suffix, is_uri=True)
            try:
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            except sqlite3.OperationalError:
                db.close()
                continue
            return db
        raise sqlite3.OperationalError("unable to open the index for reading")

    def close(self) -> None:
        """Close every connection, none of which may be at work; the last one to close checkpoints the file."""
        with self._lock:
            self._generation += 1
            for connection in list(self._all):
                connection.close()
            self._all.clear()


def _open(address: str, *, is_uri: bool = False) -> sqlite3.Connection:
    # Each thread uses its own; only `close` touches those of others, hence `check_same_thread`.
    return sqlite3.connect(
        address, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, factory=_Connection, uri=is_uri
    )


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


# What is no fault of the file, and what to say.
_PASSING = {
    sqlite3.SQLITE_BUSY: "Another program is writing the index; try again in a moment",
    sqlite3.SQLITE_LOCKED: "Another program is writing the index; try again in a moment",
    sqlite3.SQLITE_FULL: "The drive is full: the index can't be written; free some space and try again",
    sqlite3.SQLITE_READONLY: "There is no permission to write the index",
    sqlite3.SQLITE_PERM: "There is no permission to use the index",
    sqlite3.SQLITE_CANTOPEN: "The index can't be opened; check the permissions of its folder",
    sqlite3.SQLITE_IOERR: "The drive gave an error while the index was used; check the drive",
    sqlite3.SQLITE_NOMEM: "There is not enough memory to use the index",
    sqlite3.SQLITE_INTERRUPT: "The index was being closed",
}


def _passing(exc: Exception) -> str | None:
    return _PASSING.get(getattr(exc, "sqlite_errorcode", 0) & 0xFF)


def _translated(exc: Exception, path: Path) -> Exception:
    if (sentence := _passing(exc)) is not None:
        logger.warning("the index %s was not usable: %s", path, exc)
        return Unavailable(sentence)
    logger.error("the index %s can't be used: %s", path, exc)
    return Damaged("The index is damaged; rebuild it with `pumas index rebuild`", path=path)
