"""How much memory running a model takes, as far as its header and its configuration tell.

    need     = weights + cache + overhead
    weights  = bytes of its files: they are held as they are stored
    cache    = context * sum over layers of heads * (length of a key + length of a value) * 2 bytes
    overhead = 512 tokens * vocabulary * 4 bytes + 512 MiB

The cache holds a key and a value for each token, layer and head (as few heads as share them, arXiv:1911.02150) in 16
bits, the default of llama.cpp (`--cache-type-k`). Names: `docs/gguf.md` of ggml, `config.json` of transformers; a
length that is not given is that of the embedding over the number of heads. The overhead is the logits of one batch
(`n_ubatch` of llama.cpp, floats of 32 bits) and what the runtime of a GPU takes.

It is an estimate from above: layers that look at a window, or keep a compressed cache, take less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pumas.fitting import MemoryNeed, Place
from pumas.models import Header

_CACHE_ELEMENT_BYTES = 2
_BATCH_TOKENS = 512
_LOGIT_BYTES = 4
_RUNTIME_BYTES = 512 << 20
_MOST = 1 << 32  # no count or length in a header is more; a larger one says nothing
_TEXT_PARTS = ("text_config", "llm_config", "language_config")


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a model decides how much it keeps of each token; None for what is not told."""

    context_length: int | None = None
    """Tokens that it was made for."""
    cache_elements: int | None = None
    """Numbers kept of one token."""
    vocabulary: int | None = None


def shape_of_gguf(header: Header) -> Shape:
    """What the header of a GGUF file tells."""
    own = {
        name.removeprefix(f"{header.architecture}."): value
        for name, value in header.metadata.items()
        if name.startswith(f"{header.architecture}.")
    }
    heads = _each(own.get("attention.head_count"))
    shared = _each(own.get("attention.head_count_kv")) or heads
    head_length = _ratio(_count(own.get("embedding_length")), max(heads, default=0))
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    listed = len(tokens) if isinstance(tokens, list) else tokens.get("count") if isinstance(tokens, Mapping) else None
    return Shape(
        context_length=_count(own.get("context_length")),
        cache_elements=_elements(
            _count(own.get("block_count")),
            shared,
            _first(_count(own.get("attention.key_length")), head_length),
            _first(_count(own.get("attention.value_length")), head_length),
        ),
        vocabulary=_first(_count(own.get("vocab_size")), _count(listed)),
    )


def shape_of_config(config: Mapping[str, object]) -> Shape:
    """What the `config.json` of a repo tells; that of a model with several parts has a part for texts."""
    parts = (config.get(name) for name in _TEXT_PARTS)
    text = next((part for part in parts if isinstance(part, Mapping)), config)
    heads = _count(text.get("num_attention_heads"))
    shared = _first(_count(text.get("num_key_value_heads")), heads)
    length = _first(_count(text.get("head_dim")), _ratio(_count(text.get("hidden_size")), heads or 0))
    return Shape(
        context_length=_count(text.get("max_position_embeddings")),
        cache_elements=_elements(
            _count(text.get("num_hidden_layers")), [] if shared is None else [shared], length, length
        ),
        vocabulary=_count(text.get("vocab_size")),
    )


def memory_need(weights_bytes: int, shape: Shape, context: int | None = None) -> MemoryNeed:
    """What running a model takes.

    Args:
        weights_bytes: Of its files.
        shape: What is known of it.
        context: Tokens to keep; those that it was made for when not given.
    """
    context = None if shape.cache_elements is None else _first(context, shape.context_length)
    cache_bytes = (context or 0) * _bytes_of_token(shape)
    overhead_bytes = _BATCH_TOKENS * (shape.vocabulary or 0) * _LOGIT_BYTES + _RUNTIME_BYTES
    return MemoryNeed(
        weights_bytes=weights_bytes,
        context=context,
        cache_bytes=cache_bytes,
        overhead_bytes=overhead_bytes,
        total_bytes=weights_bytes + cache_bytes + overhead_bytes,
    )


def place_for(need_bytes: int, memory_free_bytes: int, gpu_free_bytes: Sequence[int]) -> Place:
    """The fastest place with room for so much."""
    if need_bytes <= max(gpu_free_bytes, default=0):
        return "gpu"
    if need_bytes <= sum(gpu_free_bytes):
        return "gpus"
    if need_bytes <= memory_free_bytes + sum(gpu_free_bytes):
        return "split" if any(gpu_free_bytes) else "memory"
    return "nowhere"


def longest_context(need: MemoryNeed, shape: Shape, free_bytes: int) -> int | None:
    """Most tokens, up to those that the model was made for, that there is room for; None for one that keeps none."""
    token_bytes = _bytes_of_token(shape)
    if need.context is None or not token_bytes:
        return None
    tokens = max(0, free_bytes - need.weights_bytes - need.overhead_bytes) // token_bytes
    return tokens if shape.context_length is None else min(tokens, shape.context_length)


def _bytes_of_token(shape: Shape) -> int:
    return (shape.cache_elements or 0) * _CACHE_ELEMENT_BYTES


def _elements(layers: int | None, heads: Sequence[int], key_length: int | None, value_length: int | None) -> int | None:
    """Numbers kept of a token: `heads` has those of each layer, or one number for all."""
    if layers is None or not heads or key_length is None or value_length is None:
        return None
    total = (sum(heads) if len(heads) > 1 else heads[0] * layers) * (key_length + value_length)
    return total if total <= _MOST else None


def _each(value: object) -> list[int]:
    """A number for all layers, or one for each; nothing when any of them is none."""
    counts = [_count(one) for one in (value if isinstance(value, list) else [value])]
    known = [one for one in counts if one is not None]
    return known if len(known) == len(counts) else []


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST else None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _ratio(whole: int | None, parts: int) -> int | None:
    return whole // parts if whole is not None and parts > 0 else None
