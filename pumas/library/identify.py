"""What a file is, by its content: header, checkpoint, or a document that says of which files a model consists."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pumas_native

from pumas.errors import Cancelled, Damaged
from pumas.library.checkpoints import scan_archive, scan_pickle
from pumas.library.formats import first_bytes, format_of
from pumas.library.headers import HeaderProblem, read_headers
from pumas.library.manifests import PIPELINE, is_manifest, read_pipeline, read_shard_index
from pumas.models import Header, Identity
from pumas.store.cache import Cache
from pumas.store.paths import readable


def identify_files(
    paths: Sequence[str | os.PathLike[str]],
    *,
    library: Path | None = None,
    cache: Cache | None = None,
    progress: Callable[[int], None] | None = None,
    cancel: pumas_native.CancelToken | None = None,
) -> tuple[Identity, ...]:
    """Identify files, in their order; one that is damaged or can't be read says so and hinders no other.

    Args:
        paths: Files, wherever they lie.
        library: The folder of models; what is known of its files is in `cache`.
        cache: Its cache.
        progress: Called with the files done so far.
        cancel: Looked at between files.

    Raises:
        Cancelled: `cancel` was set.
    """
    manifests = {at for at, path in enumerate(paths) if is_manifest(Path(path))}
    others = [path for at, path in enumerate(paths) if at not in manifests]
    headers = iter(read_headers(others, library=library, cache=cache, progress=progress, cancel=cancel))
    found = []
    for at, given in enumerate(paths):
        path = Path(given)
        found.append(_of_manifest(path) if at in manifests else _of_model_file(path, next(headers)))
        if cancel is not None and cancel.is_cancelled:
            raise Cancelled("The work was cancelled")
    return tuple(found)


def _of_manifest(path: Path) -> Identity:
    name = readable(path)
    file_format = "pipeline" if path.name.lower() == PIPELINE else "shard_index"
    try:
        if file_format == "pipeline":
            return Identity(path=name, format=file_format, pipeline=read_pipeline(path))
        return Identity(path=name, format=file_format, shard_index=read_shard_index(path))
    except Damaged as exc:
        return Identity(path=name, format="unknown", problem=str(exc))
    except OSError as exc:
        return _unreadable(path, exc)


def _of_model_file(path: Path, header: Header | HeaderProblem) -> Identity:
    name = readable(path)
    if isinstance(header, Header):
        problem = None
        if header.missing_bytes:
            problem = f"it is cut: {header.missing_bytes} bytes of its data are missing"
        return Identity(path=name, format=header.format, header=header, problem=problem)
    if header.kind in ("unreadable", "not-regular"):
        return Identity(path=name, format="unknown", problem=header.what)
    try:
        file_format = format_of(first_bytes(path), path.name)
        if file_format == "zip":
            return Identity(path=name, format=file_format, checkpoint=scan_archive(path))
        if file_format == "pickle":
            return Identity(path=name, format=file_format, checkpoint=scan_pickle(path))
    except OSError as exc:
        return _unreadable(path, exc)
    problem = None if header.kind == "unknown-format" else header.what
    return Identity(path=name, format=file_format, problem=problem)


def _unreadable(path: Path, exc: OSError) -> Identity:
    return Identity(path=readable(path), format="unknown", problem=f"it can't be read: {exc.strerror or exc}")
