"""A folder tree walked once, and asked about single paths; nothing on the disk is touched again.

It stays in the columns of the native walk: a tree of half a million entries takes no Python object for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        links: Whether it is asked for `states`.
        cancel: Ends the walk.
    """

    def __init__(self, root: Path, *, links: bool = False, cancel: pumas_native.CancelToken | None = None) -> None:
        self.kinds = b""
        self.states = b""
        """What each link comes to; see `BROKEN`."""
        if root.is_dir():
            with native_errors():
                self._tree = pumas_native.scan_tree(root, names_only=True, link_states=links, cancel=cancel)
            self.kinds = self._tree.kinds
            self.states = self._tree.link_states

    def find(self, paths: Sequence[str]) -> Sequence[int]:
        """For each path below the root, `/` between parts: its entry; 0 where there is none."""
        return memoryview(self._tree.find(paths)).cast("I") if self.kinds else bytes(len(paths))

    def links(self) -> Iterator[int]:
        """The entries that are links."""
        at = self.kinds.find(b"l")
        while at >= 0:
            yield at
            at = self.kinds.find(b"l", at + 1)

    def path(self, entry: int) -> str:
        """Path of an entry below the root, `/` between parts."""
        return self._tree.path(entry)

    def files(self) -> list[tuple[str, int]]:
        """Files and links, by their path below the root."""
        return self._files({0: ("", "")}, [""])[""] if self.kinds else []

    def files_by_folder(self, folders: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
        """Files and links below each of some folders, by their path below it.

        Args:
            folders: Paths below the root; none lies in another.
        """
        entries = zip(folders, self.find(folders), strict=True)
        return self._files({entry: (folder, "") for folder, entry in entries if entry}, folders)

    def _files(self, places: dict[int, tuple[str, str]], folders: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
        """`places` says by entry of a folder which of `folders` it belongs to, and how paths in it begin."""
        found: dict[str, list[tuple[str, int]]] = {folder: [] for folder in folders}
        parents = memoryview(self._tree.parents).cast("I") if self.kinds else ()
        for entry in range(1, len(parents)):  # folders stand before what they hold
            place = places.get(parents[entry])
            if place is None:
                continue
            folder, prefix = place
            kind = self.kinds[entry]
            if kind == FOLDER:
                places[entry] = (folder, f"{prefix}{self._tree.name(entry)}/")
            elif kind in (FILE, LINK):
                found[folder].append((f"{prefix}{self._tree.name(entry)}", entry))
        return found
