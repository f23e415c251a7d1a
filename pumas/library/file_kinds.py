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
from pumas.library.signatures import Shapes, find_signature, names_text
from pumas.models import Header, ModelKind

_Format = Literal["gguf", "safetensors"]

# Families that go by another name than the architecture of their GGUF files.
_GGUF_FAMILIES = {
    "codellama": "llama",
    "mixtral": "mistral",
    "phi2": "phi",
    "phi3": "phi",
    "qwen2": "qwen",
    "gptneox": "gpt-neox",
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

_LLM_HINTS = (
    "self_attn", "lm_head", "embed_tokens", "model.layers.", "transformer.h.", "gpt_neox", "mlp.up_proj",
    "mlp.down_proj", "input_layernorm", "post_attention_layernorm", "rotary_emb",
)  # fmt: skip
_DIFFUSION_HINTS = (
    "down_blocks", "up_blocks", "mid_block", "time_embedding", "time_emb_proj", "conv_in", "conv_out", "unet", "vae",
    "encoder.down", "decoder.up", "quant_conv", "post_quant_conv",
)  # fmt: skip
_LLM_WORDS = {
    "llama": "llama",
    "mistral": "mistral",
    "falcon": "falcon",
    "gpt_neox": "gpt-neox",
    "gptneox": "gpt-neox",
    "phi": "phi",
    "qwen": "qwen",
    "gemma": "gemma",
}
_DIFFUSION_WORDS = ("sdxl", "flux", "sd3")
_NAMES_READ = 50  # of those, in which a family is looked for
_ENOUGH_HINTS = 5
_LARGE_BYTES = 1_000_000_000

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

# What makers of LoRAs and checkpoints write into a header: Stability AI Model Metadata Standard, kohya-ss/sd-scripts.
_TOLD_FAMILIES = (
    (("stable-diffusion-xl", "sdxl"), "sdxl"),
    (("stable-diffusion-v3", "stable-diffusion-3", "sd3"), "sd3"),
    (("stable-diffusion-v", "sd_v"), "stable-diffusion"),
    (("flux",), "flux"),
)


def kind_by_name(name: str) -> tuple[str, str]:
    """Model type and subtype of a file whose content says nothing."""
    return _BY_SUFFIX.get(_suffix(name), ("llm", ""))


def gguf_family(architecture: str) -> str:
    """Family of the models of an architecture, as GGUF and the documents of transformers name it, in lower case."""
    return _GGUF_FAMILIES.get(
        architecture.replace("_", "") if architecture == "gpt_neox" else architecture, architecture
    )


def has_model_name(name: str) -> bool:
    """Whether a file's name is that of a model in any format."""
    return _suffix(name) in _MODEL_SUFFIXES


def _suffix(name: str) -> str:
    # PERF: a tenth of what pathlib takes (bench_identify).
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
        count = _counted_from(done, progress)
        with native_errors():
            headers = pumas_native.read_headers(
                [paths[place] for place in at],
                detail="keys" if file_format == "gguf" else "names",
                file_format=file_format,
                progress=count,
                cancel=cancel,
            )
        for place, facts in zip(at, headers.facts, strict=True):
            path = paths[place]
            found[place] = _without_header(path) if facts is None else _of_header(path, header_of(facts))
        done += len(at)
    return found


def _counted_from(done: int, progress: Callable[[int], None] | None) -> Callable[[int], None] | None:
    return None if progress is None else lambda more: progress(done + more)


def _of_header(path: str, header: Header) -> ModelKind:
    if header.format == "gguf":
        return _gguf_kind(header)

    def shapes() -> Mapping[str, Sequence[int]]:
        try:
            tensors = header_of(pumas_native.read_header(path, detail="tensors", file_format="safetensors")).tensors
        except (OSError, pumas_native.errors.HeaderError):
            return {}
        return {tensor.name.lower(): tensor.shape for tensor in tensors}

    names = [name.lower() for name in header.names if not name.startswith("__")]
    return _kind_by_tensors(names, header.metadata, header.size_bytes, shapes)


def _without_header(path: str) -> ModelKind:
    try:
        first = first_bytes(Path(path))
        file_format = format_of(first, path)
        if file_format == "gguf":
            return _damaged_gguf_kind(path)
        if file_format == "safetensors":
            # Of another name than it should have.
            facts = pumas_native.read_header(path, detail="names", file_format="safetensors")
            return _of_header(path, header_of(facts))
        if file_format == "ggml":
            return ModelKind(model_type="llm", evidence=("it is of GGML's old format",), confidence=0.4)
        if file_format in ("zip", "pickle") and (names := read_names(Path(path))) is not None:
            return _checkpoint_kind(path, names)
    except (OSError, ValueError, pumas_native.errors.HeaderError):
        pass  # damaged or not to be read: it says nothing
    return ModelKind()


def _damaged_gguf_kind(path: str) -> ModelKind:
    """Damage behind the architecture does not hide it (L-25)."""
    try:
        return _gguf_kind(header_of(pumas_native.read_header(path, detail="type", file_format="gguf")))
    except pumas_native.errors.HeaderError as exc:
        return ModelKind(model_type="llm", evidence=(f"it is GGUF, but damaged: {exc.offence}",), confidence=0.4)


def _gguf_kind(header: Header) -> ModelKind:
    architecture = (header.architecture or "").lower()
    if header.version == 1 or not architecture:
        return ModelKind(model_type="llm", evidence=("it is GGUF, but names no architecture",), confidence=0.4)
    model_type, subtype = "llm", ""
    if architecture in _GGUF_DIFFUSION:
        model_type, subtype = "diffusion", "checkpoints"
    elif architecture == "t5encoder":
        model_type, subtype = "diffusion", "clip"
    elif header.metadata.get("general.type") == "adapter":
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
    kind = _kind_by_tensors([name.lower() for name in names], {}, Path(path).stat().st_size, dict)
    if kind.model_type or has_model_name(path):
        return msgspec.structs.replace(kind, extra={})
    return ModelKind(model_type="llm", evidence=("it is a checkpoint of PyTorch",), confidence=0.2)


def _kind_by_tensors(
    names: Sequence[str], metadata: Mapping[str, object], size_bytes: int, shapes: Shapes
) -> ModelKind:
    """What names of tensors say; `names` are in lower case."""
    text = names_text(names)
    counted = _counted_kind(text, names, metadata, size_bytes)
    row = find_signature(text, shapes)
    if row is None:
        return counted
    signature, family = row
    if family is None:
        family = _told_family(metadata) or (counted.family if counted.model_type == signature.model_type else None)
    return ModelKind(
        model_type=signature.model_type,
        subtype=signature.subtype,
        family=family,
        extra={"safetensors_metadata": metadata},
        evidence=(f"its tensors are named like those of {signature.about}", *counted.evidence),
        confidence=0.95,
    )


def _counted_kind(text: str, names: Sequence[str], metadata: Mapping[str, object], size_bytes: int) -> ModelKind:
    """`library.md` §5.3: which hints more names have."""
    llm, diffusion = _hints(text, names, _LLM_HINTS), _hints(text, names, _DIFFUSION_HINTS)
    extra: dict[str, object] = {"safetensors_metadata": metadata}
    first = " ".join(names[:_NAMES_READ])
    if llm > diffusion and llm > _ENOUGH_HINTS:
        family = next((family for word, family in _LLM_WORDS.items() if word in first), None)
        evidence = f"{llm} of {len(names)} tensors are named like those of language models"
        return ModelKind(model_type="llm", family=family, extra=extra, evidence=(evidence,), confidence=0.9)
    if diffusion > llm and diffusion > _ENOUGH_HINTS:
        told = str(metadata).lower()
        family = next((word for word in _DIFFUSION_WORDS if word in first or word in told), "stable-diffusion")
        return ModelKind(
            model_type="diffusion",
            subtype="checkpoints",
            family=family,
            extra=extra,
            evidence=(f"{diffusion} of {len(names)} tensors are named like those of diffusion models",),
            confidence=0.9,
        )
    if size_bytes > _LARGE_BYTES and llm > 0:
        evidence = "it is large, and a few tensors are named like those of language models"
        return ModelKind(model_type="llm", extra=extra, evidence=(evidence,), confidence=0.4)
    return ModelKind()


def _hints(text: str, names: Sequence[str], hints: Sequence[str]) -> int:
    """How many names have one of the hints at least."""
    left = names
    # PERF: most hints are nowhere, and what has one need not be looked at again (bench_identify).
    for hint in hints:
        if hint in text:
            left = [name for name in left if hint not in name]
    return len(names) - len(left)


def _told_family(metadata: Mapping[str, object]) -> str | None:
    for key in ("modelspec.architecture", "ss_base_model_version"):
        told = str(metadata.get(key, "")).lower()
        for beginnings, family in _TOLD_FAMILIES:
            if told.startswith(beginnings):
                return family
    return None
