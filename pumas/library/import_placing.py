"""Steps 3 to 6 of an import (`import_journal`): the files of a model get into its work folder, whole and digested."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final

import pumas_native

from pumas.errors import Cancelled, Conflict, NoSpace, PumasError, Unavailable, native_errors, system_errors
from pumas.library.fingerprints import FINGERPRINT_BYTES
from pumas.library.import_document import PlacedFile
from pumas.library.import_ending import is_unchanged
from pumas.library.import_journal import Entry, PlannedFile
from pumas.library.import_plan import Plan
from pumas.library.import_undo import part_of
from pumas.store.documents import make_folders, sync_folder
from pumas.store.paths import readable

_DIGEST_S: Final = 0.9  # digests that take longer are left to a job
DIGEST_BYTES: Final = 4 << 30  # more than that takes longer on any machine
_NO_LINKS: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})
_NO_REFLINKS: Final = frozenset({errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.ENOSYS})

Digests = tuple[str, str]
"""SHA-256 and BLAKE3, lower-case hex."""


@dataclass(slots=True, eq=False)
class Making:
    """One model on its way into the library."""

    plan: Plan
    entry: Entry
    work: str
    """Its work folder."""
    digests: dict[int, Digests] = field(default_factory=dict)
    """By position of the file."""
    copied: set[int] = field(default_factory=set)
    """Positions of files that are copies, whose sources a move is still to delete."""
    error: PumasError | None = None

    def placed(self, position: int) -> str:
        """Where a file lies in the work folder."""
        return f"{self.work}/{self.entry.files[position].target}"  # PERF: a Path takes 5 us

    def described(self) -> list[PlacedFile]:
        """What its document says of the files."""
        return [
            PlacedFile(
                name=file.target,
                original_name=readable(source.below),
                size_bytes=file.size_bytes,
                mtime_ns=os.lstat(self.placed(position)).st_mtime_ns,
                sha256=self.digests.get(position, ("", ""))[0],
                blake3=self.digests.get(position, ("", ""))[1],
            )
            for position, (file, source) in enumerate(zip(self.entry.files, self.plan.sources.files, strict=True))
        ]


def make_work_folders(makings: Sequence[Making]) -> None:
    """Make the work folders and those below them; their parents are on disk then (step 3)."""
    parents: set[str] = set()
    for making in makings:
        with failing(making, f"Making a folder for {making.plan.official_name}"):
            parent = making.work.rpartition("/")[0]
            _make(making.work, parent, is_there=parent in parents)
            for position, file in enumerate(making.entry.files):
                if "/" in file.target:
                    Path(making.placed(position)).parent.mkdir(parents=True, exist_ok=True)
            parents.add(parent)
    with system_errors("Syncing the library"):
        for parent in parents:
            sync_folder(parent)


def _make(work: str, parent: str, *, is_there: bool) -> None:
    for _ in range(10):
        if not is_there:
            make_folders(Path(parent))
        try:
            os.mkdir(work)  # noqa: PTH102
        except FileNotFoundError:
            is_there = False  # another import, undone at this moment, took the empty folder above it away
        else:
            return
    raise Unavailable(f"The folder {parent} is removed again and again; try again")


@contextmanager
def failing(making: Making, doing: str) -> Iterator[None]:
    """Whatever goes wrong inside is the error of one model; the others go on."""
    try:
        with system_errors(doing):
            yield
    except Cancelled:
        raise
    except PumasError as exc:
        making.error = exc


Told = Callable[[int, Sequence[tuple[Making, int]]], None]
"""Called with the bytes done of what is at work, and the files that are at work."""


def place(makings: Sequence[Making], *, told: Told, cancel: pumas_native.CancelToken) -> None:
    """Bring every file to its place below the work folder of its model (step 4).

    Raises:
        Cancelled: `cancel` was set; what was placed until then is to be undone.
    """
    # Before anything is renamed: a link in a folder may lead to a file that is.
    _copy(_chosen(makings, is_copied), told=told, cancel=cancel)
    late: list[tuple[Making, int]] = []
    for making in makings:
        if cancel.is_cancelled:
            raise Cancelled("The import was cancelled")
        if making.error is None:
            with failing(making, f"Importing {making.plan.sources.name}"):
                late.extend((making, position) for position in _place_without_copying(making))
    _copy([(making, position) for making, position in late if making.error is None], told=told, cancel=cancel)


def _chosen(makings: Sequence[Making], wanted: Callable[[Entry, PlannedFile], bool]) -> list[tuple[Making, int]]:
    return [
        (making, position)
        for making in makings
        if making.error is None
        for position, file in enumerate(making.entry.files)
        if wanted(making.entry, file)
    ]


def is_copied(entry: Entry, file: PlannedFile) -> bool:
    """Whether a file gets into the library as a copy: its bytes are read and written."""
    return entry.mode == "copy" or (entry.mode == "move" and not (file.is_taken and file.is_near))


def _place_without_copying(making: Making) -> Iterator[int]:
    """Place what needs no copying; yields the positions of what has to be copied after all."""
    mode = making.entry.mode
    for position, file in enumerate(making.entry.files):
        if is_copied(making.entry, file):
            continue
        if mode == "move":
            try:
                os.rename(file.source, making.placed(position))  # noqa: PTH104 - nothing lies in a work folder of ours
            except OSError as exc:
                if _is_gone(file, exc):
                    raise _gone(file) from exc
                if exc.errno != errno.EXDEV:  # one device, yet two mounts
                    raise
                yield position
            else:
                _check(file, making.placed(position))
        elif mode == "hardlink":
            _link(file, making.placed(position))
            _check(file, making.placed(position))
        else:
            _reflink(file, making.placed(position))


def _link(file: PlannedFile, target: str) -> None:
    try:
        os.link(file.source, target)
    except OSError as exc:
        if _is_gone(file, exc):
            raise _gone(file) from exc
        if exc.errno in _NO_LINKS:
            raise Conflict(
                f"{file.source} can't get another name in the library by a hard link: {exc.strerror}; choose the mode "
                "`copy`, or a library on the same drive"
            ) from exc
        raise


def _reflink(file: PlannedFile, target: str) -> None:
    for _, error in pumas_native.reflink_files([file.source], [target]):
        if error.errno in _NO_REFLINKS:
            raise Conflict(
                f"The file system can't share the content of {file.source} (reflink): {error.strerror}; choose the "
                "mode `copy`"
            ) from error
        raise error
    if not is_unchanged(file):
        raise _changed(file)


def _check(file: PlannedFile, placed: str) -> None:
    """See that what was renamed or linked is what was planned."""
    state = os.lstat(placed)
    if (state.st_ino, state.st_size, state.st_mtime_ns) != (file.inode, file.size_bytes, file.mtime_ns):
        raise _changed(file)


def _is_gone(file: PlannedFile, error: OSError) -> bool:
    return isinstance(error, FileNotFoundError) and not os.path.lexists(file.source)


def _gone(file: PlannedFile) -> Conflict:
    return Conflict(
        f"{file.source} was moved or deleted while it was imported; nothing was imported, name its new place"
    )


def _changed(file: PlannedFile) -> Conflict:
    return Conflict(f"{file.source} was changed while it was imported; nothing was imported, try again")


def check_space(makings: Sequence[Making], library: Path) -> None:
    """See that the library's drive has room for what is to be copied, before anything is."""
    if not hasattr(os, "statvfs"):
        return
    with system_errors("Looking at the free space"):
        drive = os.statvfs(library)
    left = drive.f_bavail * drive.f_frsize
    for making in makings:
        needed = sum(file.size_bytes for file in making.entry.files if is_copied(making.entry, file))
        if needed > left:
            making.error = NoSpace(
                f"The drive of the library has {left} bytes left, {making.plan.sources.name} needs {needed}; "
                "free some space and try again"
            )
        else:
            left -= needed


def _copy(chosen: Sequence[tuple[Making, int]], *, told: Told, cancel: pumas_native.CancelToken) -> None:
    if not chosen:
        return
    targets = [making.placed(position) for making, position in chosen]
    parts = [part_of(making.work, position) for making, position in chosen]
    with native_errors():
        copies = pumas_native.copy_files(
            [making.entry.files[position].source for making, position in chosen],
            parts,
            progress=lambda done: told(done, chosen),
            cancel=cancel,
        )
    problems = dict(copies.problems)
    sha256, blake3, fingerprints = copies.sha256, copies.blake3, copies.fingerprints
    for number, (making, position) in enumerate(chosen):
        file = making.entry.files[position]
        with failing(making, f"Copying {Path(file.source).name}"):
            if number in problems:
                raise _copy_error(file, problems[number])
            if not _is_planned(file, fingerprints[number * FINGERPRINT_BYTES : (number + 1) * FINGERPRINT_BYTES]):
                raise _changed(file)
            os.rename(parts[number], targets[number])  # noqa: PTH104
            digest = slice(number * 32, number * 32 + 32)
            making.digests[position] = sha256[digest].hex(), blake3[digest].hex()
            making.copied.add(position)


def _copy_error(file: PlannedFile, error: OSError) -> Exception:
    if _is_gone(file, error):
        return _gone(file)
    if isinstance(error, pumas_native.errors.FileChangedError):
        return _changed(file)
    return error


def _is_planned(file: PlannedFile, fingerprint: bytes) -> bool:
    planned = (file.inode, file.size_bytes, file.mtime_ns, file.ctime_ns)
    return fingerprint == b"".join(number.to_bytes(8, "little", signed=number < 0) for number in planned)


def digest(makings: Sequence[Making], *, told: Callable[[int], None], cancel: pumas_native.CancelToken) -> None:
    """Digest what was not copied, if that takes less than a second (step 5); `told` is called with the bytes done.

    Raises:
        Cancelled: `cancel` was set.
    """
    chosen = [
        (making, position)
        for making in makings
        if making.error is None
        for position in range(len(making.entry.files))
        if position not in making.digests
    ]
    if not chosen or sum(making.entry.files[at].size_bytes for making, at in chosen) > DIGEST_BYTES:
        return
    limit = pumas_native.CancelToken()
    ends_at = monotonic() + _DIGEST_S

    def tick(done: int) -> None:
        told(done)
        if cancel.is_cancelled or monotonic() > ends_at:
            limit.cancel()

    try:
        with native_errors():
            found = pumas_native.hash_files(
                [making.placed(position) for making, position in chosen], progress=tick, cancel=limit
            )
    except Cancelled:
        if cancel.is_cancelled:
            raise
        return
    problems = dict(found.problems)
    sha256, blake3 = found.sha256, found.blake3
    for number, (making, position) in enumerate(chosen):
        file = making.entry.files[position]
        with failing(making, f"Reading {Path(file.source).name}"):
            if number in problems:
                raise _copy_error(file, problems[number])
            digests = slice(number * 32, number * 32 + 32)
            making.digests[position] = sha256[digests].hex(), blake3[digests].hex()


def verify_copies(makings: Sequence[Making], *, told: Told, cancel: pumas_native.CancelToken) -> None:
    """Read again what a move copied, from the drive: its sources are to be deleted (step 6).

    Raises:
        Cancelled: `cancel` was set.
    """
    chosen = [
        (making, position)
        for making in makings
        if making.error is None and making.entry.mode == "move"
        for position in sorted(making.copied)
        if making.entry.files[position].is_taken
    ]
    if not chosen:
        return
    paths = [making.placed(position) for making, position in chosen]
    for path in paths:
        _forget_pages(path)
    with native_errors():
        found = pumas_native.hash_files(paths, ("sha256",), progress=lambda done: told(done, chosen), cancel=cancel)
    problems = dict(found.problems)
    for number, (making, position) in enumerate(chosen):
        file = making.entry.files[position]
        with failing(making, f"Reading the copy of {Path(file.source).name}"):
            if number in problems:
                raise problems[number]
            if found.sha256[number * 32 : number * 32 + 32].hex() != making.digests[position][0]:
                raise Unavailable(
                    f"The copy of {file.source} is not what was copied: its drive or memory may be failing; "
                    "nothing was moved"
                )


def _forget_pages(path: str) -> None:
    """Have the system read a file from its drive the next time."""
    if hasattr(os, "posix_fadvise"):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
