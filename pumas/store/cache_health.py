"""What can be wrong with the cache. Nothing here writes, and LMDB is not asked to open what may be damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import xxhash

from pumas.config import Config
from pumas.models import Finding
from pumas.store import cache_file
from pumas.store.cache_file import FileLock
from pumas.store.findings import note, problem
from pumas.store.paths import Layout

# Beyond this, a cache that was left by a killed process is not verified but thrown away (`cache_file`).
_LARGE_BYTES = 512 << 20
_DATA = "data.mdb"
_LMDB_FILES = (_DATA, "lock.mdb", "seal")


def cache_folders(layout: Layout, config: Config) -> list[Path]:
    """Where the cache of a library lies: inside it, or where the library can't hold one."""
    digest = xxhash.xxh3_128_hexdigest(os.fsencode(os.path.realpath(layout.library)))
    places = (layout.library / ".pumas" / "cache", layout.cache_folder(config) / digest)
    return [folder for folder in places if os.path.lexists(folder)]


def examine_cache(layout: Layout, config: Config) -> Iterator[Finding]:
    """The files of the cache, each page of them if no other process has them open."""
    for folder in cache_folders(layout, config):
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
        elif size_bytes > _LARGE_BYTES:
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
            return cache_file.fault(folder, is_alone=False) or (_page_fault(folder / _DATA) if is_alone else None)
    except OSError as exc:
        return f"it can't be read: {exc.strerror}"


def _page_fault(data: Path) -> str | None:
    """What a look at every page finds; a seal is not enough for somebody who wants to know."""
    if not data.exists() or data.stat().st_size > _LARGE_BYTES:
        return None
    from lmdb import verify  # noqa: PLC0415 - 2 ms per MB

    try:
        is_sound = not verify.verify(str(data))  # type: ignore[no-untyped-call] # lmdb types its extension only
    except Exception:  # it reads what anybody may have written: whatever it raises means "no"
        is_sound = False
    return None if is_sound else f"{_DATA} has wrong pages"


@contextmanager
def examined_alone(folder: Path) -> Iterator[bool]:
    """Keep other processes from opening a cache; False when one has it open, or that can't be known."""
    path = folder / "open.lock"
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
    return [folder / name for name in _LMDB_FILES if os.path.lexists(folder / name)]
