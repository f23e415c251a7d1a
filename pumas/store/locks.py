"""Locks between threads and processes: the operating system's own, so they die with their owner.

    {lib}/.pumas/locks/00.lock … ff.lock          documents of the library
    launcher-data/.locks/00.lock … ff.lock        the other documents

The lock of a document is chosen by a digest of its path: 256 empty files serve any number of models, and two documents
that share one wait milliseconds for each other. The files stay; removing one while it is held would let two in.
The original takes no locks and doesn't see ours.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pumas.errors import Unavailable, system_errors

_WAIT_S = 30.0  # as long as SQLite waits; a document is written in milliseconds
_POLL_S = 0.002  # a document is held for 3 ms: at filelock's 50 ms a busy neighbour would starve us

_held = threading.local()


@contextmanager
def document_lock(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of one document; `name` is its path below the root, `folder` holds the lock files.

    A thread holds one at a time: two that take two in different order would wait for each other.

    Raises:
        Unavailable: Another thread or process held it for 30 s, or the lock file can't be made.
        RuntimeError: This thread holds the lock of a document already.
    """
    import filelock  # noqa: PLC0415 - 40 ms that only a writer pays

    inside = getattr(_held, "name", None)
    if inside is not None:
        raise RuntimeError(f"{name} can't be locked while {inside} is: one document at a time")
    path = folder / _lock_file(name)
    with system_errors(f"Taking the lock {path} of {name}"):
        refuse_odd_lock(path)
        folder.mkdir(parents=True, exist_ok=True)
        # No soft lock where the file system has no real one: it would outlive its owner.
        lock = filelock.FileLock(path, timeout=_WAIT_S, poll_interval=_POLL_S, fallback_to_soft=False)
        try:
            lock.acquire()
        except filelock.Timeout as exc:
            raise Unavailable(
                f"Another program has been writing {name} for {_WAIT_S:.0f} s (the lock is {path}); try again"
            ) from exc
    _held.name = name
    try:
        yield
    finally:
        _held.name = None
        lock.release()


def refuse_odd_lock(path: Path) -> None:
    """See that nothing but a regular file lies where a lock file belongs.

    Raises:
        Unavailable: Something else does; it is to be moved away.
    """
    folder = path.parent
    if os.path.lexists(folder) and not folder.is_dir():
        raise Unavailable(f"The lock can't be taken: {folder} is not a folder; move it away")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise Unavailable(f"The lock can't be taken: {path} is not a regular file; move it away")


def _lock_file(name: str) -> str:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=1)
    return f"{digest.hexdigest()}.lock"
