"""Quantizations as the names of files and the tags of repos tell them (`library.md` §8.2).

A text is looked at in its normalised form: lower case, each run of anything but `a-z0-9` one `_`, none at the ends. It
names the longest token whose segments stand in it in a row: `m-Q4_K_M.gguf` names `q4_k_m`, not `q4`; `iq4_xs` does
not name `q4`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

TOKENS = (
    *("iq1", "iq1_s", "iq1_m"),
    *("iq2_xxs", "iq2_xs", "iq2_s", "iq2_k_s", "iq2_k", "iq2_m"),
    *("iq3_xxs", "iq3_xs", "iq3_s", "iq3_k_s", "iq3_m", "iq3_k_m", "iq3_k_l"),
    *("iq4_xxs", "iq4_xs", "iq4_s", "iq4_m", "iq4_k_s", "iq4_k_m", "iq4_k_l"),
    *("q2", "q2_k", "q2_k_s", "q2_k_m"),
    *("q3", "q3_k", "q3_k_s", "q3_k_m", "q3_k_l"),
    *("q4", "q4_0", "q4_1", "q4_k_s", "q4_k_m"),
    *("q5", "q5_0", "q5_1", "q5_k_s", "q5_k_m"),
    *("q6", "q6_k", "q8", "q8_0"),
    *("int4", "int8", "fp16", "fp32", "bf16", "f16", "f32"),
    # What the original does not know, behind what it does (L-32): the types of llama.cpp and its best-known packers,
    # spellings without `_`, and floats of less than 16 bits.
    *("tq1_0", "tq2_0", "iq4_nl"),
    *("q2_k_l", "q2_k_xl", "q3_k_xl", "q4_k", "q4_k_l", "q4_k_xl", "q5_k", "q5_k_l", "q5_k_xl"),
    *("q6_k_l", "q6_k_xl", "q8_k_xl", "q4_0_4_4", "q4_0_4_8", "q4_0_8_8"),
    *("q2k", "q3ks", "q3km", "q3kl", "q4ks", "q4km", "q5ks", "q5km", "q6k"),
    *("mxfp4", "nvfp4", "nf4", "fp4", "fp8", "4bit", "8bit"),
)
"""All that are known, in the order in which they are shown."""

_SHARED = (".json", ".yml", ".yaml", ".txt", ".md")
_NOT_A_WORD = re.compile(r"[^a-z0-9]+")
_RANKS = {token: rank for rank, token in enumerate(TOKENS)}
_BY_SEGMENTS = {tuple(token.split("_")): token for token in TOKENS}
_MOST_SEGMENTS = max(map(len, _BY_SEGMENTS))


def normalized(text: str) -> str:
    """The form in which tokens are looked for."""
    return _NOT_A_WORD.sub("_", text.lower()).strip("_")


def has_token(text: str, token: str) -> bool:
    """Whether the segments of a token stand in a normalised text in a row."""
    return bool(token) and f"_{token}_" in f"_{text}_"


def quantization(path_or_tag: str) -> str | None:
    """The quantization that a path or a tag names; None when it names none."""
    segments = normalized(path_or_tag).split("_")
    found = set(_tokens_in(segments))
    return min(found, key=lambda token: (-len(token), _RANKS[token]), default=None)


def _tokens_in(segments: Sequence[str]) -> Iterator[str]:
    for start in range(len(segments)):
        for length in range(1, _MOST_SEGMENTS + 1):
            token = _BY_SEGMENTS.get(tuple(segments[start : start + length]))
            if token is not None:
                yield token


def quantizations(paths_and_tags: Iterable[str]) -> list[str]:
    """The quantizations that any of them name, in the order in which they are shown."""
    return in_order(token for text in paths_and_tags if (token := quantization(text)) is not None)


def in_order(tokens: Iterable[str]) -> list[str]:
    """Each token once, in the order in which they are shown; those that are not known last, by their text."""
    return sorted({token for token in tokens if token}, key=lambda token: (_RANKS.get(token, len(TOKENS)), token))


def sizes(files: Sequence[tuple[str, int | None]]) -> dict[str, int]:
    """Bytes of each quantization of a repo, in the order in which they are shown.

    Args:
        files: Their paths and sizes; one whose size is not known counts nothing. Configurations and texts that name no
            quantization belong to each, other such files to none.
    """
    totals: dict[str, int] = {}
    shared = 0
    for path, size in files:
        token = quantization(path)
        if token is not None:
            totals[token] = totals.get(token, 0) + (size or 0)
        elif path.lower().endswith(_SHARED):
            shared += size or 0
    return {token: totals[token] + shared for token in in_order(totals)}
