"""What is known of the content of the library's files, so that an unchanged file costs one stat.

    table `digests`   path_key(path below the library) → 105 bytes and the path, numbers little-endian

      0  the fingerprint (`fingerprints`)
     32  SHA-256
     64  BLAKE3
     96  verified_at: when the content was last read, ns since 1970, i64
    104  u8: how the content came to differ from what was known before (`History`)
    105  the path, UTF-8: two paths of one key are told apart

A file whose fingerprint is the one that is known is not read again. Deleting the cache loses time, and `History`; what
a model's content should be stands in its document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from time import time_ns
from typing import Final

import pumas_native

from pumas.errors import native_errors
from pumas.library.fingerprints import FINGERPRINT_BYTES, is_settled, mtime_of, size_of
from pumas.models import Algorithm
from pumas.store.cache import Cache, Table, path_key

KEPT: Final[tuple[Algorithm, ...]] = ("sha256", "blake3")

_VALUE = Struct("<32s32s32sqB")
DIGESTS: Final = slice(32, 96)  # of a value: SHA-256, BLAKE3
_VERIFIED_AT = Struct("<96xq")


class History(IntEnum):
    """How the content of a file came to differ from what was known of it before."""

    FIRST = 0
    """Nothing was known, or it does not differ."""
    EDITED = 1
    """The fingerprint differs too: somebody wrote the file."""
    ROTTEN = 2
    """The fingerprint is the same: nobody wrote it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one file's content."""

    fingerprint: bytes
    sha256: bytes
    blake3: bytes
    verified_at_ns: int
    history: History

    @property
    def size_bytes(self) -> int:
        """Its size when it was read."""
        return size_of(self.fingerprint)

    @property
    def mtime_ns(self) -> int:
        """Its time when it was read."""
        return mtime_of(self.fingerprint)


def recall(cache: Cache, names: Sequence[str]) -> list[Known | None]:
    """What is known of files, by their paths below the library."""
    values = cache.get_many(Table.DIGESTS, [path_key(name) for name in names])
    return [_known(name, value) for name, value in zip(names, values, strict=True)]


def _known(name: str, value: bytes | None) -> Known | None:
    if value is None or value[_VALUE.size :] != _path_bytes(name):
        return None
    fingerprint, sha256, blake3, verified_at_ns, history = _VALUE.unpack_from(value)
    return Known(fingerprint, sha256, blake3, verified_at_ns, History(min(history, History.ROTTEN)))


def remember(cache: Cache, fresh: Sequence[tuple[str, Known]]) -> None:
    """Keep what was found out by reading files, by their paths below the library."""
    values = [
        (
            path_key(name),
            _VALUE.pack(known.fingerprint, known.sha256, known.blake3, known.verified_at_ns, known.history)
            + _path_bytes(name),
        )
        for name, known in fresh
        if is_settled(known.fingerprint, known.verified_at_ns)
    ]
    if values:
        cache.put_many(Table.DIGESTS, values)


def path_read_before(value: bytes, before_ns: int) -> str:
    """The path in a value of the table, if the file was last read before; else empty."""
    if len(value) < _VALUE.size:
        return ""
    verified_at_ns: int = _VERIFIED_AT.unpack_from(value)[0]
    return value[_VALUE.size :].decode("utf-8", "surrogatepass") if verified_at_ns < before_ns else ""


def _path_bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def read_contents(
    paths: Sequence[str],
    before: Sequence[Known | None],
    *,
    progress: Callable[[int], None] | None = None,
    cancel: pumas_native.CancelToken | None = None,
) -> list[Known | OSError]:
    """Read files and digest them by SHA-256 and BLAKE3.

    Args:
        paths: The files.
        before: What was known of each.
        progress: Called with the bytes read so far.
        cancel: Looked at between chunks.

    Returns:
        For each file what is known now, or why it can't be digested.

    Raises:
        Cancelled: `cancel` was set.
    """
    read_at_ns = time_ns()
    with native_errors():
        digests = pumas_native.hash_files(paths, KEPT, progress=progress, cancel=cancel)
    problems = dict(digests.problems)
    found: list[Known | OSError] = []
    for position, known in enumerate(before):
        part = slice(position * FINGERPRINT_BYTES, (position + 1) * FINGERPRINT_BYTES)
        fingerprint, sha256, blake3 = digests.fingerprints[part], digests.sha256[part], digests.blake3[part]
        history = _history(known, fingerprint, sha256)
        found.append(problems.get(position) or Known(fingerprint, sha256, blake3, read_at_ns, history))
    return found


def _history(before: Known | None, fingerprint: bytes, sha256: bytes) -> History:
    if before is None:
        return History.FIRST
    if before.sha256 == sha256:
        return before.history
    return History.ROTTEN if before.fingerprint == fingerprint else History.EDITED
