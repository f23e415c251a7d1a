"""A long JSON text in pieces that others keep too, so that an answer of megabytes is sent without being copied."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

_READ = 256 * 1024


class PiecedText:
    """Reads like a file: Waitress sends such a one from where it lies, and holds no thread meanwhile."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self._ends = list(accumulate(map(len, self.pieces)))
        self._at = 0

    def seekable(self) -> bool:
        """Yes; Waitress asks before it takes the length from the last position."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, from the start, from here or from the end."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._ends[-1] if self._ends else 0}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def read(self, size: int | None = None) -> bytes:
        """The next bytes, at most 256 KiB; empty at the end."""
        room = _READ if size is None or size < 0 else min(size, _READ)
        number = bisect_right(self._ends, self._at)
        if number == len(self.pieces):
            return b""
        piece = self.pieces[number]
        start = self._at - (self._ends[number] - len(piece))
        found = piece[start : start + room]
        if self._at + len(found) == self._ends[number]:
            # PERF: each read is a packet that wakes the other side: what is small goes along with what comes before it.
            end = bisect_right(self._ends, self._at + room)
            found = b"".join((found, *self.pieces[number + 1 : end]))
        self._at += len(found)
        return found
