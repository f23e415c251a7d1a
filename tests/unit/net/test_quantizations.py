"""Quantizations as names tell them: what the recorded cases don't hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumas.net.quantizations import TOKENS, has_token, in_order, normalized, quantization, quantizations, sizes


@pytest.mark.parametrize("token", TOKENS)
def test_a_file_named_after_a_token_has_that_quantization(token):
    assert quantization(f"sub/My-Model.{token.upper()}.gguf") == token


@given(st.text(alphabet="qQ48k_-.miXsl0 /f", max_size=30))
def test_the_longest_token_wins_and_the_first_of_the_table_among_equals(text):
    standing = [token for token in TOKENS if has_token(normalized(text), token)]
    assert quantization(text) == max(standing, key=len, default=None)


def test_two_qualities_of_one_repo_do_not_share_their_bytes():
    files = [("m-Q6_K.gguf", 10), ("m-Q6_K_L.gguf", 12), ("m-Q4_K_M.gguf", 7)]
    assert sizes(files) == {"q4_k_m": 7, "q6_k": 10, "q6_k_l": 12}


def test_a_file_without_a_size_counts_nothing():
    assert sizes([("m-Q4_0.gguf", None), ("m-Q8_0.gguf", 5), ("config.json", None)]) == {"q4_0": 0, "q8_0": 5}


def test_shards_are_summed_and_the_order_is_that_of_the_table():
    files = [("Q8_0/m-1-of-2.gguf", 1), ("Q8_0/m-2-of-2.gguf", 2), ("IQ1_S/m.gguf", 3), ("m-IQ4_NL.gguf", 4)]
    assert list(sizes(files).items()) == [("iq1_s", 3), ("q8_0", 3), ("iq4_nl", 4)]


def test_what_is_not_known_is_shown_last():
    assert in_order(["zzz", "q8_0", "aaa", "iq1", "zzz"]) == ["iq1", "q8_0", "aaa", "zzz"]
    assert quantizations([]) == []
