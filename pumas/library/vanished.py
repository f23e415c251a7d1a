"""Forgetting files that are gone: otherwise the cache would keep what was known of them for ever.

A full verification does so when it has come to its end; it has read every file by then, and this takes one stat more.
Header facts go at once. Digests stay for a month: a drive that is only missing at the moment would have to be read
again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pumas_native

from pumas.library import headers, known
from pumas.library.fingerprints import fingerprints_of
from pumas.library.stamps import STAMPS_KEY
from pumas.store.cache import Cache, Table

_MONTH_NS: Final = 30 * 86_400 * 10**9
_BATCH: Final = 200  # values held at once; header facts may have 256 KiB


def forget_vanished(
    library: Path, cache: Cache, now_ns: int, *, cancel: pumas_native.CancelToken | None = None
) -> None:
    """Drop from the cache what it knows of files that are not there any more.

    Raises:
        Cancelled: `cancel` was set; nothing is dropped from the table that was looked through.
    """
    _forget(library, cache, Table.HEADERS, headers.path_in, cancel)
    _forget(library, cache, Table.DIGESTS, lambda value: known.path_read_before(value, now_ns - _MONTH_NS), cancel)


def _forget(
    library: Path,
    cache: Cache,
    table: Table,
    path_in: Callable[[bytes], str],
    cancel: pumas_native.CancelToken | None,
) -> None:
    keys = [key for key in cache.keys(table) if key != STAMPS_KEY]
    gone = []
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        values = cache.get_many(table, batch)
        named = [(key, path_in(value)) for key, value in zip(batch, values, strict=True) if value is not None]
        kept = [(key, name) for key, name in named if name]
        _, problems = fingerprints_of([f"{library}/{name}" for _, name in kept], cancel=cancel)
        gone += [kept[position][0] for position, error in problems.items() if _is_absent(error)]
    if gone:
        cache.delete_many(table, gone)


def _is_absent(error: OSError) -> bool:
    return isinstance(error, FileNotFoundError | NotADirectoryError)
