r"""Reading and writing the JSON documents of a launcher root, by path; `metadata.py` says which documents there are.

A document is one JSON object (`storage.md` §3.1): UTF-8, two-space indent, key order as given, no newline at the end,
non-ASCII kept (the four documents of §3.2 have it as `\uXXXX`). What lies beside `versions.json`:

    versions.json.bak                            the version before, made only of a document that parses
    versions.json.damaged-20260115T123456789012Z what was found damaged when it was about to be replaced
    versions.json.bak.kept-20260115T123456789012Z a backup whose document was missing when it was written anew
    versions.json.4711.139872.tmp                a write in progress: process, thread (the original's name for it)
    versions.json.bak.4711.139872.tmp            the same for the backup

A killed process leaves its temporary files; the next write of the same document removes them. Nothing here looks at
whether times grow, so a clock that is set back changes nothing.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import msgspec

from pumas.config import MAX_DOCUMENT_BYTES
from pumas.errors import Damaged, InvalidInput, Unavailable, system_errors
from pumas.store.locks import document_lock
from pumas.store.paths import shows_another
from pumas.store.quarantine import kept_damaged, out_of_the_way, report_damaged

logger = logging.getLogger(__name__)

LEFTOVER = re.compile(r"(?P<document>.+\.json)(?:\.bak)?\.(?P<process>\d{1,9})\.\d+\.tmp")
"""Name of a temporary file: what it was to become, or the backup of, and the process that made it."""

_DEFAULT_MODE = 0o666  # before the process's mask, as every program makes files


def read_document(path: Path) -> dict[str, object] | None:
    """Read one JSON document.

    Returns:
        The object, or None when there is no file.

    Raises:
        Damaged: It is larger than 16 MiB, not a regular file, not UTF-8, not strict JSON, nested too deep, or not an
            object.
        Unavailable: It can't be read, or it is a link to nothing.
    """
    data = _read_bytes(path)
    return None if data is None else _parse(path, data)


def recover_document(path: Path, *, has_backup: bool = True) -> dict[str, object] | None:
    """Read one JSON document, or its backup if it is damaged.

    Reading writes nothing, so it works on a read-only root: a damaged file stays in its place, with one log line per
    process and state of the file, until it is about to be replaced (`write_document`).

    Returns:
        The object; None when there is no file, or when neither it nor its backup can be used.

    Raises:
        Unavailable: The document or its backup can't be read (no permission, a failing drive): it may be whole.
    """
    try:
        return read_document(path)
    except Damaged as damage:
        value = read_backup(path) if has_backup else None
        report_damaged(damage, "it counts as missing" if value is None else "its backup is used")
        return value


def read_backup(path: Path) -> dict[str, object] | None:
    """Read the backup of a document; None when there is none that can be used.

    Raises:
        Unavailable: It can't be read; it may be whole.
    """
    backup = _backup_of(path)
    # SECURITY: a backup is a file that we or the original made, never a link to somewhere else.
    if backup.is_symlink():
        return None
    try:
        return read_document(backup)
    except Damaged:
        return None


def write_document(
    path: Path,
    value: Mapping[str, object],
    *,
    is_escaped: bool = False,
    has_backup: bool = True,
    keeps_leftovers: bool = False,
) -> None:
    r"""Replace one JSON document: after a crash it is either the old or the new one, and on disk once this returns.

    The mode of the old file is kept, and its owner if root writes; a link is replaced by a file with the mode and owner
    of its target, which is not touched. An old document that parses becomes the backup; one that is damaged is kept
    under a dated name and the backup stays as it was. A backup whose document is missing is set aside as
    `<name>.bak.kept-<time>`: it is not taken for the value, since a user may have deleted the document on purpose, and
    the next write would overwrite it. Hold `document_lock` around it.

    Args:
        path: Folders above it are made.
        value: Keys that aren't text become text.
        is_escaped: Whether non-ASCII characters are written as `\uXXXX`.
        has_backup: Whether the old document becomes `<name>.bak`.
        keeps_leftovers: Whether the temporary files of killed processes stay.

    Raises:
        InvalidInput: `value` is not a JSON object (NaN, Infinity, half a surrogate pair, other types, nested too
            deep, keys that are the same as text), or it is larger than 16 MiB.
        NoSpace: The drive is full; the old document stays.
        Unavailable: It can't be written, or the old one can't be read; the old document stays.
    """
    data = _encode(path, value, is_escaped=is_escaped)
    with system_errors(f"Writing {path.name}"):
        make_folders(path.parent)
        if not keeps_leftovers:
            _remove_leftovers(path)
        make_way = _keep_old(path, has_backup=has_backup)
        _replace(path, data, like=path, make_way=make_way)
        sync_folder(path.parent)


def write_new_document(path: Path, value: Mapping[str, object]) -> None:
    """Write a document that does not exist yet, in a folder that nobody reads yet.

    It is not on disk until it and its folder are synced; after a crash it may be cut, and `read_document` finds it
    damaged. `value` holds no floats: they would be written otherwise than by `write_document`.

    Raises:
        InvalidInput, NoSpace, Unavailable: As `write_document`; also when it exists.
    """
    try:
        # PERF: json indents in Python, ten times as slow (bench_import).
        data = msgspec.json.format(msgspec.json.encode(value), indent=2)
    except (ValueError, TypeError, RecursionError) as exc:
        raise InvalidInput(f"{path.name} can't hold this: it is not JSON; nothing was changed") from exc
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InvalidInput(f"{path.name} can't hold more than {MAX_DOCUMENT_BYTES} bytes; nothing was changed")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with system_errors(f"Writing {path.name}"), os.fdopen(os.open(path, flags, _DEFAULT_MODE), "wb") as file:
        file.write(data)


def update_document(
    path: Path,
    change: Callable[[dict[str, object] | None], Mapping[str, object]],
    *,
    locks: Path,
    lock_name: str,
    is_escaped: bool = False,
    has_backup: bool = True,
) -> None:
    """Read, change and write one JSON document in one locked step: of two updates at once none is lost.

    Args:
        path: The document; a damaged one is replaced by its backup, if that parses, before `change` sees it.
        change: Gets the object, or None when there is none that can be used, and returns the one to write. It runs
            with the lock held: it must be quick and may not touch other documents. If it raises, nothing is written.
        locks: Folder of the lock files.
        lock_name: The document's path below the folder that the locks are for.
        is_escaped: As in `write_document`.
        has_backup: As in `write_document`.

    Raises:
        InvalidInput, NoSpace, Unavailable: As in `write_document`; the lock may be unavailable too.
    """
    with document_lock(locks, lock_name):
        value = change(recover_document(path, has_backup=has_backup))
        write_document(path, value, is_escaped=is_escaped, has_backup=has_backup)


def _read_bytes(path: Path) -> bytes | None:
    # O_NONBLOCK: a FIFO in a document's place must not hold us.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with system_errors(f"Reading {path.name}"):
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            if path.is_symlink():
                # What it shows may be whole, on a drive that comes back: neither missing nor damaged.
                what = f"{path.name} is a link to nothing (a drive that is away?)"
                raise Unavailable(f"{what}; bring that back, or remove the link") from None
            return None
        except OSError as exc:
            if exc.errno in (errno.ELOOP, errno.ENXIO):  # a link to itself, a socket
                raise Damaged(f"{path.name} is not a regular file; move it away", path=path) from exc
            raise
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Damaged(f"{path.name} is not a regular file; move it away", path=path)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(MAX_DOCUMENT_BYTES + 1)
        finally:
            os.close(descriptor)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise Damaged(f"{path.name} is larger than {MAX_DOCUMENT_BYTES} bytes", path=path)
    return data


def _parse(path: Path, data: bytes) -> dict[str, object]:
    try:
        value: object = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise Damaged(f"{path.name} is not valid JSON; repair it or move it away", path=path) from exc
    if not isinstance(value, dict):
        raise Damaged(f"{path.name} is not a JSON object; repair it or move it away", path=path)
    return value


def _encode(path: Path, value: object, *, is_escaped: bool) -> bytes:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{path.name} can't hold this: it is not an object; nothing was changed")
    try:
        text = json.dumps(value, indent=2, ensure_ascii=is_escaped, allow_nan=False).encode("utf-8")
        again = _parse(path, text)  # nothing is written that can't be read again: the parsers' limits differ
    except (ValueError, TypeError, RecursionError, Damaged) as exc:
        raise InvalidInput(f"{path.name} can't hold this: it is not JSON; nothing was changed") from exc
    if not _has_all_keys(value, again):
        raise InvalidInput(f"{path.name} can't hold this: two of its keys are the same as text; nothing was changed")
    if len(text) > MAX_DOCUMENT_BYTES:
        raise InvalidInput(f"{path.name} can't hold more than {MAX_DOCUMENT_BYTES} bytes; nothing was changed")
    return text


def _has_all_keys(value: object, again: object) -> bool:
    """Whether what was read again has as many keys as what was written, wherever it has some."""
    pairs = [(value, again)]  # no recursion: documents may be nested as deep as the parsers go
    while pairs:
        one, other = pairs.pop()
        if isinstance(one, Mapping) and isinstance(other, dict):
            if len(one) != len(other):
                return False
            pairs.extend(zip(one.values(), other.values(), strict=True))
        elif isinstance(one, (list, tuple)) and isinstance(other, list):
            pairs.extend(zip(one, other, strict=True))
    return True


def _backup_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.bak")


def _keep_old(path: Path, *, has_backup: bool) -> Callable[[], AbstractContextManager[None]]:
    """Make the backup of a document that parses.

    Returns:
        What is to be done between the writing of the new document and its renaming.
    """
    try:
        data = _read_bytes(path)
        if data is None and has_backup and not _backup_of(path).is_symlink():
            return lambda: out_of_the_way(_backup_of(path), "kept")
        if data is None or path.is_symlink():
            return nullcontext  # the link goes, the file that it shows stays
        _parse(path, data)
    except Damaged as damage:
        if shows_another(path):
            return nullcontext
        report_damaged(damage, "it is kept under a dated name")
        return lambda: kept_damaged(path)  # the last good backup stays where it is
    if has_backup:
        # The bytes that were parsed, not a copy of the file: the original may be writing it.
        backup = _backup_of(path)
        is_odd = os.path.lexists(backup) and not (backup.is_file() or backup.is_symlink())
        make_way = (lambda: out_of_the_way(backup, "damaged")) if is_odd else nullcontext
        _replace(backup, data, like=path, keep_times=True, make_way=make_way)
    return nullcontext


def _replace(
    path: Path,
    data: bytes,
    *,
    like: Path,
    keep_times: bool = False,
    make_way: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    temporary = _temporary(path)
    old = like.stat() if like.is_file() else None
    mode = _DEFAULT_MODE if old is None else stat.S_IMODE(old.st_mode)
    try:
        # SECURITY: made with the old mode, so that a private document is at no moment readable for others.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            if old is not None:
                with suppress(OSError):  # a drive without owners, or an owner that a container doesn't know
                    _keep_owner(file.fileno(), old)
                with suppress(PermissionError):  # the file is ours, so the file system has no modes (vfat)
                    (shutil.copystat if keep_times else shutil.copymode)(like, temporary)
            os.fsync(file.fileno())
        with make_way():  # not before: a write that fails leaves what lay there
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _keep_owner(descriptor: int, old: os.stat_result) -> None:
    if os.name != "nt" and os.geteuid() == 0:
        os.fchown(descriptor, old.st_uid, old.st_gid)


def _temporary(path: Path) -> Path:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    temporary.unlink(missing_ok=True)  # left by a crashed process that had our number
    return temporary


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files that killed processes left of this document.

    The lock is held, so our own number means a process of the past (in a container it is always the same one); other
    numbers that live may be the original, which has no lock.
    """
    for beside in path.parent.iterdir():
        found = LEFTOVER.fullmatch(beside.name)
        if found and found["document"] == path.name and not _is_other_process(int(found["process"])):
            with suppress(OSError):
                beside.unlink()
                logger.info("removed %s, which a killed process left", beside)


def _is_other_process(number: int) -> bool:
    import psutil  # noqa: PLC0415 - 15 ms that only the write after a crash pays

    return number != os.getpid() and psutil.pid_exists(number)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it that are missing; all of them are on disk then."""
    made = []
    while not os.path.lexists(folder):
        made.append(folder)
        folder = folder.parent
    for missing in reversed(made):
        missing.mkdir(exist_ok=True)
        sync_folder(missing.parent)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder; move it away")


def made_own_folder(library: Path, name: str) -> Path:
    """A folder of ours in the library, `{lib}/.pumas/<name>`, made if it is missing.

    Raises:
        Unavailable: A link lies in its place.
        OSError: It can't be made.
    """
    folder = library / ".pumas" / name
    for one in (folder.parent, folder):
        # SECURITY: what we write and delete there must never be written and deleted elsewhere.
        if one.is_symlink():
            raise Unavailable(f"{one} is a link; move it away: what Pumas keeps there must lie in the library")
    make_folders(folder)
    return folder


def sync_file(path: Path | str) -> None:
    """Make the content of a file durable."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path | str) -> None:
    """Make a rename durable. Windows can't do it for a folder; there the rename may be lost, never torn."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # network file systems that sync a rename by themselves
            raise
    finally:
        os.close(descriptor)
