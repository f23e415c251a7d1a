"""Fingerprints of files, by which an unchanged one is known without being read, and where they lie in the library.

      0  inode u64, size u64, mtime_ns i64, ctime_ns i64, little-endian (`pumas_native.fingerprint_files`)

A file that was changed less than two seconds before it was read could change once more within a tick of the file
system's clock, so nothing may be kept of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from struct import Struct
from typing import Final

import pumas_native

from pumas.errors import native_errors
from pumas.library.survey import RACY_NS

FINGERPRINT_BYTES: Final = 32

_FIELDS = Struct("<QQqq")
_COLUMN = Struct(f"{FINGERPRINT_BYTES}s")
_FAR_NS: Final = 86_400 * 10**9  # clocks of machines that share a drive do not differ by more
_ODD: Final = ("/.", "//", "/\0")  # in names, each between `/` and NUL: parts that lead elsewhere, or are empty


def pack_fingerprint(inode: int, size_bytes: int, mtime_ns: int, ctime_ns: int) -> bytes:
    """A fingerprint of its parts."""
    return _FIELDS.pack(inode, size_bytes, mtime_ns, ctime_ns)


def size_of(fingerprint: bytes) -> int:
    """The size in a fingerprint."""
    return int.from_bytes(fingerprint[8:16], "little")


def mtime_of(fingerprint: bytes) -> int:
    """The time of the last change of content in a fingerprint."""
    return int.from_bytes(fingerprint[16:24], "little", signed=True)


def is_settled(fingerprint: bytes, read_at_ns: int) -> bool:
    """Whether a file was last changed so long before it was read that a later change shows in its times."""
    return are_settled(_FIELDS.unpack(fingerprint)[2:], read_at_ns)


def are_settled(times_ns: Sequence[int], read_at_ns: int) -> bool:
    """Whether none of the times of files is so near to that of reading that a later change could leave it as it is.

    One that lies far ahead was set by somebody, or by a clock that was wrong: a later change sets another.
    """
    if max(times_ns) < read_at_ns - RACY_NS:
        return True
    return not any(read_at_ns - RACY_NS <= time_ns < read_at_ns + _FAR_NS for time_ns in times_ns)


def fingerprints_of(
    paths: Sequence[str], *, cancel: pumas_native.CancelToken | None = None
) -> tuple[list[bytes], dict[int, OSError]]:
    """One stat of each file, links followed.

    Returns:
        The fingerprint of each, zeros where there is none; by its place in `paths`, why.

    Raises:
        Cancelled: `cancel` was set.
    """
    with native_errors():
        column, problems = pumas_native.fingerprint_files(paths, cancel=cancel)
    return [fingerprint for (fingerprint,) in _COLUMN.iter_unpack(column)], dict(problems)


def names_below(library: Path, paths: Sequence[str]) -> list[str]:
    """Paths below the library, `/` between parts; empty for files that lie elsewhere.

    They are told by their text alone. One that leads elsewhere, by a link, is harmless: its fingerprint is that of the
    file behind it.
    """
    folders = tuple(f"{folder}{os.sep}" for folder in (os.path.abspath(library), os.path.realpath(library)))  # noqa: PTH100
    skipped = len(folders[0])
    names = [path[skipped:] if path.startswith(folders[0]) else "" for path in paths]
    if os.sep != "/":
        names = [name.replace(os.sep, "/") for name in names]
    # PERF: all are looked at in one go; one by one it takes 0.3 us a name, by the path of each 2, by pathlib 20.
    if _is_odd("\0/".join(names)):
        return [_name_below(folders, path) if _is_odd(name) else name for path, name in zip(paths, names, strict=True)]
    return names


def _is_odd(names: str) -> bool:
    told = f"/{names}\0"
    return any(odd in told for odd in _ODD)


def _name_below(folders: Sequence[str], path: str) -> str:
    whole = os.path.abspath(path)  # noqa: PTH100
    folder = next(filter(whole.startswith, folders), None)
    return "" if folder is None else whole.removeprefix(folder).replace(os.sep, "/")
