"""Whether links are sound, and removing those that are not (`library.md` §10).

A row is broken if, whichever holds first, nothing lies at its target, a link there leads nowhere, or the file of the
model is gone. An orphan is a link in the models folder of a version that no row tells of. Rows are joined to one walk
of each models folder and one of the library: no link is looked at by itself.

Only links that are what their row says are ever unlinked, and of orphans those that lead into the library; a row whose
target lies outside the launcher root belongs to another place, and nothing is done at that.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pumas_native

from pumas.errors import shown, system_errors
from pumas.linked import BrokenLink, CleanReport, Link, LinkHealth
from pumas.links.places import Places, is_in_reach, is_inside, is_of_library, models_folder_of
from pumas.links.registry import LinkRegistry, rows_leading_to
from pumas.links.steps import removal_of, settle_left, taken_away
from pumas.links.targets import is_linked, link_text
from pumas.links.walk import BROKEN, WalkedTree
from pumas.store.metadata import METADATA
from pumas.store.paths import Layout, has_file

_Reason = Literal["target_missing", "leads_nowhere", "source_missing"]
_Row = tuple[int, str, str, str, int]
_ROWS = 10_000  # joined at once
# PERF: in the order of the table; by target, each row would be looked up for itself (bench_links).
_ROWS_OF_ALL = "SELECT link_id, model_id, source_path, target_path, is_external FROM links"


def check_links(layout: Layout, models: Path | None, *, cancel: pumas_native.CancelToken | None = None) -> LinkHealth:
    """Check all rows of the register, and the links in one models folder.

    Args:
        layout: The root.
        models: The models folder whose orphans are looked for; it need not exist.
        cancel: Looked at between folders.

    Raises:
        Damaged: The register is damaged.
        Unavailable: It, or a folder, can't be read.
    """
    found = _Check(layout, models, cancel)
    LinkRegistry(layout.library).read(found.join, missing=None)
    return LinkHealth(
        total_count=found.total,
        broken=tuple(sorted(found.broken, key=lambda one: one.link_id)),
        orphans=tuple(found.orphans()),
        external_count=found.external,
        foreign_count=found.foreign,
    )


@dataclass
class _Check:
    layout: Layout
    models: Path | None
    cancel: pumas_native.CancelToken | None
    broken: list[BrokenLink] = field(default_factory=list)
    total: int = 0
    external: int = 0
    foreign: int = 0

    def __post_init__(self) -> None:
        self._trees: dict[str, WalkedTree] = {}
        self._library = WalkedTree(self.layout.library, cancel=self.cancel)
        self._registered = bytearray()
        self._real: dict[str, str] = {}
        self._real_models = "" if self.models is None else os.path.realpath(self.models)
        if self.models is not None:
            self._registered = bytearray(len(self._tree(str(self.models)).kinds))

    def _tree(self, folder: str) -> WalkedTree:
        if folder not in self._trees:
            self._trees[folder] = WalkedTree(Path(folder), links=True, cancel=self.cancel)
        return self._trees[folder]

    def join(self, db: sqlite3.Connection) -> None:
        """Compare each row with what was walked; may be begun again."""
        self.broken, self.total, self.external, self.foreign = [], 0, 0, 0
        cursor = db.execute(_ROWS_OF_ALL)
        while rows := cursor.fetchmany(_ROWS):
            self.total += len(rows)
            self.external += sum(1 for row in rows if row[4])
            by_folder: dict[str | None, list[_Row]] = {}
            folder, prefix = None, "\0"
            for row in rows:
                # Those made together stand together: the folder is mostly that of the row before.
                if not row[3].startswith(prefix):
                    folder = self._folder(row[3])
                    prefix = "\0" if folder is None else f"{folder}{os.sep}"
                by_folder.setdefault(folder, []).append(row)
            for folder, some in by_folder.items():
                if folder is None:
                    self._join_others(some)
                else:
                    self._join_folder(folder, some)

    def _folder(self, target: str) -> str | None:
        """The walked folder that a target lies in, as it is written."""
        if self.models is not None and target.startswith(f"{self.models}{os.sep}"):
            return str(self.models)
        return None if "\0" in target else models_folder_of(self.layout, target)

    def _join_folder(self, folder: str, rows: Sequence[_Row]) -> None:
        tree = self._tree(folder)
        start = len(folder) + 1
        entries = tree.find([row[3][start:] for row in rows])
        sources = self._sources(rows)
        is_asked = folder == str(self.models)
        if not is_asked and self._shares_place(folder):
            for row in rows:
                self._mark_alias(row[3])
        for row, entry, is_there in zip(rows, entries, sources, strict=True):
            if is_asked and entry:
                self._registered[entry] = 1
            if not entry:  # it may lie behind a link, which the walk does not follow
                self._add(row, None if os.path.lexists(row[3]) else "target_missing")
            elif tree.states[entry] in BROKEN:
                self._add(row, "leads_nowhere")
            elif not is_there and not os.path.exists(row[2]):
                self._add(row, "source_missing")

    def _shares_place(self, folder: str) -> bool:
        """Whether the folder of another version is the one asked about, or lies in it, or holds it."""
        if self.models is None:
            return False
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        real = self._real[folder]
        return is_inside(real, self._real_models) or is_inside(self._real_models, real)

    def _sources(self, rows: Sequence[_Row]) -> Sequence[int]:
        """For each row the entry of its source in the library, 0 where that has none."""
        library = f"{self.layout.library}{os.sep}"
        start = len(library)
        return self._library.find([row[2][start:] if row[2].startswith(library) else "" for row in rows])

    def _join_others(self, rows: Sequence[_Row]) -> None:
        for row in rows:
            target = row[3]
            if not is_inside(target, str(self.layout.root)):
                self.foreign += 1
            self._mark_alias(target)
            self._add(row, _looked_at(row[2], target))

    def _mark_alias(self, target: str) -> None:
        """A row may name the models folder otherwise, by a link above it: its link must not pass for an orphan."""
        if self.models is None or "\0" in target:
            return
        parent, _, name = target.rpartition(os.sep)
        if parent not in self._real:
            self._real[parent] = os.path.realpath(parent)
        real = self._real[parent]
        if is_inside(real, self._real_models):
            below = os.path.relpath(f"{real}/{name}", self._real_models)
            entry = self._tree(str(self.models)).find([below])[0]
            if entry:
                self._registered[entry] = 1

    def _add(self, row: _Row, reason: _Reason | None) -> None:
        if reason is not None:
            link_id, model_id, source, target, _ = row
            self.broken.append(
                BrokenLink(link_id=link_id, target_path=target, source_path=source, model_id=model_id, reason=reason)
            )

    def orphans(self) -> Iterator[str]:
        """Links that no row tells of."""
        if self.models is None:
            return
        tree = self._tree(str(self.models))
        paths = (tree.path(entry) for entry in tree.links() if not self._registered[entry])
        yield from sorted(f"{self.models}/{path}" for path in paths)


def _looked_at(source: str, target: str) -> _Reason | None:
    if not os.path.lexists(target):
        return "target_missing"
    if os.path.islink(target) and not os.path.exists(target):
        return "leads_nowhere"
    return None if os.path.exists(source) else "source_missing"


def clean_links(layout: Layout) -> CleanReport:
    """Remove broken links that are what their row says, and the rows of all that are broken.

    Raises:
        Damaged, Unavailable, NoSpace: The register can't be read or written; nothing was done then.
    """
    registry = LinkRegistry(layout.library)
    if not registry.path.exists():
        return CleanReport(removed=0)
    with registry.changes() as changes:
        settle_left(changes, layout)
        broken = {one.link_id for one in check_links(layout, None).broken}
        rows = [row for row in changes.rows() if row.link_id in broken] if broken else []
        if rows:
            changes.back_up()
        return _remove(layout, rows, changes.forget)


def remove_links_of(layout: Layout, model_id: str) -> CleanReport:
    """Remove the links to a model, and all its rows; what lies at a target and is no link of ours stays.

    Raises:
        Damaged, Unavailable, NoSpace: The register can't be read or written; nothing was done then.
    """
    registry = LinkRegistry(layout.library)
    folder = _folder_of(layout, model_id)
    if not registry.read(lambda db: rows_leading_to(db, model_id, folder), missing=list[Link]()):
        return CleanReport(removed=0)
    with registry.changes() as changes:
        settle_left(changes, layout)
        return _remove(layout, changes.read(lambda db: rows_leading_to(db, model_id, folder)), changes.forget)


@contextmanager
def without_links_of(layout: Layout, model_id: str) -> Iterator[None]:
    """Have a model no links and no rows from now on, if what is done meanwhile succeeds; else they are as they were.

    Nobody else changes links meanwhile: none comes to a model that is just being moved away.

    Raises:
        Conflict: Something else lies at a target now; all links are as they were.
        Damaged, Unavailable, NoSpace: The register can't be read or written, or a link can't be removed; likewise.
    """
    registry = LinkRegistry(layout.library)
    if not registry.path.exists():
        yield
        return
    with registry.changes() as changes:
        settle_left(changes, layout)
        folder = _folder_of(layout, model_id)
        rows = changes.read(lambda db: rows_leading_to(db, model_id, folder))
        with system_errors("Looking at the links of the model"):
            ours = [row for row in rows if _may_go(layout, row)]
        intents = [removal_of(row.target_path, link_text(row.target_path)) for row in ours]
        with taken_away(changes, layout, intents, [row.link_id for row in rows]):
            yield


def _folder_of(layout: Layout, model_id: str) -> str | None:
    """The folder of a model; None of what is no model: the library, or a folder with many of them."""
    folder = layout.library / model_id
    is_id = bool(model_id) and str(folder) == f"{layout.library}{os.sep}{model_id.replace('/', os.sep)}"
    return str(folder) if is_id and ".." not in folder.parts and has_file(folder / METADATA.file) else None


def _remove(layout: Layout, rows: Sequence[Link], forget: Callable[[Sequence[int]], None]) -> CleanReport:
    """Unlink what is ours, then forget the rows: a row whose link is gone already is forgotten the next time."""
    removed, problems, done = 0, [], list[int]()
    for row in rows:
        try:
            if _may_go(layout, row):
                os.unlink(row.target_path)
        except FileNotFoundError:
            pass
        except OSError as exc:
            problems.append(f"{shown(row.target_path)} could not be removed: {exc.strerror}")
            continue
        removed += not os.path.lexists(row.target_path)
        done.append(row.link_id)
    forget(done)
    return CleanReport(removed=removed, forgotten=len(done), problems=tuple(problems))


def _may_go(layout: Layout, row: Link) -> bool:
    # SECURITY: of a file that calls itself its source nothing would be left.
    is_safe = row.link_type == "symlink" or is_of_library(layout, row.source_path)
    if not is_safe or not is_in_reach(layout, row.target_path):
        return False
    with suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(row.target_path)  # raises where it can't be looked at: that isn't nothing
    return is_linked(row)


def remove_orphans(layout: Layout, models: Path) -> CleanReport:
    """Remove links in a models folder that lead into the library and that no row tells of; all others stay.

    Raises:
        Damaged, Unavailable, NoSpace: The register, or the folder, can't be read; nothing was done then.
    """
    removed, problems = 0, []
    places = Places(layout.library, models)
    with LinkRegistry(layout.library).changes() as changes:
        settle_left(changes, layout)
        for target in check_links(layout, models).orphans:
            text = link_text(target)
            if text is None or not places.holds(target) or not places.leads_into_library(target, text):
                continue
            try:
                os.unlink(target)
            except OSError as exc:
                problems.append(f"{shown(target)} could not be removed: {exc.strerror}")
            else:
                removed += 1
    return CleanReport(removed=removed, problems=tuple(problems))
