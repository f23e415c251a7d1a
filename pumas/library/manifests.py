"""The documents that say of which files a model consists. They come from a hub, so every name in them is checked.

NAME.index.json     {"metadata": {"total_size": BYTES}, "weight_map": {TENSOR: FILE, …}}     sharded checkpoints
model_index.json    {"_class_name": CLASS, "_diffusers_version": TEXT, PART: [LIBRARY, CLASS], …}        Diffusers
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import msgspec

from pumas.errors import Damaged, shown
from pumas.library.formats import first_bytes
from pumas.models import Pipeline, ShardIndex

PIPELINE = "model_index.json"
_SHARD_INDEX = ".index.json"
_MAX_INDEX = 32 << 20  # a hundred thousand tensors have 10 MiB
_MAX_TENSORS = 250_000  # that many take 60 MiB of memory
_MAX_PIPELINE = 1 << 20  # real ones have 2 KiB; lists of nothing take 30 times as much memory
_MAX_FILES = 10_000  # shards of one model; the largest have a few hundred
_MAX_PARTS = 100


class _Totals(msgspec.Struct):
    total_size: int | float | None = None


class _ShardIndex(msgspec.Struct):
    weight_map: dict[str, str]
    metadata: _Totals | None = None


def is_manifest(path: Path) -> bool:
    """Whether a file's name is that of a document read here."""
    name = path.name.lower()
    return name == PIPELINE or name.endswith(_SHARD_INDEX)


def read_shard_index(path: Path) -> ShardIndex:
    """Read a `*.index.json`.

    Raises:
        Damaged: It is too large, not JSON of that form, or names a file outside its folder.
        OSError: It can't be read.
    """
    try:
        index = msgspec.json.decode(_read_index(path), type=_ShardIndex)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise Damaged(f"it is no index of shards: {exc}", path=path) from exc
    files = tuple(sorted(set(index.weight_map.values())))
    if len(files) > _MAX_FILES:
        raise Damaged(f"it names {len(files)} files, more than {_MAX_FILES}", path=path)
    for file in files:
        _check_name(file, path)
    size = index.metadata.total_size if index.metadata else None
    return ShardIndex(
        tensor_count=len(index.weight_map),
        total_size_bytes=int(size) if size is not None and 0 <= size < 1 << 63 else None,
        files=files,
        missing=tuple(file for file in files if not _is_there(path.parent / file, stat.S_ISREG)),
    )


def read_pipeline(path: Path) -> Pipeline:
    """Read a `model_index.json`.

    Raises:
        Damaged: It is too large, not JSON of that form, or names a part outside its folder.
        OSError: It can't be read.
    """
    try:
        document = msgspec.json.decode(_read(path, _MAX_PIPELINE), type=dict[str, object])
    except (msgspec.DecodeError, RecursionError) as exc:
        raise Damaged(f"it is no index of a pipeline: {exc}", path=path) from exc
    class_name, version = document.get("_class_name"), document.get("_diffusers_version")
    if not isinstance(class_name, str):
        raise Damaged("it is no index of a pipeline: it has no `_class_name`", path=path)
    components = {}
    for name, value in document.items():
        # Beside the parts stand settings: numbers, texts, true and false.
        if name.startswith("_") or not isinstance(value, list):
            continue
        match value:
            case [str() | None as library, str() | None as part]:
                _check_name(name, path)
                components[name] = (library, part)
            case _:
                raise Damaged(f"its part `{shown(name)}` is no pair of a library and a class", path=path)
    if len(components) > _MAX_PARTS:
        raise Damaged(f"it names {len(components)} parts, more than {_MAX_PARTS}", path=path)
    missing = (name for name, (_, part) in components.items() if part is not None)
    return Pipeline(
        class_name=class_name,
        diffusers_version=version if isinstance(version, str) else None,
        components=components,
        missing=tuple(name for name in missing if not _is_there(path.parent / name, stat.S_ISDIR)),
    )


def _read_index(path: Path) -> bytes:
    data = _read(path, _MAX_INDEX)
    # Each tensor has a colon, and hardly any has one in its name.
    if data.count(b":") > _MAX_TENSORS:
        raise Damaged(f"it names more than {_MAX_TENSORS} tensors", path=path)
    return data


def _read(path: Path, limit: int) -> bytes:
    data = first_bytes(path, limit + 1)
    if len(data) > limit:
        raise Damaged(f"it is larger than {limit} bytes", path=path)
    return data


def _check_name(name: str, path: Path) -> None:
    # SECURITY: it becomes a path beside the document.
    if name in ("", ".", "..") or len(name) > 255 or any(one in "/\\:\0" for one in name):
        raise Damaged(f"it names {shown(name)!r}, which is no file of its folder", path=path)


def _is_there(path: Path, is_kind: Callable[[int], bool]) -> bool:
    try:
        return is_kind(path.stat().st_mode)
    except OSError:
        return False
