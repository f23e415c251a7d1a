"""What can be wrong with the cache. Nothing here writes, and LMDB is not asked to open what may be damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pumas.config import Config
from pumas.models import Finding
from pumas.store import cache_file
from pumas.store.cache_file import DATA, LMDB_FILES, OPEN_LOCK, VERIFIABLE_BYTES, FileLock
from pumas.store.findings import note, problem
from pumas.store.paths import Layout


def examine_cache(layout: Layout, config: Config) -> Iterator[Finding]:
    """The files of the cache, each page of them if no other process has them open."""
    for folder, _ in cache_file.places(layout.library, lambda: layout.cache_folder(config)):
        if not os.path.lexists(folder):
            continue
        reason = _fault(folder)
        size_bytes = cache_file.size_bytes(folder)
        if reason:
            yield problem(
                "cache_damaged",
                folder,
                what=f"the cache is damaged: {reason}",
                remedy="`pumas doctor --fix` moves it to the quarantine; it fills again by itself.",
                is_repairable=True,
            )
        elif size_bytes > VERIFIABLE_BYTES:
            yield note(
                "cache_large",
                folder,
                what=f"the cache takes {size_bytes >> 20} MiB",
                remedy="`pumas cache clear` empties it; it fills again by itself.",
            )


def _fault(folder: Path) -> str | None:
    if folder.is_symlink() or not folder.is_dir():
        return "it is not a folder"
    try:
        with examined_alone(folder) as is_alone:
            return cache_file.fault(folder, is_alone=False) or (_page_fault(folder / DATA) if is_alone else None)
    except OSError as exc:
        return f"it can't be read: {exc.strerror}"


def _page_fault(data: Path) -> str | None:
    """What a look at every page finds; a seal is not enough for somebody who wants to know."""
    if not data.exists() or data.stat().st_size > VERIFIABLE_BYTES or cache_file.is_sound(data):
        return None
    return f"{DATA} has wrong pages"


@contextmanager
def examined_alone(folder: Path) -> Iterator[bool]:
    """Keep other processes from opening a cache; False when one has it open, or that can't be known."""
    path = folder / OPEN_LOCK
    lock = None
    with suppress(OSError):  # no permission
        lock = FileLock(path) if path.is_file() else None
    try:
        # A cache that nobody ever opened has no lock file, and is alone.
        yield lock.take(0) if lock is not None else not os.path.lexists(path)
    finally:
        if lock is not None:
            lock.close()


def removable_files(folder: Path) -> list[Path]:
    """What has to go so that a new cache can begin: the files of LMDB; the place itself when it is no folder."""
    if folder.is_symlink() or not folder.is_dir():
        return [folder]
    return [folder / name for name in LMDB_FILES if os.path.lexists(folder / name)]
