"""How much memory a model takes: figures that llama.cpp and makers of models tell, and headers that tell little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumas.library.footprint import Shape, longest_context, memory_need, place_for, shape_of_config, shape_of_gguf
from pumas.models import Header

GIB = 1 << 30
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["count", "head_dim", "hidden_size"]), inner),
    max_leaves=5,
)
LLAMA = {
    "llama.block_count": 32,
    "llama.embedding_length": 4096,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
    "llama.context_length": 8192,
    "tokenizer.ggml.tokens": {"type": "string", "count": 128256},
}


def gguf(metadata, architecture="llama"):
    return Header(format="gguf", size_bytes=1, architecture=architecture, metadata=metadata)


def test_the_cache_of_llama_3_8b_is_what_llama_cpp_says():
    """`llama_kv_cache_init: KV self size = 1024.00 MiB` for 8192 tokens in f16; `compute buffer size = 258 MiB`."""
    shape = shape_of_gguf(gguf(LLAMA))
    assert shape == Shape(context_length=8192, cache_elements=65536, vocabulary=128256)
    need = memory_need(5 * GIB, shape)
    assert (need.context, need.cache_bytes) == (8192, GIB)
    assert need.overhead_bytes - (512 << 20) == 512 * 128256 * 4
    assert need.total_bytes == 6 * GIB + need.overhead_bytes


@pytest.mark.parametrize(
    ("changed", "elements"),
    [
        ({"llama.attention.head_count_kv": None}, 32 * 32 * 256),  # no sharing: as many as there are heads
        ({"llama.attention.key_length": 256}, 32 * 8 * (256 + 128)),
        ({"llama.attention.key_length": 192, "llama.attention.value_length": 64}, 32 * 8 * 256),
        ({"llama.attention.head_count_kv": [8] * 16 + [0] * 16}, 16 * 8 * 256),  # layers without attention
        ({"llama.attention.head_count": 0, "llama.attention.head_count_kv": 0}, None),
        ({"llama.attention.head_count": {"type": "uint32", "count": 162}}, None),
        ({"llama.block_count": None}, None),
        ({"llama.block_count": "32"}, None),
        ({"llama.block_count": True}, None),
        ({"llama.block_count": -1}, None),
        ({"llama.block_count": 1 << 40}, None),
        ({"llama.embedding_length": 1 << 31}, None),
    ],
)
def test_a_header_that_tells_it_otherwise(changed, elements):
    metadata = {name: value for name, value in {**LLAMA, **changed}.items() if value is not None}
    assert shape_of_gguf(gguf(metadata)).cache_elements == elements


def test_keys_of_another_architecture_say_nothing():
    assert shape_of_gguf(gguf(LLAMA, "qwen2")) == Shape(vocabulary=128256)
    assert shape_of_gguf(gguf({}, None)) == Shape()


CONFIG = {
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "hidden_size": 3584,
    "max_position_embeddings": 32768,
    "vocab_size": 152064,
}


def test_a_configuration_of_transformers():
    expected = Shape(context_length=32768, cache_elements=28 * 4 * 256, vocabulary=152064)
    assert shape_of_config(CONFIG) == expected
    assert shape_of_config({"vision_config": {}, "text_config": CONFIG}) == expected
    assert shape_of_config({**CONFIG, "head_dim": 256}).cache_elements == 28 * 4 * 512
    del (own := dict(CONFIG))["num_key_value_heads"]
    assert shape_of_config(own).cache_elements == 28 * 28 * 256


@given(st.dictionaries(st.sampled_from([*CONFIG, "head_dim", "text_config"]), ANYTHING))
def test_any_configuration_gives_a_shape_without_an_exception(config):
    need = memory_need(1, shape_of_config(config))
    assert need.total_bytes < 1 << 70


@given(st.dictionaries(st.sampled_from(sorted(LLAMA)), ANYTHING))
def test_any_header_gives_a_shape_without_an_exception(metadata):
    need = memory_need(1, shape_of_gguf(gguf(metadata)))
    assert need.total_bytes < 1 << 70


def test_the_context_that_is_asked_for_counts():
    shape = shape_of_gguf(gguf(LLAMA))
    assert memory_need(0, shape, 4096).cache_bytes == GIB // 2
    unknown = memory_need(7, Shape())
    assert (unknown.context, unknown.cache_bytes) == (None, 0)
    assert memory_need(7, Shape(), 4096).context is None, "what is not known is not guessed"


@pytest.mark.parametrize(
    ("need", "memory", "gpus", "place"),
    [
        (8, 0, (8, 2), "gpu"),
        (9, 0, (8, 2), "gpus"),
        (11, 100, (8, 2), "split"),
        (11, 1, (8, 2), "split"),
        (12, 1, (8, 2), "nowhere"),
        (11, 11, (), "memory"),
        (11, 11, (0,), "memory"),
        (12, 11, (), "nowhere"),
    ],
)
def test_the_fastest_place_with_room(need, memory, gpus, place):
    assert place_for(need, memory, gpus) == place


def test_the_longest_context_is_exactly_what_there_is_room_for():
    shape = shape_of_gguf(gguf(LLAMA))
    need = memory_need(5 * GIB, shape)
    free = need.weights_bytes + need.overhead_bytes + 1000 * 131072
    assert longest_context(need, shape, free) == 1000
    assert longest_context(need, shape, free - 1) == 999
    assert longest_context(need, shape, 100 * GIB) == 8192
    assert longest_context(need, shape, GIB) == 0
    assert longest_context(memory_need(1, Shape()), Shape(), GIB) is None
