"""What names of files and repos tell: what the recorded cases don't hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumas.net.hub_names import base_name, most_similar, plain_name, similarity


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("mistral-7b-instruct-v0.3.Q5_K_M.gguf", "mistral-7b-instruct-v0.3"),
        ("Qwen2-72B-Q4_K_M-00001-of-00003.gguf", "Qwen2-72B"),
        ("Llama-3.1-8B-UD-Q4_K_XL.gguf", "Llama-3.1-8B"),
        ("qwen.IQ4_NL.gguf", "qwen"),
        ("sub/model-00002-of-00002.safetensors", "model"),
        ("no-quantization.gguf", "no-quantization"),
        ("Q4_K_M.gguf", "Q4_K_M"),
        ("", ""),
    ],
)
def test_plain_name(filename, expected):
    assert plain_name(filename) == expected


def test_a_fraction_of_a_billion_is_a_size_too():
    assert base_name("Qwen2-1.5B.gguf") == "Qwen2"


def test_the_first_of_equals_wins():
    assert most_similar("tie", ["a/other", "a/tie", "b/tie"]) == ("a/tie", 1.0)


def test_nothing_alike_is_nothing():
    assert most_similar("abc", ["x/zzz"]) is None
    assert most_similar("abc", []) is None


@given(st.text(max_size=40), st.text(max_size=40))
def test_similarity_is_a_share_and_ignores_case(text, name):
    ratio = similarity(text, f"owner/{name}")
    assert 0 <= ratio <= 1
    if name.isascii() and "/" not in name:
        assert ratio == similarity(text, f"other/{name.upper()}")
