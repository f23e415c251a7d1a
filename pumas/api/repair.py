"""Repairs of a launcher root that can't cost a user anything; the table is in `examine`.

Each finding is looked at again, under the lock that its file has, before anything is moved: between the examination
and the repair another process may have put things right.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from pumas.errors import InvalidInput, PumasError, Unavailable, system_errors
from pumas.links.registry import LinkRegistry
from pumas.models import Finding, RefreshReport, Repair
from pumas.search.health import examine_index
from pumas.store.cache_health import examined_alone, removable_files
from pumas.store.documents import sync_file, sync_folder
from pumas.store.health import document_at, examine_registry
from pumas.store.leftovers import document_of_leftover, is_abandoned
from pumas.store.link_registry import registry_backup
from pumas.store.locks import document_lock
from pumas.store.metadata import METADATA, restore
from pumas.store.paths import Layout, database_files, has_file, shows_another
from pumas.store.quarantine import kept_of
from pumas.store.reading import Hindered
from pumas.store.removal import Removal

_INDEX_KINDS = frozenset({"index_damaged", "index_missing", "index_behind", "index_search", "index_foreign"})

# What was done, and where what was in the way lies now.
_Done = tuple[str, Path | None]


def repair_root(
    layout: Layout, findings: Sequence[Finding], rebuild_index: Callable[[], RefreshReport]
) -> tuple[Repair, ...]:
    """Repair what can be repaired without a risk; a repair that fails hinders no other.

    Args:
        layout: The root; it need not be open.
        findings: What `examine_root` found.
        rebuild_index: Opens the root, if it is not, and writes the index again. Called last, once or not at all.
    """
    repairer = _Repairer(layout, rebuild_index)
    # Leftovers first: restoring a document would delete those that lie beside it.
    repairable = sorted((one for one in findings if one.is_repairable), key=lambda one: one.kind != "leftover")
    others = [repairer.repair(finding) for finding in repairable if finding.kind not in _INDEX_KINDS]
    wrong = [finding for finding in repairable if finding.kind in _INDEX_KINDS]
    if not wrong and any(repair.is_done and repair.path.name == METADATA.file for repair in others):
        wrong = [_behind(layout)]
    return (*others, *(repairer.repair(finding) for finding in wrong))


def _behind(layout: Layout) -> Finding:
    """The index does not know yet of a document that has just been restored."""
    return Finding(kind="index_behind", severity="note", path=layout.models_db, what="", remedy="", is_repairable=True)


class _Repairer:
    """One run of repairs; they share a folder of the quarantine, and one writing of the index."""

    def __init__(self, layout: Layout, rebuild_index: Callable[[], RefreshReport]) -> None:
        self._layout = layout
        self._removal = Removal(layout)
        self._rebuild_index = rebuild_index
        self._report: RefreshReport | None = None
        self._repairs: dict[str, Callable[[Path], _Done]] = {
            "folder_missing": self._make_folder,
            "document_damaged": self._restore,
            "leftover": self._remove_leftover,
            "cache_damaged": self._remove_cache,
            "registry_damaged": self._restore_registry,
            **dict.fromkeys(_INDEX_KINDS, self._write_index),
            "index_damaged": self._replace_index,
        }

    def repair(self, finding: Finding) -> Repair:
        """Do what can be done about one finding."""
        try:
            told, moved_to = self._repairs[finding.kind](finding.path)
        except PumasError as exc:
            return Repair(kind=finding.kind, path=finding.path, is_done=False, told=str(exc))
        return Repair(kind=finding.kind, path=finding.path, is_done=True, told=told, moved_to=moved_to)

    def _make_folder(self, path: Path) -> _Done:
        with system_errors(f"Making the folder {path.name}"):
            path.mkdir(parents=True, exist_ok=True)
        return "the folder was made", None

    def _restore(self, path: Path) -> _Done:
        document = document_at(self._layout, path)
        if document is None or shows_another(path):
            raise Unavailable("It is no document any more; nothing was done")
        kept_before = set(kept_of(path))
        restore(document)
        told, moved_to = "its backup was put in its place", None
        for kept in sorted(set(kept_of(path)) - kept_before):
            try:
                moved_to = self._removal.move(kept, "a damaged document whose backup was put in its place")
            except PumasError as exc:
                told, moved_to = f"{told}; the damaged bytes stay beside it: {exc}", kept
        return told, moved_to

    def _remove_leftover(self, path: Path) -> _Done:
        with self._locked_document(document_of_leftover(path)):
            if not is_abandoned(path):
                raise Unavailable("A process is writing it; nothing was done")
            return "it was moved to the quarantine", self._removal.move(path, "half of a write of a killed process")

    def _locked_document(self, path: Path) -> ExitStack:
        stack = ExitStack()
        try:
            document = document_at(self._layout, path)
        except InvalidInput:
            document = None
        if document is not None:
            stack.enter_context(document_lock(document.locks, document.lock_name))
        return stack

    def _remove_cache(self, folder: Path) -> _Done:
        moved_to = None
        with examined_alone(folder) as is_alone:
            if not is_alone:
                raise Unavailable("Another process has the cache open; end it and try again")
            for path in removable_files(folder):
                moved_to = self._removal.move(path, "a damaged cache")
        return "it was moved to the quarantine; it fills again by itself", moved_to

    def _restore_registry(self, path: Path) -> _Done:
        self._refuse_read_only()
        with LinkRegistry(self._layout.library).exclusive():
            if not any(finding.kind == "registry_damaged" for finding in examine_registry(path)):
                raise Unavailable("The register is not damaged any more; nothing was done")
            backup = registry_backup(path)
            written_at = datetime.fromtimestamp(backup.stat().st_mtime, UTC).isoformat(timespec="seconds")
            copy = path.with_name(f"{path.name}.{os.getpid()}.tmp")
            with system_errors("Putting the backup of the register in its place"):
                try:
                    shutil.copyfile(backup, copy)
                    sync_file(copy)
                    moved_to = self._removal.move(path, "a damaged register of links")
                    for companion in database_files(path)[1:]:
                        if companion.exists():
                            self._removal.move(companion, "it belongs to a damaged register of links")
                    copy.replace(path)
                    sync_folder(path.parent)
                finally:
                    copy.unlink(missing_ok=True)
        return f"its backup of {written_at} was put in its place", moved_to

    def _replace_index(self, path: Path) -> _Done:
        moved_to = None
        self._refuse_read_only()
        with document_lock(self._layout.library_locks, path.name):
            if self._is_index_damaged(path):
                moved_to = self._removal.move(path, "a damaged index")
                for companion in database_files(path)[1:]:
                    if companion.exists():
                        self._removal.move(companion, "it belongs to a damaged index")
        return self._write_index(path)[0], moved_to

    def _is_index_damaged(self, path: Path) -> bool:
        try:
            # Without documents: only the file itself is judged here.
            return any(finding.kind == "index_damaged" for finding in examine_index(path, lambda: ()))
        except Hindered as exc:
            raise Unavailable(f"The index can't be looked at: {exc}; nothing was done") from exc

    def _write_index(self, _path: Path) -> _Done:
        if self._report is None:
            self._refuse_read_only()
            report = self._rebuild_index()
            if not has_file(self._layout.models_db):
                raise Unavailable("The index could only be made for one run, not in the library; see the log")
            self._report = report
        count = self._report.model_count
        return f"the index was written again: {count} model{'s' if count != 1 else ''}", None

    def _refuse_read_only(self) -> None:
        """An index that can't be written is made in a folder for one run: nothing that lasts."""
        for path in (self._layout.library, self._layout.models_db):
            if os.path.lexists(path) and not os.access(path, os.W_OK):
                raise Unavailable(f"There is no permission to write {path}; the index was not written")
