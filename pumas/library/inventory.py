"""Which files each model has, and their fingerprints: one walk over the library, one stat per file.

A folder that holds a `metadata.json` is a model, with all that lies below it (`storage.md` §4.1). Left out are what is
hidden, and the documents that Pumas itself writes into the folder of a model.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import time_ns

import pumas_native
import xxhash

from pumas.errors import native_errors
from pumas.library.fingerprints import are_settled, pack_fingerprint
from pumas.library.survey import REASONS
from pumas.store.metadata import IN_MODEL, METADATA
from pumas.store.paths import readable

_STAMP_FORM = b"1"  # changes with what goes into a stamp
_FILE, _FOLDER, _LINK = b"fdl"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The place of one model in the walk."""

    model_id: str
    parts: list[tuple[str, int, int]] = field(default_factory=list)
    """Folders of the model: path below it, ending with `/` unless it is empty; first entry; the one behind the last."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a model, or what stands in its place."""

    name: str
    """Below the folder of the model, `/` between parts."""
    fingerprint: bytes
    """As `pumas_native.fingerprint_files` gives it; of a link, its own."""
    is_file: bool
    is_link: bool


class Inventory:
    """The models of a library as one walk found them."""

    def __init__(self, tree: pumas_native.Tree, begun_ns: int) -> None:
        self._begun_ns = begun_ns
        self._names = list(map(tree.name, range(len(tree))))
        self._kinds = tree.kinds
        self._columns = tuple(
            memoryview(column) for column in (tree.inodes, tree.sizes, tree.mtimes_ns, tree.ctimes_ns)
        )
        self._times = self._columns[2].cast("q"), self._columns[3].cast("q")
        self._numbers = self._columns[0].cast("Q"), self._columns[1].cast("Q"), *self._times
        self.problems = [(readable(path), REASONS[reason]) for path, reason in tree.problems if reason != "vanished"]
        """What could not be looked at: path below the library, and why."""
        self.models = {model.model_id: model for model in self._models(tree)}
        """By their ids, in the order of the walk."""

    def _models(self, tree: pumas_native.Tree) -> Iterator[ModelFolder]:
        parents = memoryview(tree.parents).cast("I").tolist()  # ascending: what lies in a folder stands together
        named = (index for index, name in enumerate(self._names) if name == METADATA.file)
        homes = {parents[index] for index in named if self._kinds[index] in (_FILE, _LINK)}
        owners: dict[int, ModelFolder] = {}
        for folder in range(1, len(parents)):
            if self._kinds[folder] != _FOLDER:
                continue
            owner = owners.get(parents[folder])
            if owner is None:
                if folder not in homes:
                    continue
                owner = ModelFolder(tree.path(folder))
                yield owner
            owners[folder] = owner
            below = tree.path(folder)[len(owner.model_id) + 1 :]
            first = bisect_left(parents, folder)
            owner.parts.append((f"{below}/" if below else "", first, bisect_right(parents, folder, first)))

    def entries(self, model: ModelFolder) -> Iterator[Entry]:
        """Files of a model and whatever else is no folder; its documents are left out."""
        for below, first, end in model.parts:
            for index in range(first, end):
                kind, name = self._kinds[index], self._names[index]
                if kind != _FOLDER and (below or name not in IN_MODEL):
                    fingerprint = pack_fingerprint(*(column[index] for column in self._numbers))
                    yield Entry(below + name, fingerprint, is_file=kind == _FILE, is_link=kind == _LINK)

    def has_linked_document(self, model: ModelFolder) -> bool:
        """Whether the document of a model is a link."""
        _, first, end = model.parts[0]
        return self._kinds[self._names.index(METADATA.file, first, end)] == _LINK

    def stamp(self, model: ModelFolder) -> bytes | None:
        """The fingerprints of all that a model has, its documents too, in 16 bytes.

        Returns:
            None when a stamp would say too little: something is a link, or changed less than two seconds ago.
        """
        digest = xxhash.xxh3_128(_STAMP_FORM)
        for below, first, end in model.parts:
            if first == end:
                continue
            kinds = self._kinds[first:end]
            if _LINK in kinds or not all(are_settled(times[first:end], self._begun_ns) for times in self._times):
                return None
            names = "\0".join((below, *self._names[first:end]))
            digest.update(names.encode("utf-8", "surrogatepass") + kinds)
            for column in self._columns:
                digest.update(column[first * 8 : end * 8])
        return digest.digest()


def take_inventory(library: Path, *, cancel: pumas_native.CancelToken | None = None) -> Inventory:
    """Walk the library.

    Raises:
        Unavailable: It can't be listed.
        Cancelled: `cancel` was set.
    """
    begun_ns = time_ns()
    with native_errors():
        tree = pumas_native.scan_tree(library, skip_hidden=True, cancel=cancel)
    return Inventory(tree, begun_ns)
