"""A folder tree walked once, and asked about single paths; nothing on the disk is touched again.

It stays in the columns of the native walk: a tree of half a million entries takes no Python object for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pumas_native

from pumas.errors import native_errors

FILE, FOLDER, LINK = ord("f"), ord("d"), ord("l")
BROKEN = frozenset(b"bo")
"""States of a link that leads nowhere."""


class WalkedTree:
    """The entries of a folder; of a folder that isn't there, none.

    Args:
        root: The folder; a link to one is followed.
        links: Whether it is asked for `link_state`.
        cancel: Ends the walk.
    """

    def __init__(self, root: Path, *, links: bool = False, cancel: pumas_native.CancelToken | None = None) -> None:
        self._children: dict[int, tuple[int, int]] = {}
        self.kinds = b""
        self.states = b""
        self.problems: list[tuple[str, str]] = []
        if not root.is_dir():
            return
        with native_errors():
            self._tree = pumas_native.scan_tree(root, names_only=True, links=links, cancel=cancel)
        self.kinds = self._tree.kinds
        self.states = self._tree.link_states
        self.problems = [(str(path), reason) for path, reason in self._tree.problems]
        self._find_children()

    def _find_children(self) -> None:
        # The children of one folder stand together, in order of the bytes of their names.
        parents = memoryview(self._tree.parents).cast("I")
        start = 1
        while start < len(parents):
            parent = parents[start]
            end = start + 1
            while end < len(parents) and parents[end] == parent:
                end += 1
            self._children[parent] = (start, end)
            start = end

    def find(self, path: str) -> int | None:
        """The entry at a path below the root, `/` between parts; None where there is none."""
        at = 0
        if not self.kinds:
            return None
        for part in path.split("/"):
            found = self._child(at, part)
            if found is None:
                return None
            at = found
        return at

    def _child(self, folder: int, name: str) -> int | None:
        low, end = self._children.get(folder, (0, 0))
        high = end
        wanted = name.encode("utf-8", "surrogateescape")
        while low < high:
            middle = (low + high) // 2
            if self._tree.name(middle).encode() < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < end and self._tree.name(low) == name else None

    def links(self) -> Iterator[int]:
        """The entries that are links."""
        at = self.kinds.find(b"l")
        while at >= 0:
            yield at
            at = self.kinds.find(b"l", at + 1)

    def files_below(self, folder: int, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Files and links below a folder, by path below it, in order of the names of each folder."""
        start, end = self._children.get(folder, (0, 0))
        for entry in range(start, end):
            name = f"{prefix}{self._tree.name(entry)}"
            if self.kinds[entry] == FOLDER:
                yield from self.files_below(entry, f"{name}/")
            elif self.kinds[entry] in (FILE, LINK):
                yield name, entry

    def path(self, entry: int) -> str:
        """Path of an entry below the root, `/` between parts."""
        return self._tree.path(entry)

    def name(self, entry: int) -> str:
        """Last part of the path of an entry."""
        return self._tree.name(entry)
