"""What the names of a model's tensors say of its kind: the contract's counts (`library.md` §5.3), then the signatures.

All words are looked for at once by native code (`pumas_native.NameWords`); here it is decided what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec
import pumas_native

from pumas.library.signatures import SIGNATURE_WORDS, Shapes, Signature, family_by_shape, find_signature
from pumas.models import ModelKind

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
_ENOUGH_HINTS = 5
_LARGE_BYTES = 1_000_000_000

# What makers of LoRAs and checkpoints write into a header: Stability AI Model Metadata Standard, kohya-ss/sd-scripts.
_TOLD_FAMILIES = (
    (("stable-diffusion-xl", "sdxl"), "sdxl"),
    (("stable-diffusion-v3", "stable-diffusion-3", "sd3"), "sd3"),
    (("stable-diffusion-v", "sd_v"), "stable-diffusion"),
    (("flux",), "flux"),
)

# The first two groups are counted.
_GROUPS = (_LLM_HINTS, _DIFFUSION_HINTS, (*_LLM_WORDS, *_DIFFUSION_WORDS), SIGNATURE_WORDS)
_FLAT = tuple(word for group in _GROUPS for word in group)
NAME_WORDS: Final = pumas_native.NameWords(_GROUPS)
"""What is looked for in names."""


class Words(msgspec.Struct, frozen=True, gc=False):
    """What was found in the names of a model's tensors (`pumas_native.NameWords`)."""

    names: int
    counts: tuple[int, ...]
    anywhere: tuple[int, ...]
    first: tuple[int, ...]


def kind_by_tensors(words: Words, metadata: Mapping[str, object], size_bytes: int, shapes: Shapes) -> ModelKind:
    """Tell what a model is, without a type if its names say nothing.

    Args:
        words: What was found of `NAME_WORDS`.
        metadata: That of the file, if it has any.
        size_bytes: Of the file.
        shapes: Called at most once.
    """
    counted = _counted_kind(words, metadata, size_bytes)
    signature = _signature(words.anywhere)
    if signature is None:
        return counted
    family = family_by_shape(signature, shapes) or signature.family or _told_family(metadata)
    if family is None and counted.model_type == signature.model_type:
        family = counted.family
    return ModelKind(
        model_type=signature.model_type,
        subtype=signature.subtype,
        family=family,
        extra={"safetensors_metadata": metadata},
        evidence=(f"its tensors are named like those of {signature.about}", *counted.evidence),
        confidence=0.95,
    )


# PERF: a library has many files with the same names (bench_headers).
@lru_cache(maxsize=1024)
def _signature(anywhere: tuple[int, ...]) -> Signature | None:
    return find_signature(frozenset(_FLAT[place] for place in anywhere))


def _counted_kind(words: Words, metadata: Mapping[str, object], size_bytes: int) -> ModelKind:
    """The contract's table: which hints more names have."""
    llm, diffusion = words.counts[:2]
    extra: dict[str, object] = {"safetensors_metadata": metadata}
    if llm > diffusion and llm > _ENOUGH_HINTS:
        first = {_FLAT[place] for place in words.first}
        family = next((family for word, family in _LLM_WORDS.items() if word in first), None)
        evidence = f"{llm} of {words.names} tensors are named like those of language models"
        return ModelKind(model_type="llm", family=family, extra=extra, evidence=(evidence,), confidence=0.9)
    if diffusion > llm and diffusion > _ENOUGH_HINTS:
        first = {_FLAT[place] for place in words.first}
        told = str(metadata).lower()
        family = next((word for word in _DIFFUSION_WORDS if word in first or word in told), "stable-diffusion")
        evidence = f"{diffusion} of {words.names} tensors are named like those of diffusion models"
        return ModelKind(
            model_type="diffusion",
            subtype="checkpoints",
            family=family,
            extra=extra,
            evidence=(evidence,),
            confidence=0.9,
        )
    if size_bytes > _LARGE_BYTES and llm > 0:
        evidence = "it is large, and a few tensors are named like those of language models"
        return ModelKind(model_type="llm", extra=extra, evidence=(evidence,), confidence=0.4)
    return ModelKind()


def _told_family(metadata: Mapping[str, object]) -> str | None:
    for key in ("modelspec.architecture", "ss_base_model_version"):
        told = str(metadata.get(key, "")).lower()
        for beginnings, family in _TOLD_FAMILIES:
            if told.startswith(beginnings):
                return family
    return None
