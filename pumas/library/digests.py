"""Digests of files for whoever asks; files of the library that did not change are not read for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import Final

import pumas_native

from pumas.errors import InvalidInput, native_errors, shown
from pumas.library.known import FINGERPRINT_BYTES, KEPT, Known, read_contents, recall, remember, size_of
from pumas.models import Algorithm, FileDigests
from pumas.store.cache import Cache, Table, path_key

ALGORITHMS: Final[tuple[Algorithm, ...]] = ("sha256", "blake3", "xxh3_128")

_ONE = Struct("32s")

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
    kept: Iterator[FileDigests] = iter(())
    if library is not None and cache is not None and set(algorithms) <= set(KEPT):
        names = _names_below(library, texts)
        inside = [text for text, name in zip(texts, names, strict=True) if name]
        below = [name for name in names if name]
        kept = iter(_digest_kept(inside, below, algorithms, cache, progress=progress, cancel=cancel))
    outside = [text for text, name in zip(texts, names, strict=True) if not name]
    read = iter(_digest(outside, algorithms, progress=progress, cancel=cancel))
    return tuple(next(kept if name else read) for name in names)


def _names_below(library: Path, texts: Sequence[str]) -> list[str]:
    """Paths below the library, `/` between parts; empty for files that lie elsewhere."""
    prefixes = tuple(f"{folder}{os.sep}" for folder in (library, os.path.realpath(library)))
    skipped = len(prefixes[0])
    return [
        text[skipped:] if text.startswith(prefixes[0]) else _name_below(prefixes, os.path.abspath(text))  # noqa: PTH100 - resolving takes 20 us
        for text in texts
    ]


def _name_below(prefixes: Sequence[str], path: str) -> str:
    prefix = next(filter(path.startswith, prefixes), None)
    return "" if prefix is None else path.removeprefix(prefix)


def _digest_kept(
    texts: Sequence[str],
    names: Sequence[str],
    algorithms: Sequence[Algorithm],
    cache: Cache,
    *,
    progress: Told | None,
    cancel: pumas_native.CancelToken | None,
) -> list[FileDigests]:
    with native_errors():
        fingerprints, problems = pumas_native.fingerprint_files(texts, cancel=cancel)
    found: dict[int, FileDigests] = {position: _failed(texts[position], error) for position, error in problems}
    values = cache.get_many(Table.DIGESTS, [path_key(name) for name in names])
    wants_sha256, wants_blake3 = "sha256" in algorithms, "blake3" in algorithms
    for position, (value, (fingerprint,)) in enumerate(zip(values, _ONE.iter_unpack(fingerprints), strict=True)):
        # PERF: not by way of `Known`, which takes as long again. The path need not be compared: no other file has the
        # fingerprint too.
        if value is not None and value.startswith(fingerprint):
            digests = value[32:96].hex()
            found[position] = FileDigests(
                path=texts[position],
                sha256=digests[:64] if wants_sha256 else None,
                blake3=digests[64:] if wants_blake3 else None,
            )
    rest = [position for position in range(len(texts)) if position not in found]
    if rest:
        rest_names = [names[position] for position in rest]
        contents = read_contents(
            [texts[position] for position in rest],
            recall(cache, rest_names),
            progress=_of_total(progress, fingerprints, rest),
            cancel=cancel,
        )
        remember(cache, [(name, one) for name, one in zip(rest_names, contents, strict=True) if isinstance(one, Known)])
        for position, one in zip(rest, contents, strict=True):
            found[position] = _told(texts[position], one, algorithms)
    return [found[position] for position in range(len(texts))]


def _told(text: str, content: Known | OSError, algorithms: Sequence[Algorithm]) -> FileDigests:
    if isinstance(content, OSError):
        return _failed(text, content)
    return FileDigests(
        path=text,
        sha256=content.sha256.hex() if "sha256" in algorithms else None,
        blake3=content.blake3.hex() if "blake3" in algorithms else None,
    )


def _failed(text: str, error: OSError) -> FileDigests:
    return FileDigests(path=text, error=error.strerror or type(error).__name__)


def _digest(
    texts: Sequence[str],
    algorithms: Sequence[Algorithm],
    *,
    progress: Told | None,
    cancel: pumas_native.CancelToken | None,
) -> list[FileDigests]:
    with native_errors():
        told = None
        if progress is not None:
            fingerprints, _ = pumas_native.fingerprint_files(texts, cancel=cancel)
            told = _of_total(progress, fingerprints, range(len(texts)))
        digests = pumas_native.hash_files(texts, algorithms, progress=told, cancel=cancel)
    found = [
        FileDigests(path=text, sha256=sha256, blake3=blake3, xxh3_128=xxh3_128)
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


def _of_total(progress: Told | None, fingerprints: bytes, chosen: Sequence[int]) -> Callable[[int], None] | None:
    """`progress`, told the bytes of the chosen files as well."""
    if progress is None:
        return None
    total = sum(size_of(fingerprints[at * FINGERPRINT_BYTES : (at + 1) * FINGERPRINT_BYTES]) for at in chosen)
    return lambda done: progress(done, total)


def check_algorithms(algorithms: Sequence[str]) -> None:
    """Check names of algorithms.

    Raises:
        InvalidInput: One is unknown, or there is none.
    """
    unknown = next((name for name in algorithms if name not in ALGORITHMS), None)
    if unknown is not None or not algorithms:
        told = "no algorithm was named" if unknown is None else f"there is no algorithm {shown(unknown)!r}"
        raise InvalidInput(f"`algorithms`: {told}; choose from {', '.join(ALGORITHMS)}", parameter="algorithms")
