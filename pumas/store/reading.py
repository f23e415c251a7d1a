"""Looking into an SQLite file without changing anything, not even the files beside it.

A database in WAL mode can't simply be opened for reading: SQLite makes `-wal` and `-shm` beside it, and leaves them
there. So the way depends on what lies beside the file:

    no -wal, or an empty one     everything is in the file itself: read as `immutable`
    -wal and -shm                another process has it open, or was killed: read beside it; `-shm` is memory, not data
    -wal alone                   files that were copied: read from copies, where SQLite may make what it needs
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from pumas.store.paths import database_files

T = TypeVar("T")

_BUSY_S = 2.0  # an examination has no time to wait for a long write
_TRIES = 3
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_UNREADABLE = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY})
_NO_FAULT = frozenset({sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_FULL, sqlite3.SQLITE_INTERRUPT})


class Unsound(Exception):
    """The file is not the database that it should be."""


class Hindered(Exception):
    """It can't be told what the file is: it may be whole.

    Attributes:
        is_passing: Whether it may go another time.
    """

    def __init__(self, reason: str, *, is_passing: bool) -> None:
        super().__init__(reason)
        self.is_passing = is_passing


def read_database(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """Do something with a connection that can't write.

    Args:
        path: A file that exists.
        work: May be called again, if another process changed the file meanwhile.

    Raises:
        Unsound: SQLite finds it damaged, or it is no database; also raised by `work`.
        Hindered: It can't be read, or not now.
    """
    for attempt in range(_TRIES):
        before = _state(path)
        try:
            with _opened(path) as db:
                return work(db)
        except (sqlite3.Error, UnicodeDecodeError, Unsound) as exc:
            # A file read as immutable while somebody writes it looks damaged.
            if attempt + 1 < _TRIES and _state(path) != before:
                continue
            raise _judged(exc) from exc
        except OSError as exc:
            raise Hindered(exc.strerror or type(exc).__name__, is_passing=False) from exc
    raise AssertionError  # the last attempt returns or raises


def check(db: sqlite3.Connection, *, is_thorough: bool = False) -> None:
    """Have SQLite look at every page.

    Args:
        db: Got from `read_database`.
        is_thorough: Compare tables and their indexes too.

    Raises:
        Unsound: Something is wrong.
    """
    found = db.execute(f"PRAGMA {'integrity_check' if is_thorough else 'quick_check'}(1)").fetchone()
    if found is None or found[0] != "ok":
        raise Unsound("SQLite says: " + " ".join(str(found[0] if found else "nothing").split()))


def _judged(exc: Exception) -> Exception:
    if isinstance(exc, Unsound):
        return exc
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY:
        return Hindered("another program is writing it", is_passing=True)
    if code in _UNREADABLE or code in _NO_FAULT:
        return Hindered(str(exc), is_passing=code in _NO_FAULT)
    return Unsound(str(exc))


def _state(path: Path) -> list[tuple[int, int, int] | None]:
    states: list[tuple[int, int, int] | None] = []
    for file in database_files(path)[:2]:
        try:
            status = file.stat()
        except OSError:
            states.append(None)
        else:
            states.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return states


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    _, wal, shm = database_files(path)
    if not wal.exists() or not wal.stat().st_size:
        with _connected(path, "immutable=1") as db:
            yield db
    elif shm.exists():
        with _connected(path, "mode=ro") as db:
            yield db
    else:
        with tempfile.TemporaryDirectory(prefix="pumas-doctor-") as folder:
            copy = Path(folder) / path.name
            shutil.copyfile(path, copy)
            shutil.copyfile(wal, database_files(copy)[1])
            with _connected(copy, "mode=ro") as db:
                yield db


@contextmanager
def _connected(path: Path, how: str) -> Iterator[sqlite3.Connection]:
    address = f"file:{quote(str(path))}?{how}"
    db = sqlite3.connect(address, timeout=_BUSY_S, isolation_level=None, uri=True)
    try:
        db.execute("PRAGMA query_only = ON")
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("BEGIN")  # everything that is read belongs together
        yield db
    finally:
        db.close()
