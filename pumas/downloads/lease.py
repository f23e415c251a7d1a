"""Who is at a download: one process at a time, also on drives that several machines share.

    {lib}/.downloads/<id>/lease.json    {"owner": 32 hexadecimal digits, "machine", "pid", "started", "beat": number}

Its holder counts `beat` up every few seconds. A lease is free when its process is known to have ended, or when it did
not change for half a minute *as its taker's own clock runs*: no time of another machine, and none that somebody set, is
ever compared. File locks are not used for it, since network drives keep those of a machine that died, or none at all.

A holder that was away for so long (a suspended laptop) finds another owner at its next beat, and stops.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from pumas.errors import Damaged, PumasError
from pumas.store.documents import read_document, write_document
from pumas.store.locks import document_lock

logger = logging.getLogger(__name__)

FILE: Final = "lease.json"
BEAT_S: Final = 5.0
FREE_AFTER_S: Final = 30.0


class _Entry(msgspec.Struct, frozen=True):
    owner: str
    machine: str
    pid: int
    started: float
    beat: int = 0


@dataclass(frozen=True, slots=True)
class _Seen:
    entry: _Entry
    since: float
    """When it was first seen like this, by `time.monotonic`."""


class Leases:
    """The leases of one process on the downloads of one library; safe to use from several threads."""

    def __init__(self, locks: Path, *, free_after_s: float = FREE_AFTER_S) -> None:
        self._locks = locks
        self._free_after_s = free_after_s
        self._machine = _machine()
        self._started = _started(os.getpid())
        self._seen: dict[Path, _Seen] = {}

    def take(self, folder: Path) -> Lease | None:
        """Take a download, if nobody is at it.

        Args:
            folder: Of the download; it exists.

        Returns:
            None while another one holds it, in this process too. To find out that a holder died on another machine it
            takes several calls, half a minute apart at least.

        Raises:
            NoSpace, Unavailable: It can't be told, or written.
        """
        path = folder / FILE
        with document_lock(self._locks, _lock_name(path)):
            held = _read(path)
            if held is not None and not self._is_free(path, held):
                return None
            entry = _Entry(uuid.uuid4().hex, self._machine, os.getpid(), self._started)
            _write(path, entry)
        self._seen.pop(path, None)
        return Lease(path, entry, self._locks)

    def _is_free(self, path: Path, held: _Entry) -> bool:
        if held.machine == self._machine:
            return _started(held.pid) != held.started
        seen = self._seen.get(path)
        if seen is None or seen.entry != held:
            self._seen[path] = _Seen(held, monotonic())
            return False
        return monotonic() - seen.since >= self._free_after_s


class Lease:
    """A download that this process is at."""

    def __init__(self, path: Path, entry: _Entry, locks: Path) -> None:
        self._path = path
        self._entry = entry
        self._locks = locks
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def keep(self, lost: Callable[[], None], *, every_s: float = BEAT_S) -> None:
        """Hold it from now on until `release`; `lost` is called, from another thread, when somebody else has it."""
        self._thread = threading.Thread(target=self._beat, args=(lost, every_s), name="download-lease", daemon=True)
        self._thread.start()

    def _beat(self, lost: Callable[[], None], every_s: float) -> None:
        while not self._end.wait(every_s):
            try:
                if not self.renew():
                    lost()
                    return
            except PumasError as exc:  # a full drive: nobody can take it meanwhile either, unless it lasts
                logger.warning("the lease %s was not renewed: %s", self._path, exc)

    def renew(self) -> bool:
        """Say that somebody is still at it.

        Returns:
            False when another one took it, or it is gone.
        """
        with document_lock(self._locks, _lock_name(self._path)):
            held = _read(self._path)
            if held is None or held.owner != self._entry.owner:
                return False
            self._entry = msgspec.structs.replace(held, beat=held.beat + 1)
            _write(self._path, self._entry)
            return True

    def release(self) -> None:
        """Let others take it; also when it was lost."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        with suppress(PumasError), document_lock(self._locks, _lock_name(self._path)):
            held = _read(self._path)
            if held is not None and held.owner == self._entry.owner:
                self._path.unlink(missing_ok=True)


def _read(path: Path) -> _Entry | None:
    try:
        value = read_document(path)
        return None if value is None else msgspec.convert(value, _Entry)
    except (Damaged, msgspec.ValidationError) as exc:
        logger.warning("%s is not what a lease should be, and is replaced: %s", path, exc)
        return None


def _write(path: Path, entry: _Entry) -> None:
    write_document(path, msgspec.to_builtins(entry), has_backup=False)


def _lock_name(path: Path) -> str:
    # Not the whole path: two processes may know the library by different ones.
    return f"{path.parent.name}/{path.name}"


def _machine() -> str:
    """Where process numbers mean the same: this machine since it was started, and this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - it is no path
    except OSError:
        return f"{platform.node()}-{uuid.getnode():x}"


def _started(pid: int) -> float:
    """When a process began, as a number that no other of its machine has with the same pid; 0 when it has ended."""
    try:
        # Ticks since the start of the machine (proc_pid_stat(5)): psutil's time moves when the clock is set.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return 0.0 if fields[0] in "ZX" else float(fields[19])
    except (OSError, IndexError):
        if Path("/proc/self/stat").exists():
            return 0.0
    import psutil  # noqa: PLC0415 - only where something is downloaded

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return 0.0
