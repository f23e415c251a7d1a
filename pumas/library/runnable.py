"""Which files of a repo are run together: what is downloaded may hold a model several times, in other formats.

    a pipeline (`model_index.json`)   all its parts, in the plain precision where there is one
    any other                         the largest set of shards, or the largest file; and its projector (`mmproj`)

Of several formats the first counts that there is: GGUF, safetensors, others.
"""

from __future__ import annotations

from collections.abc import Sequence

from pumas.library.shards import find_shards
from pumas.net.quantizations import quantization
from pumas.repos import RepoFile

_FORMATS = ((".gguf",), (".safetensors", ".sft"), (".bin", ".pt", ".pth", ".ckpt", ".onnx", ".ggml"))
_PIPELINE = "model_index.json"
_PROJECTOR = "mmproj"


def is_weights(path: str) -> bool:
    """Whether a file holds numbers of a model, as its name says."""
    return path.lower().endswith(tuple(suffix for suffixes in _FORMATS for suffix in suffixes))


def main_set(files: Sequence[RepoFile]) -> tuple[RepoFile, ...]:
    """The shards of the largest model among files, or the largest file, in order of their names."""
    by_path = {file.path: file for file in _weights(files)}
    sets = [tuple(by_path[path] for path in one.files) for one in find_shards(list(by_path))]
    return max(sets, key=_size_of, default=())


def run_together(files: Sequence[RepoFile]) -> tuple[RepoFile, ...]:
    """The weights that running the model loads."""
    if any(file.path == _PIPELINE for file in files):
        weights = _weights(files)
        plain = tuple(file for file in weights if quantization(file.path) is None)
        return plain or weights
    model = main_set(files)
    is_gguf = any(file.path.lower().endswith(_FORMATS[0]) for file in model)
    return (*model, *(file for file in files if is_gguf and _is_projector(file)))


def _weights(files: Sequence[RepoFile]) -> tuple[RepoFile, ...]:
    """Files with numbers of a model, of the best format that there is."""
    models = [file for file in files if not _is_projector(file)]
    found = (tuple(file for file in models if file.path.lower().endswith(suffixes)) for suffixes in _FORMATS)
    return next((weights for weights in found if weights), ())


def _is_projector(file: RepoFile) -> bool:
    return _PROJECTOR in file.path.rpartition("/")[2].lower()


def _size_of(files: Sequence[RepoFile]) -> int:
    return sum(file.size_bytes or 0 for file in files)
