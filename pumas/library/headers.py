"""Header facts of model files, kept so that an unchanged file of the library costs one stat.

    table `headers`   path_key(path below the library) → 34 bytes, the path, the facts

      0  inode u64, size u64, mtime_ns i64, ctime_ns i64, little-endian: the fingerprint
     32  u16, little-endian: bytes of the path
     34  the path, UTF-8: two paths of one key are told apart
         the JSON of `pumas_native.read_header` with `facts`

A file whose fingerprint is the one that is known is not read again. A file that was changed less than two seconds
before could change once more within a tick of the file system's clock, so nothing is kept of it; nor of one whose
facts are unusually long, or that gave none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from time import time_ns

import msgspec
import pumas_native

from pumas.errors import native_errors
from pumas.library.survey import RACY_NS
from pumas.models import EmbeddedMetadata, Header
from pumas.store.cache import Cache, Table, path_key

_HEAD = Struct("<QQqqH")
_LONGEST_KEPT = 256 << 10  # a chat template and a hundred keys have 30 KiB

_decode = msgspec.json.Decoder(Header).decode


@dataclass(frozen=True, slots=True)
class HeaderProblem:
    """Why a file gives no header."""

    kind: str
    """As in `pumas_native.Headers.problems`."""
    what: str


@dataclass(slots=True)
class _File:
    """One file of those asked for."""

    path: str
    key: bytes | None = None
    """Of its place in the cache; None for one that is not kept."""
    head: bytes = b""
    """What is stored before its facts."""
    facts: bytes | None = None


def header_of(facts: bytes) -> Header:
    """The record of what `pumas_native.read_header` gives."""
    return _decode(facts)


def read_headers(
    paths: Sequence[str | os.PathLike[str]],
    *,
    library: Path | None = None,
    cache: Cache | None = None,
    progress: Callable[[int], None] | None = None,
    cancel: pumas_native.CancelToken | None = None,
) -> list[Header | HeaderProblem]:
    """Header facts of files, in their order.

    Args:
        paths: GGUF and safetensors files, told by their first bytes.
        library: The folder of models; what is known of its files is in `cache`.
        cache: Its cache.
        progress: Called with the files read so far.
        cancel: Looked at between files.

    Raises:
        Cancelled: `cancel` was set.
    """
    files = [_File(os.fspath(path)) for path in paths]
    if cache is not None and library is not None:
        _recall(files, library, cache)
    unread = [file for file in files if file.facts is None]
    with native_errors():
        headers = pumas_native.read_headers([file.path for file in unread], progress=progress, cancel=cancel)
    for file, facts in zip(unread, headers.facts, strict=True):
        file.facts = facts
    if cache is not None:
        _remember(unread, cache)
    problems = {id(unread[at]): HeaderProblem(kind, what) for at, kind, what in headers.problems}
    return [problems[id(file)] if file.facts is None else header_of(file.facts) for file in files]


def _recall(files: Sequence[_File], library: Path, cache: Cache) -> None:
    """Take the facts of unchanged files from the cache."""
    folders = tuple({f"{folder}{os.sep}" for folder in (library.absolute(), library.resolve())})
    now_ns = time_ns()
    for file in files:
        # PERF: by its name alone, without pathlib, which would cost twice what the rest does. A name that leads
        # somewhere else is harmless: the fingerprint is that of the file behind it.
        path = os.path.abspath(file.path)  # noqa: PTH100
        if path.startswith(folders):
            folder = folders[0] if path.startswith(folders[0]) else folders[1]
            _place(file, path.removeprefix(folder).replace(os.sep, "/"), now_ns)
    kept = [(file, file.key) for file in files if file.key is not None]
    values = cache.get_many(Table.HEADERS, [key for _, key in kept])
    for (file, _), value in zip(kept, values, strict=True):
        if value is not None and value.startswith(file.head):
            file.facts = value[len(file.head) :]


def _place(file: _File, name: str, now_ns: int) -> None:
    """Note where in the cache the facts of a file of the library belong, if it is settled."""
    try:
        status = os.stat(file.path)  # noqa: PTH116 - as above
    except OSError:
        return  # reading it tells why
    if max(status.st_mtime_ns, status.st_ctime_ns) >= now_ns - RACY_NS:
        return
    encoded = name.encode("utf-8", "surrogatepass")
    file.key = path_key(name)
    times = status.st_mtime_ns, status.st_ctime_ns
    file.head = _HEAD.pack(status.st_ino, status.st_size, *times, len(encoded)) + encoded


def _remember(files: Sequence[_File], cache: Cache) -> None:
    fresh = [
        (file.key, file.head + file.facts)
        for file in files
        if file.key is not None and file.facts is not None and len(file.facts) <= _LONGEST_KEPT
    ]
    if fresh:
        cache.put_many(Table.HEADERS, fresh)


def embedded_metadata(path: Path) -> EmbeddedMetadata:
    """All that a model file says of itself, vocabulary included (`library.md` §5.5); the name says what it must be."""
    if not os.path.exists(path):  # noqa: PTH110 - pathlib raises for names that are too long
        return EmbeddedMetadata(file_type="unknown", metadata=None, error="File not found")
    suffix = path.suffix.lower()
    if suffix == ".gguf":
        return _of_gguf(path)
    if suffix == ".safetensors":
        return _of_safetensors(path)
    return EmbeddedMetadata(file_type="unsupported", metadata=None, error=f"Unsupported file type: {suffix}")


def _of_gguf(path: Path) -> EmbeddedMetadata:
    failure = "Failed to extract GGUF metadata (gguf library may not be installed)"
    try:
        header = header_of(pumas_native.read_header(path, file_format="gguf", whole_arrays=True))
    except (OSError, pumas_native.errors.HeaderError):
        return EmbeddedMetadata(file_type="gguf", metadata=None, error=failure)
    if header.version == 1 or header.missing_bytes:
        return EmbeddedMetadata(file_type="gguf", metadata=None, error=failure)
    own = {
        "GGUF.version": header.version,
        "GGUF.tensor_count": header.tensor_count,
        "GGUF.kv_count": header.key_count,
    }
    return EmbeddedMetadata(file_type="gguf", metadata={**own, **header.metadata})


def _of_safetensors(path: Path) -> EmbeddedMetadata:
    try:
        header = header_of(pumas_native.read_header(path, detail="keys", file_format="safetensors"))
    except (OSError, pumas_native.errors.HeaderError) as exc:
        return EmbeddedMetadata(file_type="safetensors", metadata=None, error=_why_not_safetensors(path, exc))
    return EmbeddedMetadata(file_type="safetensors", metadata=header.metadata)


def _why_not_safetensors(path: Path, exc: Exception) -> str:
    if isinstance(exc, pumas_native.errors.HeaderTooLarge) and "bytes of header" in exc.offence:
        return "Header too large"
    if isinstance(exc, pumas_native.errors.HeaderCut) and path.stat().st_size < 8:
        return "Invalid safetensors file"
    reason = exc.offence if isinstance(exc, pumas_native.errors.HeaderError) else exc
    return f"Failed to parse safetensors header: {reason}"
