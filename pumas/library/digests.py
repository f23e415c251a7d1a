"""Digests of files for whoever asks; files of the library that did not change are not read for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pumas_native

from pumas.errors import InvalidInput, native_errors, shown
from pumas.library.fingerprints import fingerprints_of, names_below, size_of
from pumas.library.known import DIGESTS, KEPT, Known, read_contents, recall, remember
from pumas.models import Algorithm, FileDigests
from pumas.store.cache import Cache, Table, path_key
from pumas.store.paths import readable

ALGORITHMS: Final[tuple[Algorithm, ...]] = ("sha256", "blake3", "xxh3_128")

Told = Callable[[int, int], None]
"""Called with the bytes read so far and those to be read."""


def digest_files(
    paths: Sequence[str | os.PathLike[str]],
    algorithms: Sequence[Algorithm] = KEPT,
    *,
    library: Path | None = None,
    cache: Cache | None = None,
    progress: Told | None = None,
    cancel: pumas_native.CancelToken | None = None,
) -> tuple[FileDigests, ...]:
    """Digest files; those of the library that are known, and did not change, are not read.

    Args:
        paths: Files, wherever they lie.
        algorithms: `sha256`, `blake3`, `xxh3_128`; only the first two are kept.
        library: The folder of models.
        cache: Its cache.
        progress: Called while files are read.
        cancel: Looked at between chunks.

    Raises:
        InvalidInput: An algorithm is unknown, or none was named.
        Cancelled: `cancel` was set.
    """
    check_algorithms(algorithms)
    texts = [os.fspath(path) for path in paths]
    names = [""] * len(texts)
    if library is not None and cache is not None and set(algorithms) <= set(KEPT):
        names = names_below(library, texts)
    digests = [b""] * len(texts)
    if cache is not None and any(names):
        digests = _recalled(texts, names, cache, cancel)
    found = _records(texts, digests, algorithms)
    rest = [position for position, one in enumerate(digests) if not one]
    if rest:
        unread = [(texts[position], names[position]) for position in rest]
        for position, one in zip(rest, _read(unread, algorithms, cache, progress, cancel), strict=True):
            found[position] = one
    return tuple(found)


def _recalled(
    texts: Sequence[str], names: Sequence[str], cache: Cache, cancel: pumas_native.CancelToken | None
) -> list[bytes]:
    """Both digests of each file that is known and did not change; empty for the others."""
    fingerprints, _ = fingerprints_of(texts, cancel=cancel)
    values = cache.get_many(Table.DIGESTS, [path_key(name) for name in names])
    # PERF: not by way of `Known`, which takes as long again. The path need not be compared: no other file has the
    # fingerprint too, and one that can't be looked at has none that is kept.
    return [
        value[DIGESTS] if value is not None and value.startswith(fingerprint) and name else b""
        for name, value, fingerprint in zip(names, values, fingerprints, strict=True)
    ]


def _records(texts: Sequence[str], digests: Sequence[bytes], algorithms: Sequence[Algorithm]) -> list[FileDigests]:
    wants_sha256, wants_blake3 = "sha256" in algorithms, "blake3" in algorithms
    paths = texts if "".join(texts).isascii() else [readable(text) for text in texts]
    return [
        FileDigests(
            path=path,
            sha256=both[:32].hex() if wants_sha256 and both else None,
            blake3=both[32:].hex() if wants_blake3 and both else None,
        )
        for path, both in zip(paths, digests, strict=True)
    ]


def _read(
    files: Sequence[tuple[str, str]],
    algorithms: Sequence[Algorithm],
    cache: Cache | None,
    progress: Told | None,
    cancel: pumas_native.CancelToken | None,
) -> Iterator[FileDigests]:
    """Digest files, given by path and name below the library."""
    below, others = [one for one in files if one[1]], [one for one in files if not one[1]]
    sizes = [0] * len(files)
    if progress is not None:
        fingerprints, _ = fingerprints_of([text for text, _ in (*below, *others)], cancel=cancel)
        sizes = [size_of(one) for one in fingerprints]
    first, total = sum(sizes[: len(below)]), sum(sizes)
    kept: Iterator[FileDigests] = iter(())
    if cache is not None and below:
        told = None if progress is None else lambda done: progress(done, total)
        kept = iter(_read_below(below, algorithms, cache, told, cancel))
    told = None if progress is None else lambda done: progress(first + done, total)
    read = iter(_read_others([text for text, _ in others], algorithms, told, cancel))
    return (next(kept if name else read) for _, name in files)


def _read_below(
    files: Sequence[tuple[str, str]],
    algorithms: Sequence[Algorithm],
    cache: Cache,
    progress: Callable[[int], None] | None,
    cancel: pumas_native.CancelToken | None,
) -> list[FileDigests]:
    """Digest files of the library, and keep what was found out."""
    texts, names = [text for text, _ in files], [name for _, name in files]
    contents = read_contents(texts, recall(cache, names), progress=progress, cancel=cancel)
    remember(cache, [(name, one) for name, one in zip(names, contents, strict=True) if isinstance(one, Known)])
    digests = [one.sha256 + one.blake3 if isinstance(one, Known) else b"" for one in contents]
    found = _records(texts, digests, algorithms)
    for position, one in enumerate(contents):
        if isinstance(one, OSError):
            found[position] = _failed(texts[position], one)
    return found


def _failed(text: str, error: OSError) -> FileDigests:
    return FileDigests(path=readable(text), error=error.strerror or type(error).__name__)


def _read_others(
    texts: Sequence[str],
    algorithms: Sequence[Algorithm],
    progress: Callable[[int], None] | None,
    cancel: pumas_native.CancelToken | None,
) -> list[FileDigests]:
    with native_errors():
        digests = pumas_native.hash_files(texts, algorithms, progress=progress, cancel=cancel)
    found = [
        FileDigests(path=readable(text), sha256=sha256, blake3=blake3, xxh3_128=xxh3_128)
        for text, sha256, blake3, xxh3_128 in zip(
            texts,
            _hexes(digests.sha256, len(texts)),
            _hexes(digests.blake3, len(texts)),
            _hexes(digests.xxh3_128, len(texts)),
            strict=True,
        )
    ]
    for position, error in digests.problems:
        found[position] = _failed(texts[position], error)
    return found


def _hexes(column: bytes, count: int) -> list[str | None]:
    """The digests of a column, which is empty if they were not asked for."""
    if not column:
        return [None] * count
    width = len(column) // count
    return [column[start : start + width].hex() for start in range(0, len(column), width)]


def check_algorithms(algorithms: Sequence[str]) -> None:
    """Check names of algorithms.

    Raises:
        InvalidInput: One is unknown, or there is none.
    """
    unknown = next((name for name in algorithms if name not in ALGORITHMS), None)
    if unknown is not None or not algorithms:
        told = "no algorithm was named" if unknown is None else f"there is no algorithm {shown(unknown)!r}"
        raise InvalidInput(f"`algorithms`: {told}; choose from {', '.join(ALGORITHMS)}", parameter="algorithms")
