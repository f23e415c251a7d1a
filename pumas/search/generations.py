"""The postings of a library on disk, and the state of the index that they belong to.

    postings-{generation}        a file in the folder of the cache (`postings_file`)
    generation, 8 bytes, native  key in the cache's table `postings`; its value is
                                 {"stamp": hex of the index's stamp, "checked_on": platform and version of SQLite}

A generation is written as a file first; then its entry takes the place of all others; then their files go. Whoever has
one of them mapped keeps it. The scores of a generation were compared with those of the SQLite that it names; where
another one answers (arm64 may round otherwise) it is made again. Everything here can be.
"""

from __future__ import annotations

import logging
import sqlite3
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path
from time import time_ns

import msgspec

from pumas.search.postings import Postings
from pumas.search.postings_file import DamagedPostings, open_postings, write_postings
from pumas.store.cache import Cache, Table, row_key

logger = logging.getLogger(__name__)

_PREFIX = "postings-"


_PLATFORM = f"{sysconfig.get_platform()} SQLite {sqlite3.sqlite_version}"


class _Manifest(msgspec.Struct):
    stamp: str
    checked_on: str


def load_postings(cache: Cache, stamp: bytes) -> Postings | None:
    """The postings of one state of the index, every array of them looked through; None when there are none."""
    folder = cache.folder
    for key, value in cache.items(Table.POSTINGS):
        if folder is None or _stamp_of(value) != stamp:
            continue
        try:
            return open_postings(_file(folder, key)).verify()
        except (DamagedPostings, OSError) as exc:
            logger.warning("postings can't be used and are made again: %s", exc)
    return None


def keep_postings(cache: Cache, postings: Postings, stamp: bytes) -> bool:
    """Write the postings of a state of the index in place of all others; one process at a time.

    Returns:
        Whether `load_postings` finds them now.
    """
    folder = cache.folder
    if folder is None:
        return False
    key = row_key(time_ns())
    path = _file(folder, key)
    try:
        write_postings(postings, path)
    except OSError as exc:
        logger.warning("postings can't be kept, they are made again after a restart: %s", exc)
        return False
    is_kept = cache.replace_all(Table.POSTINGS, [(key, msgspec.json.encode(_Manifest(stamp.hex(), _PLATFORM)))])
    for other in folder.glob(f"{_PREFIX}*"):
        if other != path or not is_kept:
            with suppress(OSError):  # on Windows one that is mapped stays until the next time
                other.unlink()
    return is_kept


def _file(folder: Path, key: bytes) -> Path:
    return folder / f"{_PREFIX}{int.from_bytes(key, sys.byteorder)}"


def _stamp_of(value: bytes) -> bytes | None:
    """The state of the index that a manifest names; None where its scores were not compared on this platform."""
    try:
        found = msgspec.json.decode(value, type=_Manifest)
        return bytes.fromhex(found.stamp) if found.checked_on == _PLATFORM else None
    except ValueError:  # msgspec's own among them
        return None
