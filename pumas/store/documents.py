"""Reading and writing the JSON documents of a launcher root.

Form (`storage.md` §3.1): UTF-8, two-space indent, non-ASCII kept, key order as given, no newline at the end. Beside a
document lies at most one backup, `<name>.bak`, made only of a document that parses; while it is written,
`<name>.<pid>.<thread>.tmp`.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import threading
from pathlib import Path

import msgspec

from pumas.config import MAX_DOCUMENT_BYTES
from pumas.errors import Damaged, InvalidInput, system_errors


def read_document(path: Path) -> object:
    """Read one JSON document.

    Returns:
        The value, or None when there is no file.

    Raises:
        Damaged: It is larger than 16 MiB, not a regular file, not UTF-8, not strict JSON, or nested too deep.
        Unavailable: It can't be read.
    """
    data = _read_bytes(path)
    if data is None:
        return None
    try:
        value: object = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise Damaged(f"{path.name} is not valid JSON; restore it from {path.name}.bak", path=path) from exc
    return value


def _read_bytes(path: Path) -> bytes | None:
    # O_NONBLOCK: a FIFO in a document's place must not hold us.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    with system_errors(f"Reading {path.name}"):
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            return None
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


def write_document(path: Path, value: object) -> None:
    """Replace one JSON document: after a crash it is either the old or the new one, and on disk once this returns.

    The mode of the old file is kept; a link is replaced, its target is not touched. Hold `document_lock` around it.

    Raises:
        InvalidInput: `value` is not JSON (NaN, Infinity, half a surrogate pair, other types, nested too deep), or
            larger than 16 MiB.
        NoSpace: The drive is full; the old document stays.
        Unavailable: It can't be written; the old document stays.
    """
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, TypeError, RecursionError) as exc:
        raise InvalidInput(f"{path.name} can't hold this: it is not JSON; nothing was changed") from exc
    if len(text) > MAX_DOCUMENT_BYTES:
        raise InvalidInput(f"{path.name} would be larger than {MAX_DOCUMENT_BYTES} bytes; nothing was changed")
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise InvalidInput(f"{path.name} could not be read again; nothing was changed") from exc
    with system_errors(f"Writing {path.name}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        _back_up(path)
        _replace(path, text, mode_of=path)
        _sync_folder(path.parent)


def _back_up(path: Path) -> None:
    if path.is_symlink() or not path.is_file():
        return
    try:
        read_document(path)
    except Damaged:
        return  # the last good copy stays where it is
    backup = path.with_name(f"{path.name}.bak")
    temporary = _temporary(backup)
    try:
        shutil.copy2(path, temporary)
        temporary.replace(backup)
    finally:
        temporary.unlink(missing_ok=True)


def _replace(path: Path, data: bytes, *, mode_of: Path) -> None:
    temporary = _temporary(path)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode_of.is_file() and not mode_of.is_symlink():
            shutil.copymode(mode_of, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    temporary.unlink(missing_ok=True)  # left by a crashed process that had our number
    return temporary


def _sync_folder(folder: Path) -> None:
    """Make a rename durable. Windows can't do it for a folder; there the rename may be lost, never torn."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
