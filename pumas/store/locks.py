"""Locks between threads and processes: the operating system's own, so they die with their owner."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pumas.errors import Unavailable, system_errors

_WAIT_S = 30.0  # as long as SQLite waits; a document is written in milliseconds


@contextmanager
def document_lock(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of one document; `name` is its path below the root, `folder` holds the lock files.

    Raises:
        Unavailable: Another process held it for 30 s.
    """
    import filelock  # noqa: PLC0415 - 40 ms that only a writer pays

    # A digest, because a path may be longer than a file name may be.
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    with system_errors("Taking the lock of a document"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / f"{digest}.lock", timeout=_WAIT_S)
        try:
            lock.acquire()
        except filelock.Timeout as exc:
            raise Unavailable(f"Another program has been writing {name} for {_WAIT_S:.0f} s; try again") from exc
    try:
        yield
    finally:
        lock.release()
