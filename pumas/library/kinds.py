"""Model type and family of a file: by its content, else by its name (`library.md` §5.1 to §5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pumas_native

from pumas.library.formats import first_bytes
from pumas.library.headers import header_of
from pumas.library.records import is_model_file
from pumas.models import Header, ModelKind

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


def kind_by_name(name: str) -> tuple[str, str]:
    """Model type and subtype of a file whose content says nothing."""
    return _BY_SUFFIX.get(Path(name).suffix.lower(), ("llm", ""))


def kind_by_content(path: Path) -> ModelKind:
    """Model type and family as the content of a GGUF or safetensors file says; its name says which of them it is."""
    suffix = path.suffix.lower()
    if suffix == ".gguf":
        return _gguf_kind(path)
    if suffix == ".safetensors":
        return _safetensors_kind(path)
    return ModelKind()


def kind_of(path: Path) -> ModelKind:
    """The kind of a model, by its largest file."""
    files = [path] if path.is_file() else [one for one in path.iterdir() if is_model_file(one.name) and one.is_file()]
    if not files:
        return ModelKind()
    largest = max(files, key=lambda one: one.stat().st_size)
    kind = kind_by_content(largest)
    if kind.model_type is None:
        model_type, subtype = kind_by_name(largest.name)
        return ModelKind(model_type=model_type, subtype=subtype)
    subtype = "" if kind.model_type == "llm" else "checkpoints"
    return ModelKind(model_type=kind.model_type, subtype=subtype, family=kind.family, extra=kind.extra, confidence=0.9)


def _gguf_kind(path: Path) -> ModelKind:
    try:
        if first_bytes(path, 4) != b"GGUF":
            return ModelKind()
        # Damage behind the architecture does not hide it (L-25).
        header = header_of(pumas_native.read_header(path, detail="type", file_format="gguf"))
    except OSError:
        return ModelKind()
    except pumas_native.errors.HeaderError:
        return ModelKind(model_type="llm")
    architecture = (header.architecture or "").lower()
    if header.version == 1 or not architecture:
        return ModelKind(model_type="llm")
    return ModelKind(
        model_type="diffusion" if architecture in _GGUF_DIFFUSION else "llm",
        family=_GGUF_FAMILIES.get(architecture, architecture),
        extra={"gguf_architecture": architecture},
    )


def _safetensors_kind(path: Path) -> ModelKind:
    try:
        header = header_of(pumas_native.read_header(path, detail="names", file_format="safetensors"))
    except (OSError, pumas_native.errors.HeaderError):
        return ModelKind()
    names = [name.lower() for name in header.names if not name.startswith("__")]
    llm, diffusion = _hints(names, _LLM_HINTS), _hints(names, _DIFFUSION_HINTS)
    first = " ".join(names[:_NAMES_READ])
    extra: dict[str, object] = {"safetensors_metadata": header.metadata}
    if llm > diffusion and llm > _ENOUGH_HINTS:
        family = next((family for word, family in _LLM_WORDS.items() if word in first), None)
        return ModelKind(model_type="llm", family=family, extra=extra)
    if diffusion > llm and diffusion > _ENOUGH_HINTS:
        return ModelKind(model_type="diffusion", family=_diffusion_family(first, header), extra=extra)
    if header.size_bytes > _LARGE_BYTES and llm > 0:
        return ModelKind(model_type="llm", extra=extra)
    return ModelKind()


def _hints(names: Sequence[str], hints: Sequence[str]) -> int:
    return sum(any(hint in name for hint in hints) for name in names)


def _diffusion_family(first: str, header: Header) -> str:
    told = str(header.metadata).lower()
    return next((word for word in _DIFFUSION_WORDS if word in first or word in told), "stable-diffusion")
