"""What lies about in library and `launcher-data`: halves of writes, imports that never ended, files set aside.

Left alone: hidden folders (downloads, locks, the cache), the quarantine, what lies inside a model's folder, and every
file that is no document. Nothing here writes.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pumas.models import Finding
from pumas.store.documents import LEFTOVER
from pumas.store.findings import note, unreadable_folder
from pumas.store.health import examine_document
from pumas.store.metadata import METADATA, OVERRIDES, has_backups
from pumas.store.paths import Layout
from pumas.store.removal import quarantine_of

_SET_ASIDE = re.compile(r".+\.(?:damaged|kept)-\d{8}T\d{12}Z(?:-wal|-shm)?")
_JOURNALED = re.compile(r"\.tmp_import_.+\.(?P<journal>[0-9a-f]{32})-\d+")
_ENDINGS = (".tmp", "Z", "Z-wal", "Z-shm")  # PERF: most names are sorted out by these
_OWN_AGE_S = 60.0  # a temporary file with our own number, this old, was left by a process that had it before us
_SCRATCH_AGE_S = 86_400.0  # a process that runs may use a younger one


def examine_tree(layout: Layout) -> Iterator[Finding]:
    """The user's settings of every model, and what lies about beside the documents."""
    yield from _Walk(layout.library, frozenset({METADATA.file, OVERRIDES.file})).findings()
    yield from _Walk(layout.data, None, left_out=quarantine_of(layout)).findings()


class _Walk:
    """One walk through a tree; holds the folders that are still to be entered."""

    def __init__(self, top: Path, documents: frozenset[str] | None, *, left_out: Path | None = None) -> None:
        self._top = str(top)
        self._documents = documents  # None = every name with .json
        self._left_out = str(left_out)
        self._processes = _Processes()
        # PERF: plain strings; with a Path for each of 10,000 models this takes twice as long.
        self._folders = [self._top]

    def findings(self) -> Iterator[Finding]:
        while self._folders:
            folder = self._folders.pop()
            try:
                with os.scandir(folder) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                if folder != self._top:  # told with the folders that every root has
                    yield unreadable_folder(Path(folder))
                continue
            yield from self._examine(folder, entries)

    def _examine(self, folder: str, entries: list[os.DirEntry[str]]) -> Iterator[Finding]:
        names = {entry.name for entry in entries}
        is_model = self._documents is not None and METADATA.file in names and folder != self._top
        if is_model and OVERRIDES.file in names:
            yield from examine_document(Path(folder, OVERRIDES.file), has_backup=True)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if is_model and entry.name == METADATA.file:  # no survey sees it: to them it is a folder like others
                    yield from examine_document(Path(entry.path), has_backup=True)
                yield from self._examine_import(entry)
                if not (is_model or entry.name.startswith(".") or entry.path == self._left_out):
                    self._folders.append(entry.path)
            elif entry.name.endswith(_ENDINGS):
                yield from self._examine_left(entry)
            elif entry.name.endswith(".json.bak") and entry.name.removesuffix(".bak") not in names:
                yield from self._examine_orphan(Path(entry.path))

    def _examine_import(self, entry: os.DirEntry[str]) -> Iterator[Finding]:
        if not entry.name.startswith(".tmp_import_"):
            return
        found = _JOURNALED.fullmatch(entry.name)
        if found and Path(self._top, ".pumas", "imports", f"{found['journal']}.jsonl").exists():
            return  # told with its journal, which says what became of its files
        remedy = "If no import is running, move the model files out of it, then delete it; it is not shown as a model."
        yield note("import_left", Path(entry.path), what="an import began here and has not ended", remedy=remedy)

    def _examine_orphan(self, backup: Path) -> Iterator[Finding]:
        name = backup.name.removesuffix(".bak")
        what = "this backup has no document any more"
        if self._documents is None:
            if not has_backups(backup.with_name(name).relative_to(self._top)):
                return
        elif name == METADATA.file:
            what += ", so that its folder is not shown as a model"
        elif name not in self._documents:
            return
        remedy = f"If what it held is missed, copy this file to {name} beside it."
        yield note("document_missing", backup, what=what, remedy=remedy)

    def _examine_left(self, entry: os.DirEntry[str]) -> Iterator[Finding]:
        path = Path(entry.path)
        found = LEFTOVER.fullmatch(entry.name)
        if found and (self._documents is None or found["document"] in self._documents):
            if not self._processes.is_writing(int(found["process"]), path):
                yield note(
                    "leftover",
                    path,
                    what="a process that was killed left this half of a write",
                    remedy="`pumas doctor --fix` moves it to the quarantine.",
                    is_repairable=True,
                )
        elif _SET_ASIDE.fullmatch(entry.name):
            remedy = "Look whether anything in it is missed, then delete it."
            yield note(
                "set_aside",
                path,
                what="a damaged file, or a backup without its document, was set aside here",
                remedy=remedy,
            )


def examine_scratch() -> Iterator[Finding]:
    """Indexes that were made for one run of a process that was killed."""
    try:
        with os.scandir(tempfile.gettempdir()) as entries:
            old = [Path(entry.path) for entry in entries if entry.name.startswith("pumas-index-") and _is_old(entry)]
    except OSError:
        return
    for folder in sorted(old):
        remedy = "Delete it if no Pumas of yours has been running since then."
        yield note("scratch_left", folder, what="a process that was killed left this index behind", remedy=remedy)


def _is_old(entry: os.DirEntry[str]) -> bool:
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > _SCRATCH_AGE_S


class _Processes:
    """Which processes live, each looked up once."""

    def __init__(self) -> None:
        self._alive: dict[int, bool] = {}

    def is_writing(self, number: int, path: Path) -> bool:
        """Whether the process that made a temporary file may still be at it."""
        if number == os.getpid():
            # In a container every process of ours may have had this number.
            try:
                return abs(time.time() - path.lstat().st_mtime) < _OWN_AGE_S
            except OSError:
                return True
        if number not in self._alive:
            import psutil  # noqa: PLC0415 - 15 ms that only a root with leftovers pays

            self._alive[number] = psutil.pid_exists(number)
        return self._alive[number]


def is_abandoned(path: Path) -> bool:
    """Whether a temporary file of a document belongs to no process any more."""
    found = LEFTOVER.fullmatch(path.name)
    return found is not None and not _Processes().is_writing(int(found["process"]), path)


def document_of_leftover(path: Path) -> Path:
    """The document that a temporary file was to become, or the backup of."""
    found = LEFTOVER.fullmatch(path.name)
    return path.with_name(found["document"]) if found else path
