r"""The journal of imports: what is to be known of them when the process ends in the middle.

    {lib}/.pumas/imports/<id>.jsonl   one import or batch that has not come to its end; a JSON object a line, ASCII;
                                      the id is 32 hexadecimal digits
    {lib}/.pumas/imports/<id>.lock    held while its process lives
    {lib}/<type>/<family>/.tmp_import_<name>.<id>-<number>/    a model while it is made, its *work folder*

    {"form": 1, "begun_at": "..."}
    {"model": 0, "mode": "move", "work": "llm/a/.tmp_import_A.<id>-0", "final": "llm/a/A", "folder": "/in/A",
     "links": [], "files": [{"source": "/in/A/a.gguf", "target": "a.gguf", "inode": 7, "size_bytes": 96, "mtime_ns": 1,
     "ctime_ns": 2, "is_near": true, "is_taken": true}]}
    {"model": 0, "copied": ["<sha256 of each file>"]}   its files were copied, and read again from the drive
    {"model": 0, "final": "llm/a/A-2"}                  the name was taken: this one is tried next
    {"model": 0, "done": true}                          nothing is left to do, or to undo

Each line ends with `"signature"`, made of the journal's id and the line without it by the key of its user (`user_key`).
A library may come from somebody else, with its journals: what others wrote moves and deletes nothing outside of it.
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
and every start tells where, until somebody has made room. So it is with what others wrote (it is not undone, and 9 is
left out) and with lines that can't be read. A failure before 8 is undone in the same way at once, the
document being deleted first. Every step may be done again: a process that is killed while it settles is settled by the
next one.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from pumas.errors import Damaged, PumasError, shown, system_errors
from pumas.models import ImportMode
from pumas.store.documents import made_own_folder, sync_folder
from pumas.store.locks import refuse_odd_lock
from pumas.store.paths import Layout
from pumas.store.times import TimeForm, format_time
from pumas.store.user_key import is_signed, sign, user_key

if TYPE_CHECKING:
    import filelock

WORK = ".tmp_import_"
"""Beginning of the name of a work folder."""

_FORM = 1
_MAX_LINE_BYTES = 256 * 1024 * 1024  # a folder of a million files stays below
_IMPORTS = "imports"
_NAME = re.compile(r"[0-9a-f]{32}\.jsonl")


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
    is_ours: bool = False
    """Whether this user wrote its line."""

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
    _key: bytes | None
    entries: dict[int, Entry] = field(default_factory=dict)
    unread_lines: int = 0
    """How many of its lines can't be read; with any it stays."""

    @classmethod
    def begin(cls, layout: Layout) -> Self:
        """Make a journal without models.

        Raises:
            Unavailable, NoSpace: It can't be written.
        """
        with system_errors("Writing the journal of the import"):
            folder = made_own_folder(layout.library, _IMPORTS)
            path = folder / f"{uuid.uuid4().hex}.jsonl"
            lock = _lock_of(path)
            lock.acquire()
            journal = cls(path, lock, user_key())
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
            if not self.unread_lines and all(entry.is_done for entry in self.entries.values()):
                self.path.unlink(missing_ok=True)
                # Before it is released: whoever locks it then finds no journal, and a new one has another name.
                Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def _append(self, lines: Sequence[Mapping[str, object]], *, is_synced: bool = True) -> None:
        data = "".join(_signed_line(self._key, self.id, line) for line in lines).encode("ascii")
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


def _signed_line(key: bytes | None, journal_id: str, line: Mapping[str, object]) -> str:
    text = json.dumps(line)
    return f'{text[:-1]}, "signature": "{sign(key, journal_id + text)}"}}\n'


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def journals_of(layout: Layout) -> Path:
    """The folder of journals."""
    return layout.library / ".pumas" / _IMPORTS


def left_journals(layout: Layout) -> list[Path]:
    """Journals of imports that run, or were interrupted; oldest first."""
    folder = journals_of(layout)
    # SECURITY: a link would have us take files that are no journals for some.
    if folder.is_symlink() or folder.parent.is_symlink():
        return []
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):  # another process has come to its end meanwhile
                    found.append((entry.stat(follow_symlinks=False).st_mtime_ns, folder / entry.name))
    return [path for _, path in sorted(found)]


def take_over(path: Path) -> Journal | None:
    """Open the journal of an import that was interrupted; None when its process lives, or it is gone by now.

    Raises:
        Unavailable: It can't be read, or written.
        Damaged: It has a form that this version does not know.
    """
    import filelock  # noqa: PLC0415 - 40 ms that only a writer pays

    lock = _lock_of(path)
    key = user_key()
    with system_errors("Taking over the journal of an import"):
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return None
        try:
            read = _read(path, key)
            if read.cut_at is not None:
                os.truncate(path, read.cut_at)  # what is written next does not stand behind half a line
        except FileNotFoundError:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()
            return None
        except BaseException:
            lock.release()
            raise
    return Journal(path, lock, key, read.entries, read.unread_lines)


def _lock_of(path: Path) -> filelock.BaseFileLock:
    import filelock  # noqa: PLC0415 - as above

    refuse_odd_lock(path.with_suffix(".lock"))
    return filelock.FileLock(path.with_suffix(".lock"), fallback_to_soft=False)


def read_entries(path: Path) -> tuple[list[Entry], int]:
    """The models of a journal, with what was noted of them, and how many lines can't be read; a cut last one is none.

    Raises:
        OSError: It can't be read.
        Damaged: It has a form that this version does not know.
    """
    read = _read(path, user_key(makes=False))
    return list(read.entries.values()), read.unread_lines


@dataclass(slots=True)
class _Read:
    """What a journal says."""

    entries: dict[int, Entry] = field(default_factory=dict)
    unread_lines: int = 0
    cut_at: int | None = None
    """Where a last line begins that was not written to its end."""


def _read(path: Path, key: bytes | None) -> _Read:
    read = _Read()
    with path.open("rb") as file:
        begin = 0
        while data := file.readline(_MAX_LINE_BYTES):
            if data.endswith(b"\n"):
                line, is_ours = _line_of(data, path.stem, key)
                if begin == 0 and line.get("form", _FORM) != _FORM:
                    raise Damaged(
                        f"Its form is {shown(str(line['form']))}; open the library with the version of Pumas that "
                        "wrote it",
                        path=path,
                    )
                if not _take_up(read.entries, line, is_ours=is_ours):
                    read.unread_lines += 1
            elif len(data) < _MAX_LINE_BYTES:
                read.cut_at = begin
            else:
                read.unread_lines += 1
                break
            begin += len(data)
    return read


def _line_of(data: bytes, journal_id: str, key: bytes | None) -> tuple[dict[str, Any], bool]:
    """A line without its signature, and whether that is ours; an empty one for what is no line."""
    try:
        line = json.loads(data)  # not msgspec: it takes no lone surrogates
        if isinstance(line, dict):
            signature = line.pop("signature", None)
            return line, is_signed(key, journal_id + json.dumps(line), signature)
    except (ValueError, RecursionError):
        pass
    return {}, False


def _take_up(entries: dict[int, Entry], line: Mapping[str, Any], *, is_ours: bool) -> bool:
    """Take up what a line says; False when it says nothing that is known."""
    number = line.get("model")
    if not isinstance(number, int) or isinstance(number, bool):
        return "form" in line
    entry = entries.get(number)
    if entry is None:
        try:
            entry = entries[number] = msgspec.convert(line, Entry)
        except msgspec.ValidationError:
            return False
        entry.is_ours, entry.is_done, entry.copied = is_ours, False, None
        return True
    if entry.is_ours and not is_ours:
        return False
    copied = line.get("copied")
    if isinstance(copied, list) and len(copied) == len(entry.files):
        entry.copied = tuple(map(str, copied))
    elif isinstance(line.get("final"), str):
        entry.final = line["final"]
    elif line.get("done") is True:
        entry.is_done = True
    else:
        return False
    return True
