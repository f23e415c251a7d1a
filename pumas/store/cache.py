"""The cache of one library, in LMDB: everything in it can be made again, deleting it loses nothing but time.

    table      key                                     payload
    digests    xxh3_128 of the path below the library  what is known of a file's content
    headers    the same                                header facts
    folders    the same                                time and size of a model's document
    records    rowid in `models`, 8 bytes, native      ready bytes of list and search
    meta       name                                    `format`, `library`, and what others note
    postings   generation, 8 bytes, native             manifest of a file of postings
    hub        xxh3_128 of what was asked              what the hub answered

    value = xxh3_64 of the payload, seeded with xxh3_64 of the key, 8 bytes, little-endian | payload

A value whose checksum doesn't hold is a miss, and goes with the next write. A cache of another format or library is
thrown away. The folder around it, and what is examined before LMDB opens it: `cache_file`.

Nothing here raises because of what is on the disk: a miss is a miss, and a write says whether it was done. Readers
never wait for writers. When LMDB finds the file damaged, reads are misses until the next write, which begins a new one.

A write is one transaction, flushed before it counts (`sync`), without a second flush of the page that makes it count
(`metasync` off): after a power loss the file is as after the last write or the one before. A killed process loses what
it had not finished.

Not held off: a drive that changes bytes under a valid seal; a program that shortens or changes a file that is open.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import TypeVar

import lmdb
import xxhash

from pumas.models import Record
from pumas.store import cache_file
from pumas.store.cache_file import (
    DAMAGE,
    FORMAT,
    MARKS,
    Fallback,
    Gate,
    Opened,
    Table,
    Transaction,
    larger,
    with_checksum,
    without_checksum,
    without_checksums,
)

__all__ = ["Cache", "CacheInfo", "Cleared", "Table", "clear_cache", "open_cache", "path_key", "row_key", "row_keys"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_TRIES = 40  # doublings, and what other processes grow meanwhile
_WRITE_WAIT_S = 10.0  # a process that was stopped in the middle of a write must not stop us
_RETRY_S = 5.0  # between two attempts of readers to open what could not be opened


class CacheInfo(Record, frozen=True, kw_only=True):
    """What a cache holds."""

    path: Path | None
    """Its folder; None where no place can hold one, so that everything is a miss."""
    is_fallback: bool
    """It lies in the user's cache folder, because the library can't hold it."""
    is_usable: bool
    size_bytes: int
    """All files of the folder."""
    map_size_bytes: int
    entries: dict[str, int]
    """Entries by table."""
    format_version: int
    library_id: str


class Cleared(Record, frozen=True, kw_only=True):
    """What `clear_cache` removed."""

    path: Path | None
    entries: dict[str, int]
    freed_bytes: int
    """Nothing while another process has the cache open: the file then keeps its size, and is filled again."""


def path_key(path: str) -> bytes:
    """Key of a path below the library, `/` between parts."""
    return xxhash.xxh3_128_digest(path.encode("utf-8", "surrogatepass"))


def row_key(rowid: int) -> bytes:
    """Key of a row, or of a generation."""
    return (rowid & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, sys.byteorder)


def row_keys(rowids: Sequence[int]) -> list[bytes]:
    """Keys of many rows, in their order; none is below zero."""
    joined = array("q", rowids).tobytes()
    return [joined[at : at + 8] for at in range(0, len(joined), 8)]


class Cache:
    """One user of the cache of a library, from any thread; got by `open_cache`. In a forked child it opens anew."""

    def __init__(self, environment: _Environment | None, *, is_fallback: bool) -> None:
        self._environment = environment
        self._is_fallback = is_fallback

    @property
    def folder(self) -> Path | None:
        """Where it lies; None where no place can hold one."""
        return self._environment.folder if self._environment is not None else None

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The value of a key; None when there is none, or a damaged one."""
        return self.get_many(table, (key,))[0]

    def get_many(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of many keys, in their order, as they stood at one moment."""
        missing: list[bytes | None] = [None] * len(keys)
        environment = self._environment
        if environment is None or not _are_keys(table, keys):
            return missing
        return environment.read(table, lambda txn, _: _values(environment, txn, table, keys), missing)

    def get_stamped(self, table: Table, keys: Sequence[bytes], name: bytes, stamp: bytes) -> list[bytes | None] | None:
        """As `get_many`; None unless `meta` holds `stamp` under `name` at the same moment."""
        environment = self._environment
        if environment is None or not _are_keys(table, keys):
            return None

        def look_up(txn: Transaction, opened: Opened) -> list[bytes | None] | None:
            found = without_checksum(name, txn.get(name, db=opened.tables[Table.META]))
            return _values(environment, txn, table, keys) if found == stamp else None

        return environment.read(table, look_up, None)

    def keys(self, table: Table) -> list[bytes]:
        """The keys of a table, in their order, as they stood at one moment."""
        nothing: list[bytes] = []
        environment = self._environment
        if environment is None:
            return nothing
        return environment.read(table, lambda txn, _: list(txn.cursor().iternext(values=False)), nothing)

    def items(self, table: Table) -> Iterator[tuple[bytes, bytes]]:
        """Everything in a table, in order of keys, as it stood at one moment; held in memory."""
        environment = self._environment
        if environment is None:
            return iter(())

        nothing: list[tuple[bytes, bytes]] = []

        def collect(txn: Transaction, _: Opened) -> list[tuple[bytes, bytes]]:
            found = [(key, without_checksum(key, value)) for key, value in txn.cursor()]
            environment.note_damaged(table, [key for key, value in found if value is None])
            return [(key, value) for key, value in found if value is not None]

        return iter(environment.read(table, collect, nothing))

    def put_many(self, table: Table, items: Iterable[tuple[bytes, bytes]]) -> bool:
        """Store values in one transaction; they are held in memory meanwhile.

        Returns:
            Whether they were stored. If not, all is as before, and a log line says why.

        Raises:
            ValueError: A key has not the length that the table wants.
        """
        return self._change(table, puts=items)

    def update(self, table: Table, key: bytes, change: Callable[[bytes | None], bytes]) -> bool:
        """Make a value of the one that is there, in one transaction: nobody writes in between. Else as `put_many`."""

        def work(txn: Transaction, opened: Opened) -> None:
            db = opened.tables[table]
            before = without_checksum(key, txn.get(key, db=db))
            txn.put(key, with_checksum(key, change(before)), db=db)

        return self._environment is not None and self._environment.write(work)

    def replace_all(self, table: Table, items: Iterable[tuple[bytes, bytes]]) -> bool:
        """Empty a table and fill it, in one transaction; otherwise as `put_many`."""
        return self._change(table, puts=items, is_emptied=True)

    def delete_many(self, table: Table, keys: Iterable[bytes]) -> bool:
        """Delete keys in one transaction; otherwise as `put_many`."""
        return self._change(table, deletes=keys)

    def _change(
        self,
        table: Table,
        *,
        puts: Iterable[tuple[bytes, bytes]] = (),
        deletes: Iterable[bytes] = (),
        is_emptied: bool = False,
    ) -> bool:
        stored = [(key, with_checksum(key, payload)) for key, payload in puts]
        gone = list(deletes)
        if not _are_keys(table, [key for key, _ in stored]) or not _are_keys(table, gone):
            raise ValueError(f"a key of {table.label} has not the right length")

        def change(txn: Transaction, opened: Opened) -> None:
            db = opened.tables[table]
            if is_emptied:
                txn.drop(db, delete=False)
            for key in gone:
                txn.delete(key, db=db)
            for key, value in stored:
                txn.put(key, value, db=db)

        return self._environment is not None and self._environment.write(change)

    def clear(self) -> None:
        """Remove everything; the file too, unless another process has it open."""
        if self._environment is not None:
            self._environment.clear()

    def info(self) -> CacheInfo:
        """What is in it."""
        environment = self._environment
        opened = environment.opened if environment is not None else None
        return CacheInfo(
            path=environment.folder if environment is not None else None,
            is_fallback=self._is_fallback,
            is_usable=environment is not None and environment.is_usable,
            size_bytes=cache_file.size_bytes(environment.folder) if environment is not None else 0,
            map_size_bytes=opened.map_size_bytes if opened is not None else 0,
            entries=environment.entries() if environment is not None else {table.label: 0 for table in Table},
            format_version=FORMAT,
            library_id=environment.library_id if environment is not None else "",
        )

    def close(self) -> None:
        """Leave it; whoever leaves last closes the file. Reads are misses afterwards. May be called again."""
        with _registry_lock:
            environment, self._environment = self._environment, None
            if environment is None:
                return
            environment.users -= 1
            if not environment.users:
                del _environments[environment.folder]
                environment.close()


def open_cache(library: Path, *, is_writable: bool, fallback: Fallback | None) -> Cache:
    """Open the cache of a library; all of a process share one environment.

    Args:
        library: The folder of models.
        is_writable: Whether anything may be written into it.
        fallback: Finds a folder of the user's for caches that can't lie in their libraries; it is made if needed.

    Returns:
        A cache. Where none can be kept, one that holds nothing.
    """
    place = cache_file.find_folder(library, is_writable=is_writable, fallback=fallback)
    if place is None:
        logger.warning("there is no place for the cache of %s: everything is read again each time", library)
        return Cache(None, is_fallback=False)
    folder, is_fallback = place
    with _registry_lock:
        environment = _environments.get(folder)
        if environment is None:
            identity = cache_file.library_id(library, is_writable=is_writable)
            environment = _environments[folder] = _Environment(folder, identity)
        environment.users += 1
    environment.ensure_open()
    return Cache(environment, is_fallback=is_fallback)


def clear_cache(library: Path, *, is_writable: bool, fallback: Fallback | None) -> Cleared:
    """Remove everything from the cache of a library."""
    cache = open_cache(library, is_writable=is_writable, fallback=fallback)
    try:
        before = cache.info()
        cache.clear()
        if before.path is None:
            return Cleared(path=None, entries=before.entries, freed_bytes=0)
        freed_bytes = max(0, before.size_bytes - cache_file.size_bytes(before.path))
        return Cleared(path=before.path, entries=before.entries, freed_bytes=freed_bytes)
    finally:
        cache.close()


def _are_keys(table: Table, keys: Sequence[bytes]) -> bool:
    if table.key_bytes is None:
        return all(0 < len(key) < 512 for key in keys)
    # SECURITY: LMDB compares integer keys without looking at their length.
    return set(map(len, keys)) <= {table.key_bytes}


def _values(environment: _Environment, txn: Transaction, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
    found = without_checksums(keys, map(txn.get, keys))
    if None in found:
        nothing = (key for key, payload in zip(keys, found, strict=True) if payload is None)
        environment.note_damaged(table, [key for key in nothing if txn.get(key) is not None])
    return found


class _Environment:
    """The one environment of a folder in this process, shared by all caches on it."""

    def __init__(self, folder: Path, library_id: str) -> None:
        self.folder = folder
        self.library_id = library_id
        self.users = 0
        self.opened: Opened | None = None
        self.gate = Gate()
        self._writing = threading.Lock()
        self._is_suspect = False
        self._is_closed = False
        self._retry_at = 0.0
        self._damaged: set[tuple[Table, bytes]] = set()
        self._told: set[str] = set()

    @property
    def is_usable(self) -> bool:
        """Whether reads find anything."""
        return self.opened is not None and not self._is_suspect

    def ensure_open(self) -> None:
        """Open it, if it is not; a failure is logged."""
        if self.is_usable:
            return
        with self.gate.alone():
            if self.is_usable or self._is_closed:
                return
            self._close()
            self._retry_at = monotonic() + _RETRY_S
            try:
                self.opened = Opened(self.folder, self.library_id, is_suspect=self._is_suspect)
                self._is_suspect = False
            except (lmdb.Error, OSError) as exc:
                self._tell(exc)

    def read(self, table: Table, work: Callable[[Transaction, Opened], T], otherwise: T) -> T:
        """Do something in a read transaction; `otherwise` is the answer where that can't be."""
        if self.opened is None and not self._is_suspect and monotonic() >= self._retry_at:
            self.ensure_open()  # after a fork, or when it was not possible before
        for _ in range(_TRIES):
            try:
                with self.gate:
                    opened = self.opened
                    if opened is None or self._is_suspect:
                        return otherwise
                    with opened.env.begin(opened.tables[table]) as txn:
                        return work(txn, opened)
            except lmdb.Error as exc:
                if not self._recovers(exc):
                    break
        return otherwise

    def write(self, work: Callable[[Transaction, Opened], None]) -> bool:
        """Do something in a write transaction; whether it was done."""
        for _ in range(_TRIES):
            self.ensure_open()
            try:
                with self.gate:
                    if self.opened is None:
                        return False
                    self._write(self.opened, work)
            except (lmdb.Error, OSError) as exc:
                if not self._recovers(exc):
                    break
            else:
                self._told.clear()
                return True
        return False

    def _write(self, opened: Opened, work: Callable[[Transaction, Opened], None]) -> None:
        if not self._writing.acquire(timeout=_WRITE_WAIT_S):
            raise OSError("another thread has been writing it for too long")
        try:
            damaged = tuple(self._damaged)
            with opened.writing(_WRITE_WAIT_S) as txn:
                for table, key in damaged:
                    # Somebody may have stored a good one since.
                    if without_checksum(key, txn.get(key, db=opened.tables[table])) is None:
                        txn.delete(key, db=opened.tables[table])
                work(txn, opened)
            self._damaged.difference_update(damaged)
        finally:
            self._writing.release()

    def _recovers(self, exc: Exception) -> bool:
        """Do what the error asks for; whether to try again."""
        try:
            if isinstance(exc, lmdb.MapFullError | lmdb.MapResizedError):
                self._resize(is_growing=isinstance(exc, lmdb.MapFullError))
                return True
            if isinstance(exc, lmdb.ReadersFullError) and self._has_cleared_readers():
                return True
        except (lmdb.Error, OverflowError) as worse:
            exc = worse
        self._is_suspect = self._is_suspect or isinstance(exc, DAMAGE)
        self._tell(exc)
        return False

    def _resize(self, *, is_growing: bool) -> None:
        with self.gate.alone():
            if self.opened is not None:
                # 0 adopts what another process made of it.
                self.opened.env.set_mapsize(larger(self.opened.map_size_bytes) if is_growing else 0)
                self.opened.map_size_bytes = self.opened.env.info()["map_size"]

    def _has_cleared_readers(self) -> bool:
        with self.gate:
            return self.opened is not None and self.opened.env.reader_check() > 0

    def note_damaged(self, table: Table, keys: Sequence[bytes]) -> None:
        """Have values dropped with the next write: a reader must not wait for one."""
        if keys:
            self._damaged.update((table, key) for key in keys)
            self._tell(ValueError(f"a value of {table.label} is damaged, it will be dropped"))

    def _tell(self, exc: Exception) -> None:
        """Say it once, until a write succeeds."""
        kind = f"{type(exc).__name__} {getattr(exc, 'code', '')} {getattr(exc, 'errno', '')}"
        if kind not in self._told:
            self._told.add(kind)
            logger.warning("the cache %s could not be used, all works without it: %s", self.folder, exc)

    def entries(self) -> dict[str, int]:
        """Entries by table, without our own marks."""

        def count(txn: Transaction, opened: Opened) -> dict[str, int]:
            counts = {table.label: txn.stat(db)["entries"] for table, db in opened.tables.items()}
            return {**counts, Table.META.label: counts[Table.META.label] - len(MARKS)}

        return self.read(Table.META, count, {table.label: 0 for table in Table})

    def clear(self) -> None:
        """Remove everything; the files too, if no other process has them open."""
        self.ensure_open()
        with self.gate.alone():
            try:
                if self.opened is None or self._has_deleted(self.opened):
                    return
            except (lmdb.Error, OSError) as exc:
                self._tell(exc)
        self.write(_empty)

    def _has_deleted(self, opened: Opened) -> bool:
        if not opened.take_alone():
            return False
        opened.close_environment()
        try:
            cache_file.discard(self.folder, with_all=True)
        finally:
            self._close()
            self._retry_at = 0.0
        return True

    def close(self) -> None:
        """Close the files, for good."""
        with self.gate.alone():
            self._is_closed = True
            self._close()

    def _close(self) -> None:
        if self.opened is not None:
            self.opened.close()
            self.opened = None

    def forget(self) -> None:
        """Begin anew in a forked child: the parent keeps what was open. Nobody was inside when the fork happened."""
        self.gate = Gate()
        self._writing = threading.Lock()
        self._close()  # the child's copies of map and files only
        self._retry_at = 0.0


def _empty(txn: Transaction, opened: Opened) -> None:
    meta = opened.tables[Table.META]
    for name in [name for name, _ in txn.cursor(meta) if name not in MARKS]:
        txn.delete(name, db=meta)
    for table, db in opened.tables.items():
        if table is not Table.META:
            txn.drop(db, delete=False)


_environments: dict[Path, _Environment] = {}
_registry_lock = threading.Lock()


def _before_fork() -> None:
    # No transaction may be open: in the child its reader's slot, shared with the parent, would be given back.
    _registry_lock.acquire()
    for environment in _environments.values():
        environment.gate.hold()


def _after_fork_in_parent() -> None:
    for environment in _environments.values():
        environment.gate.release()
    _registry_lock.release()


def _after_fork_in_child() -> None:
    for environment in _environments.values():
        environment.forget()
    _registry_lock.release()


if sys.platform != "win32":
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
