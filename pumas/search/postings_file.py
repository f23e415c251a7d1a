"""Postings on disk: one plain file per generation, mapped and never read at open (`ranking.md` §6).

    0   8 bytes  "PUMASPST"        8  u32 format, 1          12  u32 number of arrays
    16  u64 size of the file      24  u64 rows              32  u64 tokens
    40  u64 xxh3_64 of the header with this field zero
    48  per array 64 bytes: name, 24 bytes filled up with zeros; type, 8 bytes ("<u4"); u64 offset, u64 bytes,
        u64 columns (0 when it is flat), u64 xxh3_64 of the array
    then the arrays, each at a multiple of 64

Little-endian; another format is refused, and the postings are made anew. A file is written under a temporary name,
made durable and renamed, so under its own name it is complete. Opening looks at the header and the size alone. The
arrays are looked through by `verify`, without which there is nothing to rank with: the ranking trusts them. What
is shortened by another program while it is mapped ends the process (SIGBUS): nothing a reader does can prevent that.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from pumas.search._ranking import HEAVY_COLUMNS, find_fault
from pumas.search.leaves import Arrays
from pumas.search.postings import Postings
from pumas.store.documents import sync_folder

_MAGIC = b"PUMASPST"
_FORMAT = 1
_HEAD = struct.Struct("<8s II QQQ Q")
_ENTRY = struct.Struct("<24s 8s QQQQ")
_CHECKSUM_AT = 40
_ALIGN = 64
_TYPES = {
    **dict.fromkeys(("term_bytes", "type_bytes", "tag_bytes"), "<u1"),
    **dict.fromkeys(("lengths", "types"), "<u2"),
    "rowids": "<i8",
    **dict.fromkeys(("term_starts", "posts", "post_starts", "next", "next_starts", "tokens", "token_starts"), "<u4"),
    **dict.fromkeys(("type_starts", "tag_starts", "tag_docs", "tag_doc_starts"), "<u4"),
    **dict.fromkeys(("heavy", "champions", "unions"), "<u4"),
}
_FIRST = _HEAD.size + len(_TYPES) * _ENTRY.size  # the end of the header


class DamagedPostings(Exception):
    """A file does not hold the postings that were written to it; the message says what is wrong."""


def write_postings(postings: Postings, path: Path) -> None:
    """Write the file: all of it or nothing.

    Raises:
        OSError: It can't be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(_header(postings))
            for name in _TYPES:
                file.seek(_aligned(file.tell()))
                file.write(_flat(postings.arrays, name).data)
            file.truncate()  # up to here, where the last arrays are empty
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


@dataclass(frozen=True)
class MappedPostings:
    """A file that was opened, its arrays not looked at yet."""

    arrays: Arrays
    rows: int
    tokens: int
    checksums: Mapping[str, int]

    def verify(self) -> Postings:
        """Read every array and look whether it can be ranked with (0.4 s per GB); belongs in the background.

        Raises:
            DamagedPostings: An array is not what was written, or points outside of another.
        """
        for name, checksum in self.checksums.items():
            if xxhash.xxh3_64_intdigest(_flat(self.arrays, name).data) != checksum:
                raise DamagedPostings(f"the array `{name}` is damaged")
        if (self.rows, self.tokens) != (len(self.arrays["rowids"]), len(self.arrays["tokens"])):
            raise DamagedPostings("the numbers of rows and tokens can't be right")
        postings = Postings(self.arrays, self.rows, self.tokens)
        fault = find_fault(postings.ranking) or _fault_of_filters(self.arrays)
        if fault:
            raise DamagedPostings(f"{fault} can't be right")
        return postings


def open_postings(path: Path) -> MappedPostings:
    """Map a file; under 1 ms at any size, since no array is read.

    Raises:
        DamagedPostings: It is shorter or longer than it was, of another format, or its header is damaged.
        OSError: It can't be opened.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _FIRST:
            raise DamagedPostings("the file is too short")
        data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    magic, form, count, promised, rows, tokens, checksum = _HEAD.unpack_from(data)
    if magic != _MAGIC or form != _FORMAT or count != len(_TYPES):
        raise DamagedPostings("the file has another format")
    if promised != size:
        raise DamagedPostings("the file has another size than it was written with")
    if checksum != _checksum(data[:_FIRST]):
        raise DamagedPostings("the header is damaged")
    arrays: Arrays = {}
    checksums: dict[str, int] = {}
    for number, (name, dtype) in enumerate(_TYPES.items()):
        stored, kind, offset, length, columns, sum_ = _ENTRY.unpack_from(data, _HEAD.size + number * _ENTRY.size)
        item = np.dtype(dtype).itemsize
        is_placed = offset % _ALIGN == 0 and _FIRST <= offset <= size and length <= size - offset
        if (stored.rstrip(b"\0"), kind.rstrip(b"\0")) != (name.encode(), dtype.encode()) or not is_placed:
            raise DamagedPostings(f"the array `{name}` is not in its place")
        if length % (item * max(columns, 1)) or columns != (HEAVY_COLUMNS if name == "heavy" else 0):
            raise DamagedPostings(f"the array `{name}` has another length")
        array = np.frombuffer(data, dtype, length // item, offset) if length else np.empty(0, dtype)
        arrays[name] = array.reshape(-1, columns) if columns else array
        checksums[name] = sum_
    return MappedPostings(arrays, rows, tokens, checksums)


def _header(postings: Postings) -> bytes:
    entries = []
    end = _FIRST
    for name, dtype in _TYPES.items():
        array = postings.arrays[name]
        data = _flat(postings.arrays, name)
        columns = array.shape[1] if array.ndim == 2 else 0
        end = _aligned(end)
        entries.append(
            _ENTRY.pack(name.encode(), dtype.encode(), end, len(data), columns, xxhash.xxh3_64_intdigest(data.data))
        )
        end += len(data)
    fields = (_MAGIC, _FORMAT, len(_TYPES), end, postings.rows, postings.tokens)
    header = _HEAD.pack(*fields, 0) + b"".join(entries)
    return _HEAD.pack(*fields, _checksum(header)) + header[_HEAD.size :]


def _checksum(header: bytes) -> int:
    """Of the header with its own checksum left zero."""
    return xxhash.xxh3_64_intdigest(header[:_CHECKSUM_AT] + bytes(8) + header[_CHECKSUM_AT + 8 :])


def _flat(arrays: Arrays, name: str) -> npt.NDArray[np.uint8]:
    """An array's bytes as they are stored."""
    return np.ascontiguousarray(arrays[name], _TYPES[name]).reshape(-1).view(np.uint8)


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGN) * _ALIGN


def _fault_of_filters(arrays: Arrays) -> str | None:
    """What the ranking itself does not look at: the tables of types and tags."""
    documents = len(arrays["rowids"])
    for name in ("type", "tag"):
        if not _is_offsets(arrays[f"{name}_starts"], len(arrays[f"{name}_bytes"])):
            return f"the table of {name}s"
    starts = arrays["tag_doc_starts"]
    if len(starts) != len(arrays["tag_starts"]) or not _is_offsets(starts, len(arrays["tag_docs"])):
        return "the documents of the tags"
    if np.any(arrays["tag_docs"] >= documents) or np.any(arrays["types"] >= len(arrays["type_starts"]) - 1):
        return "a type or a tag"
    return None


def _is_offsets(starts: npt.NDArray[np.integer[Any]], last: int) -> bool:
    return (
        len(starts) > 0
        and starts[0] == 0
        and starts[-1] == last
        and bool(np.all(np.diff(starts.astype(np.int64)) >= 0))
    )
