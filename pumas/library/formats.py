"""The format of a model file by its first bytes (`library.md` §5.4).

offset 0   GGUF          gguf
           GGML          ggml
           80 02 … 05    pickle, protocol 2 to 5
           PK 03 04      a zip archive: checkpoints of PyTorch since 1.6
           08            onnx, if the name says so as well (a protobuf begins with its first field)
           u64 LE        safetensors: the length of a header that begins with `{` at 8
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from pumas.models import FileType

FIRST_BYTES = 16
MAX_SAFETENSORS_HEADER = 104_857_600
_MAX_CHECKED_HEADER = 10_485_760  # what the original takes for likely


def first_bytes(path: Path, count: int = FIRST_BYTES) -> bytes:
    """The first bytes of a regular file; nothing is waited for.

    Raises:
        OSError: It can't be read, or it is no regular file.
    """
    # O_NONBLOCK: a FIFO must not hold us.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        _check_is_file(os.fstat(descriptor).st_mode, path)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(count)
    finally:
        os.close(descriptor)


def _check_is_file(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))


def format_of(first: bytes, name: str, *, max_header: int = MAX_SAFETENSORS_HEADER - 1) -> str:
    """`gguf`, `safetensors`, `ggml`, `pickle`, `zip`, `onnx` or `unknown`.

    Args:
        first: The beginning of the file.
        name: Its name, for what only a name can tell.
        max_header: Longest header of a safetensors file.
    """
    if len(first) > 8 and int.from_bytes(first[:8], "little") <= max_header and first[8:9] == b"{":
        return "safetensors"
    for magic, file_format in ((b"GGUF", "gguf"), (b"GGML", "ggml"), (b"PK\x03\x04", "zip")):
        if first.startswith(magic):
            return file_format
    if first[:1] == b"\x80" and first[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    if first[:1] == b"\x08" and len(first) > 2 and name.lower().endswith(".onnx"):
        return "onnx"
    return "unknown"


def why_unreadable(exc: OSError | ValueError) -> str:
    """Why a file can't be read, for people; a ValueError is what a path gives that no file can have."""
    if isinstance(exc, FileNotFoundError | NotADirectoryError | ValueError):
        return "File not found"
    if isinstance(exc, IsADirectoryError):
        return "It is a folder, not a file"
    return f"It can't be read: {exc.strerror or type(exc).__name__}"


def validate_file_type(path: Path) -> FileType:
    """Tell from the first bytes whether a file is of a format that the library takes."""
    try:
        first = first_bytes(path)
    except (OSError, ValueError) as exc:
        return FileType(is_valid=False, detected_type="error", error=why_unreadable(exc))
    found = format_of(first, path.name, max_header=_MAX_CHECKED_HEADER - 1)
    if found == "unknown":
        error = f"Unrecognized file format. Header: {first[:8].hex()}"
        return FileType(is_valid=False, detected_type=found, error=error)
    return FileType(is_valid=True, detected_type="pickle" if found == "zip" else found, error="")
