"""Words in names, against a plain search."""

from __future__ import annotations

import json

import pumas_native
from hypothesis import given
from hypothesis import strategies as st

_TEXTS = st.text("abL_.\n1é", max_size=8)
_WORDS = st.lists(st.lists(st.text("abl_.\n1é", min_size=1, max_size=3), max_size=4), max_size=3)


@given(st.lists(_TEXTS, max_size=60), _WORDS)
def test_words_are_found_as_by_a_plain_search(names, words):
    lines = [f"\n{name}\n".lower() for name in names if not name.startswith("__")]
    flat = [word for group in words for word in group]
    expected = {
        "names": len(lines),
        "counts": [sum(any(word in line for word in group) for line in lines) for group in words],
        "anywhere": [at for at, word in enumerate(flat) if any(word in line for line in lines)],
        "first": [at for at, word in enumerate(flat) if any(word in line for line in lines[:50])],
    }
    assert json.loads(pumas_native.NameWords(words).find(names)) == expected
