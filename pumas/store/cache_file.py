"""The folder of a cache and the file in it: where it lies, whether LMDB may open it, and opening it.

    {library}/.pumas/
      library-id          32 hex digits and a newline, made on first use: whose cache it is
      cache/
        data.mdb          LMDB's pages
        lock.mdb          LMDB's table of readers; its blocks are taken when it is made
        open.lock         flock: shared while a process has the cache open, exclusive while one examines it alone
        write.lock        flock: exclusive while a process writes
        seal              "{inode} {size} {mtime_ns}" of data.mdb after the last write that was ours
    {fallback}/{xxh3_128 of the library's real path, hex}/    the same, where the library can't hold a cache

LMDB maps `data.mdb` and trusts it: a shortened file ends the process with SIGBUS, a wrong page with an assertion. So a
file is opened only if its two meta pages are in order and it is sealed, or every page was verified.

    page 0 at 0, page 1 at one page size, native byte order, data version 1 (LMDB 0.9, 64 bits):
       0  u64 page number    10  u16 flags, 0x08 = meta page    16  u32 magic 0xBEEFC0DE    20  u32 version
      24  u64 address        32  u64 size of the map            40  u32 page size, then the rest of the free list's root
      88  root of all tables (48 bytes)                        136  u64 last page used     144  u64 transaction

The page with the larger transaction counts; it promises `last page used` + 1 pages. A sound file may miss the last few
of them, free ones that were never written: a short file is not refused at once, but verified.

The seal tells "nobody but us has written since" without reading: a write of ours gives `data.mdb` a time in the recent
past, which no later write leaves in place and no copy has together with the inode. A process that is killed while it
writes leaves no valid seal; the next one verifies (2 ms per MB).
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import TypeAlias

import lmdb
import xxhash

from pumas.store.mounts import is_far

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

Transaction: TypeAlias = "lmdb.Transaction[bytes]"
Fallback: TypeAlias = Callable[[], Path]
"""Finds the folder of the user's for caches that can't lie in their libraries; called only if it is needed."""

FORMAT = 1  # of keys and values; another one is thrown away
MARKS = (b"format", b"library")
DAMAGE = (
    lmdb.BadDbiError,
    lmdb.BadRslotError,
    lmdb.BadTxnError,
    lmdb.CorruptedError,
    lmdb.IncompatibleError,
    lmdb.InvalidError,
    lmdb.NotFoundError,
    lmdb.PageNotFoundError,
    lmdb.PanicError,
    lmdb.VersionMismatchError,
)
"""What LMDB raises when it finds a file wrong, or no longer trusts itself."""

DATA = "data.mdb"
_LOCK = "lock.mdb"
_SEAL = "seal"
LMDB_FILES = (DATA, _LOCK, _SEAL)
"""What a new cache begins without; the locks stay."""
OPEN_LOCK = "open.lock"
_WRITE_LOCK = "write.lock"

_META = struct.Struct("=Q 2x H 4x II 8x 8x I 44x 48x QQ")  # number, flags, magic, version, page size, last, transaction
_META_FLAG = 0x08
_MAGIC = 0xBEEFC0DE
_VERSION = 1
_PAGE_SIZES = frozenset(1 << power for power in range(9, 16))  # LMDB takes 512 to 32768
_LOCK_BYTES = 20_480  # 317 readers
VERIFIABLE_BYTES = 512 << 20  # 1 s: 100,000 models; making a larger one anew takes longer, but nobody waits for it
_CHECKSUM = struct.Struct("<Q")
_MAP_BYTES = 16 << 20  # at first; address space only, but on Windows, where it is the file's size
_READERS = 256  # four processes with 64 threads
_OPEN_WAIT_S = 2.0  # for a process that examines the file, or writes
_POLL_S = 0.005


class Table(Enum):
    """The tables, each with the length of its keys; None for names."""

    DIGESTS = ("digests", 16)
    HEADERS = ("headers", 16)
    FOLDERS = ("folders", 16)
    RECORDS = ("records", 8)
    META = ("meta", None)
    POSTINGS = ("postings", 8)
    HUB = ("hub", 16)

    def __init__(self, label: str, key_bytes: int | None) -> None:
        self.label = label
        self.key_bytes = key_bytes


def with_checksum(key: bytes, payload: bytes) -> bytes:
    """What is stored of a payload. The key is the seed: a value that came under another key doesn't hold."""
    seed = xxhash.xxh3_64_intdigest(key)
    return _CHECKSUM.pack(xxhash.xxh3_64_intdigest(payload, seed)) + payload


def without_checksum(key: bytes, value: bytes | None) -> bytes | None:
    """The payload of what was stored; None when there is none, or it is damaged."""
    return without_checksums((key,), (value,))[0]


def without_checksums(keys: Sequence[bytes], values: Iterable[bytes | None]) -> list[bytes | None]:
    """The same of many."""
    # PERF: 0.25 us each; by a call for each value, or by bytes made of the number, 0.35.
    size, stored, computed = _CHECKSUM.size, _CHECKSUM.unpack_from, xxhash.xxh3_64_intdigest
    payloads: list[bytes | None] = []
    for key, value in zip(keys, values, strict=True):
        payload = None
        if value is not None and len(value) >= size:
            payload = value[size:]
            if stored(value)[0] != computed(payload, computed(key)):
                payload = None
        payloads.append(payload)
    return payloads


def fault(folder: Path, *, is_alone: bool) -> str | None:
    """Tell why the files must not be given to LMDB.

    Args:
        folder: Holds the files; they may be missing.
        is_alone: No other process has them open. One that has them open has examined them; the seal changes meanwhile.

    Returns:
        The reason, or None if they can be opened.

    Raises:
        OSError: They can't be read.
    """
    for name in LMDB_FILES:
        path = folder / name
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            return f"{name} is not a file"
    data = folder / DATA
    if not data.exists():
        return None
    size = data.stat().st_size
    promised = _promised_bytes(data)
    if promised is None:
        return f"{DATA} does not begin as one"
    if _is_sealed(folder) or (size >= promised and not is_alone):
        return None
    # A writer at work can make a sound file look wrong, but hardly three times.
    if not any(is_sound(data) for _ in range(1 if is_alone else 3)):
        return f"{DATA} is damaged"
    if is_alone:
        if promised > size:
            # A value of several pages is verified by its first: what the file lacks of it would be SIGBUS when read.
            # As zeros it fails its checksum; taken as blocks, since a drive that fills up would end the process too.
            if promised > 2 * size:
                return f"{DATA} is far too short"
            with data.open("ab") as file:
                file.write(bytes(promised - size))
        seal(folder)
    return None


def _promised_bytes(data: Path) -> int | None:
    with data.open("rb") as file:
        first = _meta(file.read(_META.size), 0)
        if first is None:
            return None
        file.seek(first[0])
        second = _meta(file.read(_META.size), 1)
    if second is None or second[0] != first[0]:
        return None
    page_bytes, last_page, _ = max(first, second, key=lambda meta: meta[2])
    return (last_page + 1) * page_bytes


def _meta(head: bytes, expected: int) -> tuple[int, int, int] | None:
    """Page size, last page and transaction of one meta page; None if it is none."""
    if len(head) < _META.size:
        return None
    number, flags, magic, version, page_bytes, last_page, transaction = _META.unpack(head)
    if (number, magic, version) != (expected, _MAGIC, _VERSION) or not flags & _META_FLAG:
        return None
    if page_bytes not in _PAGE_SIZES:
        return None
    return page_bytes, last_page, transaction


def is_sound(data: Path) -> bool:
    """Whether every page of a file is in order; 2 ms per MB. One that is too large to be looked through is not."""
    if data.stat().st_size > VERIFIABLE_BYTES:
        return False
    from lmdb import verify  # noqa: PLC0415 - only after a crash

    try:
        return not verify.verify(str(data))  # type: ignore[no-untyped-call] # lmdb types its extension only
    except Exception as exc:  # it reads what anybody may have written: whatever it raises means "no"
        logger.debug("verifying %s ended with %r", data, exc)
        return False


def seal(folder: Path) -> None:
    """Note that all that stands in the file is ours. Call it while nobody else can write.

    Where the time can't be set, there is no seal, and every start verifies.
    """
    data = folder / DATA
    past = time.time_ns() - 10_000_000_000 - secrets.randbelow(50_000_000_000)
    with suppress(OSError):
        os.utime(data, ns=(past, past))
        (folder / _SEAL).write_text(_identity(data), encoding="ascii")


def _is_sealed(folder: Path) -> bool:
    try:
        with (folder / _SEAL).open(encoding="ascii") as file:
            return file.read(100) == _identity(folder / DATA)
    except (OSError, UnicodeDecodeError):
        return False


def _identity(data: Path) -> str:
    status = data.stat()
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _data_bytes(folder: Path) -> int:
    """Size of the file of pages; 0 where there is none."""
    data = folder / DATA
    return data.stat().st_size if data.exists() else 0


def size_bytes(folder: Path) -> int:
    """Size of all files of a cache."""
    with suppress(OSError):
        return sum(entry.stat(follow_symlinks=False).st_size for entry in os.scandir(folder))
    return 0


def prepare(folder: Path) -> None:
    """Take the blocks of the lock file, before LMDB maps it: a full drive is an error here, and SIGBUS there.

    Raises:
        OSError: There is no room, or no permission.
    """
    with (folder / _LOCK).open("ab") as file:
        file.write(bytes(max(0, _LOCK_BYTES - file.tell())))


def discard(folder: Path, *, with_all: bool = False) -> None:
    """Delete the files of LMDB, which no process may have open; `with_all`, whatever else lies in the folder.

    Raises:
        OSError: Something can't be deleted.
    """
    for entry in os.scandir(folder):
        if entry.name in LMDB_FILES or (with_all and entry.name not in (OPEN_LOCK, _WRITE_LOCK)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                Path(entry.path).unlink()


class FileLock:
    """One lock of the operating system's, by `flock`: it dies with its owner, and may be shared.

    Windows has none such; there LMDB's own locks do, and a file in use can't be deleted.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(
            path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0), 0o644
        )

    def take(self, wait_s: float, *, is_shared: bool = False) -> bool:
        """Take it, or change the way it is held.

        Returns:
            Whether that was possible in time. If not, it is held no more.
        """
        if sys.platform == "win32":
            return True
        until = time.monotonic() + wait_s
        wanted = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
        while True:
            try:
                fcntl.flock(self._descriptor, wanted | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    return False
                time.sleep(_POLL_S)
            else:
                return True

    def release(self) -> None:
        """Give it back."""
        if sys.platform != "win32":
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give it back for good. In a forked child, the parent still holds it."""
        os.close(self._descriptor)


def places(library: Path, fallback: Fallback | None) -> Iterator[tuple[Path, bool]]:
    """Where the cache of a library may lie: in it, else below `fallback`, which the second value tells."""
    yield library / ".pumas" / "cache", False
    if fallback is not None:
        yield fallback() / _path_digest(library), True


def _path_digest(library: Path) -> str:
    return xxhash.xxh3_128_hexdigest(os.fsencode(os.path.realpath(library)))


def find_folder(library: Path, *, is_writable: bool, fallback: Fallback | None) -> tuple[Path, bool] | None:
    """Choose and make the folder of a cache.

    Returns:
        The folder, and whether it is the one below `fallback`; None if neither can hold a cache.
    """
    can_hold = is_writable and _is_near(library)
    for folder, is_fallback in places(library, fallback):
        if not (is_fallback or can_hold):
            continue
        with suppress(OSError):
            if folder.is_file() and not folder.is_symlink():
                folder.unlink()
            folder.mkdir(parents=True, exist_ok=True)
            # SECURITY: the folder is emptied by `discard`; a link could name any other.
            if not folder.is_symlink() and os.access(folder, os.W_OK) and _is_near(folder):
                return folder.resolve(), is_fallback
    return None


def _is_near(folder: Path) -> bool:
    """Whether a folder lies on a file system of this machine that can be written to; unknown counts as near."""
    if os.name == "nt":
        return True
    try:
        is_read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return True
    return not is_read_only and not is_far(folder)


def library_id(library: Path, *, is_writable: bool) -> str:
    """Who the library is, wherever it lies: 32 hex digits, made on first use.

    A library that can't be written to and has none is known by its path.
    """
    path = library / ".pumas" / "library-id"
    with suppress(OSError):
        if (known := _read_id(path)) is not None:
            return known
        if is_writable:
            return _make_id(path)
    return f"path-{_path_digest(library)}"


def _read_id(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            text = file.read(100)
    except FileNotFoundError:
        return None
    return text.decode().strip() if re.fullmatch(rb"[0-9a-f]{32}\n", text) else None


def _make_id(path: Path) -> str:
    made = secrets.token_hex(16)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{made}.tmp")
    try:
        temporary.write_text(f"{made}\n", encoding="ascii", newline="\n")
        # Of several that make one at once, the first wins: a link, unlike a rename, replaces nothing.
        with suppress(OSError):  # it is there, or the file system knows no hard links
            path.hardlink_to(temporary)
        if _read_id(path) is None:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return _read_id(path) or made


class Opened:
    """LMDB's environment as it was opened, its tables, and the locks around it.

    Raises:
        OSError: It can't be opened now.
        lmdb.Error: The same.
    """

    def __init__(self, folder: Path, library_id: str, *, is_suspect: bool) -> None:
        self._folder = folder
        self._environment: lmdb.Environment | None = None
        self._users = FileLock(folder / OPEN_LOCK)
        try:
            self._writer = FileLock(folder / _WRITE_LOCK)
        except OSError:
            self._users.close()
            raise
        try:
            is_alone = self.take_alone()
            reason = "LMDB found it damaged" if is_suspect else fault(folder, is_alone=is_alone)
            if reason is not None:
                self._discard(reason, is_alone=is_alone)
            try:
                self._open(library_id, is_alone=is_alone)
            except DAMAGE as exc:
                self._discard(str(exc), is_alone=is_alone)
                self._open(library_id, is_alone=is_alone)
            self.share()
        except BaseException:
            self.close()
            raise

    def share(self) -> None:
        """Hold the lock of users as all do that don't examine.

        Raises:
            OSError: Another process has been examining the file for 2 s.
        """
        if not self._users.take(_OPEN_WAIT_S, is_shared=True):
            raise OSError("another process has been examining it for too long")

    def take_alone(self) -> bool:
        """Whether no other process has it open, and none can open it until `share` or `close`."""
        is_alone = self._users.take(0)
        if not is_alone:
            self.share()
        return is_alone

    def _discard(self, reason: str, *, is_alone: bool) -> None:
        if not is_alone:
            raise OSError(f"{reason}, and another process has it open")
        logger.warning("the cache %s was thrown away, it fills again by itself: %s", self._folder, reason)
        discard(self._folder)

    def _open(self, library_id: str, *, is_alone: bool) -> None:
        if is_alone:
            prepare(self._folder)
        self.env = self._environment = lmdb.open(
            os.fsencode(self._folder),
            map_size=_roomy(_data_bytes(self._folder)),
            max_dbs=len(Table),
            max_readers=_READERS,
            max_spare_txns=0,  # a spare one would live through a fork
            metasync=False,
            # PERF: 10,000 records in order from a cold drive take 45 ms (without: 890), 300 anywhere 50 (38).
            readahead=True,
            mode=0o644,
            lib_version=0,  # the format that `fault` knows
        )
        try:
            self.env.reader_check()
            try:
                self._open_tables(library_id)
            except lmdb.MapResizedError:  # by a process that wrote since we looked
                self.env.set_mapsize(0)
                self._open_tables(library_id)
            self.map_size_bytes = self.env.info()["map_size"]
        except DAMAGE:
            self.env.close()
            raise

    def _open_tables(self, library_id: str) -> None:
        with self.writing(_OPEN_WAIT_S) as txn:
            self.tables = {
                table: self.env.open_db(table.label.encode(), txn=txn, integerkey=table.key_bytes == 8)
                for table in Table
            }
            self._mark(txn, library_id)

    def _mark(self, txn: Transaction, library_id: str) -> None:
        meta = self.tables[Table.META]
        for name, wanted in ((b"format", str(FORMAT)), (b"library", library_id)):
            value = with_checksum(name, wanted.encode())
            found = txn.get(name, db=meta)
            if found is None and not any(txn.stat(db)["entries"] for db in self.tables.values() if db is not meta):
                txn.put(name, value, db=meta)
            elif found != value:
                raise lmdb.InvalidError(f"its {name.decode()} is not {wanted}")

    @contextmanager
    def writing(self, wait_s: float) -> Iterator[Transaction]:
        """One write transaction, the only one of all processes, for one thread at a time.

        Raises:
            OSError: Another process is writing, or was stopped while it did.
            lmdb.Error: It could not be done.
        """
        if not self._writer.take(wait_s):
            raise OSError("another process has been writing it for too long")
        try:
            before = self.env.info()["last_txnid"]
            with self.env.begin(write=True) as txn:
                yield txn
            if self.env.info()["last_txnid"] != before:
                seal(self._folder)
        finally:
            self._writer.release()

    def close(self) -> None:
        """Close it, and give the locks back; no transaction may be open."""
        self.close_environment()
        self._writer.close()
        self._users.close()

    def close_environment(self) -> None:
        """Close it, and keep the locks."""
        if self._environment is not None:
            self._environment.close()


def _roomy(size_bytes: int) -> int:
    """Size of a map that a file fits in twice; on Windows, where the file is made as large, once."""
    room = _MAP_BYTES
    while room < size_bytes * (1 if os.name == "nt" else 2):
        room = larger(room)
    return room


def larger(map_size_bytes: int) -> int:
    """The size to try when a map is full."""
    return map_size_bytes + _MAP_BYTES if os.name == "nt" else map_size_bytes * 2


class Gate:
    """Transactions pass together; whoever resizes, replaces or closes the environment passes alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._inside = 0
        self._is_held = False

    def __enter__(self) -> None:
        with self._changed:
            while self._is_held:
                self._changed.wait()
            self._inside += 1

    def __exit__(self, *_exc: object) -> None:
        with self._changed:
            self._inside -= 1
            if not self._inside:
                self._changed.notify_all()

    def hold(self) -> None:
        """Wait until nobody is inside, and keep all out."""
        with self._changed:
            while self._is_held:
                self._changed.wait()
            self._is_held = True
            while self._inside:
                self._changed.wait()

    def release(self) -> None:
        """Let them in again."""
        with self._changed:
            self._is_held = False
            self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """`hold`, then `release`."""
        self.hold()
        try:
            yield
        finally:
            self.release()
