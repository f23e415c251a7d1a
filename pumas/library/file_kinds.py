"""What kind of model a file holds: by its content, else by its name (`library.md` §5.1 to §5.3).

Evidence in the order of its weight, with the confidence that it gives:

    1.0   the architecture in the header of a GGUF file, the part of a pipeline that its own document names
    0.95  names and shapes of tensors that only this kind has (`signatures`)
    0.9   most names of tensors are those of language models, or of diffusion models
    0.4   the content says little: GGUF without an architecture, a large file with one tensor of a language model
    0.2   the name alone
    0     nothing: neither content nor name are those of a model

Below `pumas.models.SURE` a user should look.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
import pumas_native

from pumas.errors import native_errors, shown
from pumas.library.checkpoints import read_names
from pumas.library.formats import first_bytes, format_of
from pumas.library.headers import header_of
from pumas.library.tensor_kinds import NAME_WORDS, Words, kind_by_tensors
from pumas.models import ModelKind

_Format = Literal["gguf", "safetensors"]

# Families that go by another name than the architecture of their GGUF files.
_GGUF_FAMILIES = {
    "codellama": "llama",
    "mixtral": "mistral",
    "phi2": "phi",
    "phi3": "phi",
    "qwen2": "qwen",
    "gptneox": "gpt-neox",
    "gpt_neox": "gpt-neox",
    "gptj": "gpt-j",
    "starcoder2": "starcoder",
}

# Architectures of GGUF files that hold the part of a diffusion model that makes pictures or films (L-25).
_GGUF_DIFFUSION = frozenset(
    {
        "aura", "chroma", "cosmos", "flux", "hidream", "hyvid", "ltxv", "lumina2", "pixart", "qwen_image", "sd1", "sd3",
        "sdxl", "wan",
    }
)  # fmt: skip

_BY_SUFFIX = {
    ".gguf": ("llm", ""),
    ".bin": ("llm", ""),
    ".ckpt": ("diffusion", "checkpoints"),
    ".safetensors": ("diffusion", "checkpoints"),
    ".pt": ("diffusion", "loras"),
}
_MODEL_SUFFIXES = frozenset({*_BY_SUFFIX, ".ggml", ".llamafile", ".onnx", ".pkl", ".pth", ".sft"})
_SUFFIX_FORMATS: Final[Mapping[str, _Format]] = {
    ".gguf": "gguf",
    ".safetensors": "safetensors",
    ".sft": "safetensors",
}
_NO_WORDS = Words(0, (0, 0), (), ())


class _Told(msgspec.Struct, gc=False):
    """What is needed of a header (`pumas_native.read_header`)."""

    format: _Format
    size_bytes: int
    version: int | None = None
    architecture: str | None = None
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    words: Words = _NO_WORDS


class _GgufMetadata(msgspec.Struct, gc=False):
    kind: object = msgspec.field(default=None, name="general.type")


_decode = msgspec.json.Decoder(_Told).decode
_decode_metadata = msgspec.json.Decoder(dict[str, object]).decode
_decode_gguf = msgspec.json.Decoder(_GgufMetadata).decode
_decode_words = msgspec.json.Decoder(Words).decode


def kind_by_name(name: str) -> tuple[str, str]:
    """Model type and subtype of a file whose content says nothing."""
    return _BY_SUFFIX.get(_suffix(name), ("llm", ""))


def gguf_family(architecture: str) -> str:
    """Family of the models of an architecture, as GGUF and the documents of transformers name it, in lower case."""
    return _GGUF_FAMILIES.get(architecture, architecture)


def has_model_name(name: str) -> bool:
    """Whether a file's name is that of a model in any format."""
    return _suffix(name) in _MODEL_SUFFIXES


def _suffix(name: str) -> str:
    # PERF: a fraction of what pathlib takes (bench_headers).
    return os.path.splitext(name)[1].lower()  # noqa: PTH122


def file_kinds(
    paths: Sequence[str | os.PathLike[str]],
    *,
    progress: Callable[[int], None] | None = None,
    cancel: pumas_native.CancelToken | None = None,
) -> list[ModelKind]:
    """What kind of model each file holds, by its content, else by its name; confidence 0 for what is no model.

    Args:
        paths: Files; of one that can't be read the name is all there is.
        progress: Called with the files read so far.
        cancel: Looked at between files.

    Raises:
        Cancelled: `cancel` was set.
    """
    names = [os.fspath(path) for path in paths]
    found = kinds_by_content(names, progress=progress, cancel=cancel)
    return [kind if kind.model_type else _named(name) for name, kind in zip(names, found, strict=True)]


def _named(name: str) -> ModelKind:
    model_type, subtype = kind_by_name(name)
    if not has_model_name(name):
        return ModelKind(model_type=model_type, subtype=subtype)
    evidence = f"only its name says so: it ends with {_suffix(name)}"
    return ModelKind(model_type=model_type, subtype=subtype, evidence=(evidence,), confidence=0.2)


def kind_by_content(path: Path) -> ModelKind:
    """What kind of model a file holds as its content says, without a type if that says nothing."""
    return kinds_by_content([os.fspath(path)])[0]


def kinds_by_content(
    paths: Sequence[str],
    *,
    progress: Callable[[int], None] | None = None,
    cancel: pumas_native.CancelToken | None = None,
) -> list[ModelKind]:
    """The same of many files, in their order; `progress` and `cancel` as of `file_kinds`."""
    # What a name promises is read as that even where the first bytes are odd; any other name may hide either format.
    places: dict[_Format | None, list[int]] = {"gguf": [], "safetensors": [], None: []}
    for place, path in enumerate(paths):
        places[_SUFFIX_FORMATS.get(_suffix(path))].append(place)
    found = [ModelKind()] * len(paths)
    done = 0
    for file_format, at in places.items():
        if not at:
            continue
        is_gguf = file_format == "gguf"
        with native_errors():
            headers = pumas_native.read_headers(
                [paths[place] for place in at],
                detail="keys" if is_gguf else "names",
                file_format=file_format,
                words=None if is_gguf else NAME_WORDS,
                progress=_counted_from(done, progress),
                cancel=cancel,
            )
        for place, facts in zip(at, headers.facts, strict=True):
            path = paths[place]
            found[place] = _without_header(path) if facts is None else _of_header(path, facts)
        done += len(at)
    return found


def _counted_from(done: int, progress: Callable[[int], None] | None) -> Callable[[int], None] | None:
    return None if progress is None else lambda more: progress(done + more)


def _of_header(path: str, facts: bytes) -> ModelKind:
    header = _decode(facts)
    if header.format == "gguf":
        return _gguf_kind(header)
    metadata = _decode_metadata(header.metadata)
    return kind_by_tensors(header.words, metadata, header.size_bytes, lambda: _shapes(path))


def _shapes(path: str) -> Mapping[str, Sequence[int]]:
    try:
        header = header_of(pumas_native.read_header(path, detail="tensors", file_format="safetensors"))
    except (OSError, pumas_native.errors.HeaderError):
        return {}
    return {tensor.name.lower(): tensor.shape for tensor in header.tensors}


def _without_header(path: str) -> ModelKind:
    try:
        file_format = format_of(first_bytes(Path(path)), path)
        if file_format == "gguf":
            return _damaged_gguf_kind(path)
        if file_format == "ggml":
            return ModelKind(model_type="llm", evidence=("it is of GGML's old format",), confidence=0.4)
        if file_format in ("zip", "pickle") and (names := read_names(Path(path))) is not None:
            return _checkpoint_kind(path, names)
    except (OSError, ValueError):
        pass  # it can't be read: it says nothing
    return ModelKind()


def _damaged_gguf_kind(path: str) -> ModelKind:
    """Damage behind the architecture does not hide it (L-25)."""
    try:
        return _gguf_kind(_decode(pumas_native.read_header(path, detail="type", file_format="gguf")))
    except pumas_native.errors.HeaderError as exc:
        return ModelKind(model_type="llm", evidence=(f"it is GGUF, but damaged: {exc.offence}",), confidence=0.4)


def _gguf_kind(header: _Told) -> ModelKind:
    architecture = (header.architecture or "").lower()
    if header.version == 1 or not architecture:
        return ModelKind(model_type="llm", evidence=("it is GGUF, but names no architecture",), confidence=0.4)
    model_type, subtype = "llm", ""
    if architecture in _GGUF_DIFFUSION:
        model_type, subtype = "diffusion", "checkpoints"
    elif architecture == "t5encoder":
        model_type, subtype = "diffusion", "clip"
    elif _decode_gguf(header.metadata).kind == "adapter":
        subtype = "loras"
    return ModelKind(
        model_type=model_type,
        subtype=subtype,
        family=gguf_family(architecture),
        extra={"gguf_architecture": architecture},
        evidence=(f"its GGUF header names the architecture {shown(architecture)}",),
        confidence=1.0,
    )


def _checkpoint_kind(path: str, names: Sequence[str]) -> ModelKind:
    words = _decode_words(NAME_WORDS.find(names))
    kind = kind_by_tensors(words, {}, Path(path).stat().st_size, dict)
    if kind.model_type or has_model_name(path):
        return msgspec.structs.replace(kind, extra={})
    return ModelKind(model_type="llm", evidence=("it is a checkpoint of PyTorch",), confidence=0.2)
