r"""The journal of imports: what is to be known of them when the process ends in the middle.

    {lib}/.pumas/imports/<id>.jsonl   one import or batch that has not come to its end; a JSON object a line, ASCII
    {lib}/.pumas/imports/<id>.lock    held while its process lives
    {lib}/<type>/<family>/.tmp_import_<name>.<id>-<number>/    a model while it is made, its *work folder*

    {"form": 1, "begun_at": "..."}
    {"model": 0, "mode": "move", "work": "llm/a/.tmp_import_A.<id>-0", "final": "llm/a/A", "folder": "/in/A",
     "links": [], "files": [{"source": "/in/A/a.gguf", "target": "a.gguf", "inode": 7, "size_bytes": 96, "mtime_ns": 1,
     "ctime_ns": 2, "is_near": true, "is_taken": true}]}
    {"model": 0, "copied": ["<sha256 of each file>"]}   its files were copied, and read again from the drive
    {"model": 0, "final": "llm/a/A-2"}                  the name was taken: this one is tried next
    {"model": 0, "done": true}                          nothing is left to do, or to undo

Paths of sources are absolute, bytes that are no UTF-8 are lone surrogates (`\udc80`); all others are below the library.
`is_near`: source and library are on one device, so that `inode` names the same file wherever it was renamed to.
`is_taken`: the source is to go (mode `move`, and no link was followed to it inside a folder).

The order of steps; each *synced* step is on disk before the next one begins:

    1  plan      nothing is written
    2  journal   the model's line, synced
    3  work      its work folder is made, its parent synced
    4  place     each file to its place below the work folder: renamed, linked, or copied under `.<number>.part`,
                 synced, renamed to its name. Any other name holds a whole file
    5  digest    whatever was not copied is digested, or left to a job (`digests_due`)
    6  copied    a move to another drive: the copies are read again from the drive, then the line `copied`, synced
    7  document  `overrides.json`, then `metadata.json`, both synced; then the folders below and the work folder itself
    8  rename    work folder → final name, replacing nothing; when it is taken, a line `final` first, synced. Then the
                 parent is synced
    9  remove    a move to another drive: each source that is still what was copied is deleted. Then links that lead
                 nowhere now, then folders that are empty now
    10 done      the line `done`; the journal and its lock are deleted with the last model

Where a source file is, whenever the process is killed:

    before 4            at its place
    in 4 to 7           at its place, or, of a move on one drive, below the work folder: a rename is one step
    in 8                below the work folder, or the final one: the rename of a folder is one step
    in 9                on another drive at its place, or deleted: what 6 and 7 synced lies in the final folder

What the next start does (`import_recovery.settle`), told from what lies on the disk:

    work folder, with a document and all files     8, 9, 10
    work folder, else                              undo: what was renamed goes back, what was copied or linked is
                                                   deleted if its source is at its place; then the folder
    no work folder, the final one                  9, 10
    neither                                        nothing was begun, or nothing is left: 10

Undoing replaces nothing and deletes no file whose source is not at its place: it stays where it is, the journal stays,
and every start tells where, until somebody has made room. A failure before 8 is undone in the same way at once, the
document being deleted first. Every step may be done again: a process that is killed while it settles is settled by the
next one.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from pumas.errors import PumasError, system_errors
from pumas.models import ImportMode
from pumas.store.documents import sync_folder
from pumas.store.paths import Layout
from pumas.store.times import TimeForm, format_time

if TYPE_CHECKING:
    import filelock

WORK = ".tmp_import_"
"""Beginning of the name of a work folder."""

_FORM = 1
_MAX_LINE_BYTES = 256 * 1024 * 1024  # a folder of a million files stays below


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file of a model: where it comes from, and where it goes."""

    source: str
    target: str
    """Below the model's folder, `/` between parts."""
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    is_near: bool
    """Whether it lies on the library's device."""
    is_taken: bool
    """Whether it is to be gone from its place in the end."""


@dataclass(slots=True)
class Entry:
    """One model of a journal."""

    model: int
    mode: ImportMode
    work: str
    final: str
    files: tuple[PlannedFile, ...]
    folder: str | None = None
    """The folder that was imported; None for a single file."""
    links: tuple[str, ...] = ()
    """Links that a move may leave without their target."""
    copied: tuple[str, ...] | None = None
    is_done: bool = False

    @property
    def wanted(self) -> str:
        """The final name that is taken if nothing lies there."""
        folder, _, name = self.work.rpartition("/")
        return f"{folder}/{name.removeprefix(WORK).rpartition('.')[0]}"


@dataclass(slots=True)
class Journal:
    """One journal; the process that has it open holds its lock."""

    path: Path
    _lock: filelock.BaseFileLock
    entries: dict[int, Entry] = field(default_factory=dict)

    @classmethod
    def begin(cls, layout: Layout) -> Self:
        """Make a journal without models.

        Raises:
            Unavailable, NoSpace: It can't be written.
        """
        folder = journals_of(layout)
        path = folder / f"{uuid.uuid4().hex}.jsonl"
        with system_errors("Writing the journal of the import"):
            folder.mkdir(parents=True, exist_ok=True)
            lock = _lock_of(path)
            lock.acquire()
            journal = cls(path, lock)
            try:
                journal._append([{"form": _FORM, "begun_at": format_time(datetime.now(UTC), TimeForm.ZULU)}])
                sync_folder(folder)
            except BaseException:
                journal.end()
                raise
        return journal

    @property
    def id(self) -> str:
        """Part of the names of its work folders."""
        return self.path.stem

    def add(self, entries: Sequence[Entry]) -> None:
        """Note models before anything is done for them (step 2)."""
        lines = [
            {
                "model": entry.model,
                "mode": entry.mode,
                "work": entry.work,
                "final": entry.final,
                "folder": entry.folder,
                "links": entry.links,
                "files": [
                    {
                        name: getattr(file, name) for name in PlannedFile.__slots__
                    }  # asdict copies deeply: 20 times slower
                    for file in entry.files
                ],
            }
            for entry in entries
        ]
        self.entries.update((entry.model, entry) for entry in entries)
        self._append(lines)

    def note_copied(self, entry: Entry, digests: Sequence[str]) -> None:
        """Note that a model's files were copied and read again (step 6)."""
        entry.copied = tuple(digests)
        self._append([{"model": entry.model, "copied": entry.copied}])

    def note_final(self, entries: Sequence[Entry]) -> None:
        """Note the names that are tried next (step 8)."""
        self._append([{"model": entry.model, "final": entry.final} for entry in entries])

    def note_done(self, entries: Sequence[Entry]) -> None:
        """Note that nothing is left to do for models; not synced, since doing it again does no harm."""
        for entry in entries:
            entry.is_done = True
        with suppress(PumasError):  # on a full drive the next start finds out by itself
            self._append([{"model": entry.model, "done": True} for entry in entries], is_synced=False)

    def end(self) -> None:
        """Release the journal; it is deleted if nothing is left to do."""
        with suppress(OSError):
            if all(entry.is_done for entry in self.entries.values()):
                self.path.unlink(missing_ok=True)
                # Before it is released: whoever locks it then finds no journal, and a new one has another name.
                Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def _append(self, lines: Sequence[Mapping[str, object]], *, is_synced: bool = True) -> None:
        data = "".join(f"{json.dumps(line)}\n" for line in lines).encode("ascii")
        with system_errors("Writing the journal of the import"), self.path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                _write_all(file.fileno(), data)
                if is_synced:
                    os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):  # half a line would hide those behind it
                    file.truncate(size)
                raise


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def journals_of(layout: Layout) -> Path:
    """The folder of journals."""
    return layout.library / ".pumas" / "imports"


def left_journals(layout: Layout) -> list[Path]:
    """Journals of imports that run, or were interrupted; oldest first."""
    try:
        found = [(path.stat().st_mtime_ns, path) for path in journals_of(layout).glob("*.jsonl")]
    except OSError:
        return []
    return [path for _, path in sorted(found)]


def take_over(path: Path) -> Journal | None:
    """Open the journal of an import that was interrupted; None when its process lives, or it is gone by now.

    Raises:
        Unavailable: It can't be read, or written.
        Damaged: It holds no journal.
    """
    import filelock  # noqa: PLC0415 - 40 ms that only a writer pays

    lock = _lock_of(path)
    with system_errors("Taking over the journal of an import"):
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return None
        try:
            entries, length = _read(path)
            os.truncate(path, length)  # what is written next does not stand behind half a line
        except FileNotFoundError:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()
            return None
        except BaseException:
            lock.release()
            raise
    return Journal(path, lock, {entry.model: entry for entry in entries})


def _lock_of(path: Path) -> filelock.BaseFileLock:
    import filelock  # noqa: PLC0415 - as above

    return filelock.FileLock(path.with_suffix(".lock"), fallback_to_soft=False)


def read_entries(path: Path) -> list[Entry]:
    """The models of a journal, with what was noted of them; a last line that was cut is none.

    Raises:
        OSError: It can't be read.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[list[Entry], int]:
    """The models, and where the last whole line ends."""
    entries: dict[int, Entry] = {}
    length = 0
    for line, length in _lines(path):  # noqa: B007 - the last one is wanted
        number = line.get("model")
        if not isinstance(number, int):
            continue
        entry = entries.get(number)
        if entry is None:
            with suppress(msgspec.ValidationError):
                entries[number] = msgspec.convert(line, Entry)
            continue
        if isinstance(line.get("copied"), list):
            entry.copied = tuple(map(str, line["copied"]))
        if isinstance(line.get("final"), str):
            entry.final = line["final"]
        entry.is_done = entry.is_done or line.get("done") is True
    return list(entries.values()), length


def _lines(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    with path.open("rb") as file:
        while line := file.readline(_MAX_LINE_BYTES):
            if not line.endswith(b"\n"):
                return
            try:
                value = json.loads(line)  # not msgspec: it takes no lone surrogates
            except (ValueError, RecursionError):
                return
            if isinstance(value, dict):
                yield value, file.tell()
