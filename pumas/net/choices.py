"""What can be downloaded of a repo: the files of each quantization with those that it needs, or all of it.

    own        files that name the quantization
    shared     configurations, tokenizers, vocabularies, licences: they go with each
    projector  the part of a GGUF model that reads pictures (`mmproj`): it goes with each, one of them (L-32)
    nothing    pages and pictures for people, what names another quantization

The whole repo is a choice too: everything but pages for people.

The sizes of a search (`quantizations.sizes`) are those of the desktop app and count pages too; these are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pumas.net.quantizations import in_order, normalized, quantization
from pumas.repos import RepoFile

_WEIGHTS = (".safetensors", ".gguf", ".ckpt", ".pt", ".pth", ".bin", ".onnx", ".ggml", ".sft")
_SHARED = (".json", ".yml", ".yaml", ".txt", ".model", ".vocab", ".merges", ".jinja", ".tiktoken")
_FOR_PEOPLE = (".md", ".gitattributes", ".gitignore")
_PROJECTOR = "mmproj"
_PROJECTOR_ORDER = ("f16", "fp16", "bf16", "f32")


def is_weights(path: str) -> bool:
    """Whether a file holds numbers of a model, as its name says."""
    return path.lower().endswith(_WEIGHTS)


def choices_of(files: Sequence[RepoFile]) -> list[tuple[str | None, tuple[RepoFile, ...]]]:
    """What can be chosen, each with the files that it takes.

    Returns:
        The quantizations, in the order in which they are shown; then, without a name, the whole repo, if it has files.
    """
    named = {file.path: quantization(file.path) for file in files if is_weights(file.path)}
    projectors = [file for file in files if file.path in named and _is_projector(file.path)]
    own = {path: token for path, token in named.items() if token is not None and not _is_projector(path)}
    found: list[tuple[str | None, tuple[RepoFile, ...]]] = [
        (token, tuple(_files_of(token, files, own, projectors))) for token in in_order(own.values())
    ]
    everything = tuple(file for file in files if not file.path.lower().endswith(_FOR_PEOPLE))
    return [*found, (None, everything)] if everything else found


def _files_of(
    token: str, files: Sequence[RepoFile], own: dict[str, str], projectors: Sequence[RepoFile]
) -> Iterable[RepoFile]:
    projector = _projector_for(token, projectors)
    for file in files:
        if own.get(file.path) == token or file is projector or file.path.lower().endswith(_SHARED):
            yield file


def _is_projector(path: str) -> bool:
    return _PROJECTOR in normalized(path.rpartition("/")[2]).split("_")


def _projector_for(token: str, projectors: Sequence[RepoFile]) -> RepoFile | None:
    """The one of the same quantization, else the one with the best precision that costs little."""
    by_token = {quantization(file.path): file for file in reversed(projectors)}
    wanted = (token, *_PROJECTOR_ORDER)
    return next((by_token[one] for one in wanted if one in by_token), projectors[0] if projectors else None)
