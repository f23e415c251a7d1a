"""Opening `models.db`: a few connections for all threads, settings of the contract, a damaged file set aside.

`models.db` is the index and can always be made again from the documents, so a file that is not one is renamed
(never deleted) and replaced by an empty one. The file may be replaced or removed by another process at any time: each
use looks whether it is still the one that was opened.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from pumas.errors import Damaged, PumasError, Unavailable, system_errors
from pumas.search import schema
from pumas.store.locks import document_lock
from pumas.store.paths import database_files
from pumas.store.quarantine import set_aside

logger = logging.getLogger(__name__)

_BUSY_S = 30.0  # `sqlite.md` §1
_CLOSE_S = 1.0  # an interrupted statement ends within milliseconds

_IDLE = 8  # connections kept for later; each holds about 0.1 MiB, and up to 2 MiB of the file's pages

# Which file: device and inode; None when there is none.
_Identity = tuple[int, int] | None

# Inode, size and time of the file and of the one with what was written last.
_Content = tuple[tuple[int, ...], ...]


class Connection(sqlite3.Connection):
    """One connection to the file that lay at the path when it was opened."""

    generation = 0
    identity: _Identity = None
    frozen: _Content | None = None
    """What it takes for all there will ever be, if it was opened so."""

    followed_cookie: int | None = None
    """The schema under which the search table was last seen to follow the models as ours does."""

    @property
    def inode(self) -> int | None:
        """Which file it reads."""
        return None if self.identity is None else self.identity[1]


class Database:
    """The open file; `use()` lends one of its connections."""

    def __init__(self, path: Path, *, is_writable: bool) -> None:
        self.path = path
        self.is_writable = is_writable
        self._is_new = False
        self.generation = 0
        """Counts the files that were opened at this path."""
        self._identity: _Identity = None
        self._frozen: _Content | None = None
        self._told_read_only = False
        self._idle: list[Connection] = []
        self._lent: set[Connection] = set()
        self._lock = threading.RLock()
        self._users = threading.Condition()
        self._is_closed = False
        with system_errors("Opening the index"):
            self._open_or_replace()

    @property
    def is_new(self) -> bool:
        """Whether the file was made, or put there, since `mark_filled`; the one found at the start counts as filled."""
        return self._is_new or not self._is_current()

    def mark_filled(self) -> None:
        """It holds what it should."""
        self._is_new = False

    def _open_or_replace(self) -> None:
        try:
            self._keep(self._connect_current())
        except (sqlite3.Error, ValueError) as exc:
            if not self.is_writable or _passing(exc) is not None:
                raise _translated(exc, self.path) from exc
            self.replace()

    def replace(self) -> None:
        """Set the damaged file aside and begin an empty one; if another process has done so already, take its file.

        Raises:
            Unavailable: The folder can't be written to.
        """
        lock = document_lock(self.path.parent / ".pumas" / "locks", self.path.name)
        with system_errors("Setting the damaged index aside"), self._lock, lock:
            # A file that is not the one found damaged is a new one that another process made.
            if self._identity in (None, _identity(self.path)):
                self._set_aside()
            self._forget_file()
            self._keep(self._connect_current())

    def _set_aside(self) -> None:
        if os.path.lexists(self.path):
            set_aside(self.path, companions=database_files(self.path)[1:])

    def try_writing(self) -> bool:
        """Whether it can be written; one that could only be read is looked at again, since drives change."""
        if self.is_writable or not os.access(self.path.parent, os.W_OK):
            return self.is_writable
        with self._lock:
            self.is_writable = True
            self._forget_file()
            try:
                self._keep(self._connect_current())
            except (sqlite3.Error, ValueError) as exc:
                if not self._told_read_only:
                    logger.warning("the index %s can still only be read: %s", self.path, exc)
                self._told_read_only = True
                self.is_writable = False
                self._forget_file()
        return self.is_writable

    @contextmanager
    def use(self) -> Iterator[Connection]:
        """A connection for one piece of work, nobody else's meanwhile; what SQLite raises becomes ours.

        A use within a use has another one: it doesn't see what the outer one has not committed.

        Raises:
            Unavailable: The database was closed, or can't be used now.
            Damaged: The file is not an index.
        """
        with _sqlite_errors(self.path):
            connection = self._take()
            try:
                yield connection
            finally:
                self._give_back(connection)

    def _take(self) -> Connection:
        with self._users:
            if self._is_closed:
                raise Unavailable("Pumas was closed")
            # PERF: the last one given back knows the pages that are asked for most.
            if self._idle and self._is_current():
                self._lent.add(connection := self._idle.pop())
                return connection
        with self._lock:
            if self._identity is not None and not self._is_current():
                self._forget_file()
            connection = self._connect_current()
        with self._users:
            self._lent.add(connection)
        return connection

    def _give_back(self, connection: Connection) -> None:
        with self._users:
            self._lent.discard(connection)
            self._keep(connection)
            self._users.notify_all()

    def _keep(self, connection: Connection) -> None:
        with self._users:
            is_of_use = connection.generation == self.generation and not connection.in_transaction
            if is_of_use and len(self._idle) < _IDLE and not self._is_closed:
                self._idle.append(connection)
            else:
                _end(connection)

    def _forget_file(self) -> None:
        """Another file is to be opened; a connection that is at work is closed when it is given back."""
        with self._users:
            self._is_new = self._is_new or self._identity is not None
            self._identity = self._frozen = None
            self.generation += 1
            while self._idle:
                self._idle.pop().close()

    def _connect_current(self) -> Connection:
        while True:
            before = _identity(self.path)
            connection = self._connect()
            found = _identity(self.path)
            if before in (None, found):
                if self._identity not in (None, found):
                    self._forget_file()
                self._identity = connection.identity = found
                self._frozen = connection.frozen
                connection.generation = self.generation
                return connection
            connection.close()  # another file came to lie there meanwhile

    def _is_current(self) -> bool:
        if self._frozen is not None and self._frozen != _content(self.path):
            return False
        current = _identity(self.path)
        # While the whole library is away (an unplugged drive) the open file is all there is.
        return current == self._identity or (current is None and not self.path.parent.is_dir())

    def _connect(self) -> Connection:
        if not self.is_writable:
            return self._connect_read_only()
        self._clear_place()
        for path in database_files(self.path):
            # One look: the last of other processes to close removes the files beside it at any moment.
            with suppress(FileNotFoundError):
                if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - the same look as in `_identity`
                    raise ValueError(f"{path.name} is not a file")
        db = _open(str(self.path))
        try:
            db.execute("PRAGMA busy_timeout = 30000")
            if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA temp_store = MEMORY")
            self._create(db)
        except (sqlite3.Error, ValueError):
            db.close()
            raise
        return db

    def _clear_place(self) -> None:
        """Set aside what a deleted file left beside it: SQLite would read it into the new one."""
        leftovers = [path for path in database_files(self.path)[1:] if os.path.lexists(path)]
        for path in leftovers:
            if not os.path.lexists(self.path):
                # Looked at in this order they are nobody's: whoever makes a new file makes it before those beside it.
                with suppress(FileNotFoundError):
                    set_aside(path)

    def _create(self, db: sqlite3.Connection) -> None:
        if schema.has_models(db):
            return
        with transaction(db):
            if not schema.has_models(db):
                schema.create_models(db)
                self._is_new = True

    def _connect_read_only(self) -> Connection:
        # Without write permission SQLite can't make the shared memory of WAL mode; an index that nobody writes to may
        # be read as immutable instead, until somebody does.
        address = f"file:{quote(str(self.path))}?mode=ro"
        for suffix in ("", "&immutable=1"):
            content = _content(self.path)
            db = _open(address + suffix, is_uri=True)
            try:
                if schema.is_followed(db) and schema.has_models(db):
                    db.frozen = content if suffix else None
                    return db
            except sqlite3.OperationalError:
                db.close()
                continue
            except (sqlite3.Error, ValueError):
                db.close()
                raise
            db.close()
            raise ValueError("it has no search table")
        raise sqlite3.OperationalError("unable to open the index for reading")

    def close(self) -> None:
        """End what is at work and close every connection; the last one to close checkpoints the file."""
        with self._users:
            self._is_closed = True
            for connection in self._lent:
                with suppress(sqlite3.ProgrammingError):
                    connection.interrupt()
            # A connection that is at work in its thread must not be closed by another: that would end the process.
            if not self._users.wait_for(lambda: not self._lent, _CLOSE_S):
                logger.warning("the index is still in use; it is closed with the process")
                return
            while self._idle:
                _end(self._idle.pop())


def _end(connection: Connection) -> None:
    with suppress(sqlite3.Error):
        # An interrupt lasts until the next statement, and would stop the checkpoint.
        connection.execute("SELECT 1")
    connection.close()


def _identity(path: Path) -> _Identity:
    try:
        status = os.stat(path)  # noqa: PTH116 - PERF: with every use of the index; a Path's own takes twice as long
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _content(path: Path) -> _Content:
    found = []
    for file in database_files(path)[:2]:
        with suppress(OSError):
            status = file.stat()
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def _open(address: str, *, is_uri: bool = False) -> Connection:
    # One thread at a time uses it, and that one may change.
    return sqlite3.connect(
        address, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, factory=Connection, uri=is_uri
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
def _sqlite_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into ours."""
    try:
        yield
    except PumasError:
        raise
    except sqlite3.ProgrammingError as exc:
        raise Unavailable("Pumas was closed") from exc
    except (sqlite3.Error, ValueError) as exc:
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
    code = getattr(exc, "sqlite_errorcode", 0)
    # Pages that the file's own header promises are not there: the file was cut, the drive did what it should.
    return None if code == sqlite3.SQLITE_IOERR_SHORT_READ else _PASSING.get(code & 0xFF)


def _translated(exc: Exception, path: Path) -> Exception:
    if not path.parent.is_dir():
        return Unavailable(f"The library folder {path.parent} is gone; put it back")
    if (sentence := _passing(exc)) is not None:
        logger.warning("the index %s was not usable: %s", path, exc)
        return Unavailable(sentence)
    logger.error("the index %s can't be used: %s", path, exc)
    return Damaged("The index is damaged; rebuild it with `pumas index rebuild`", path=path)
