"""What names of files and hub repos tell: what to search for, family, variant, precision, likeness (`library.md` §8).

All of it is guesswork (`dolphin` is taken for `phi`): it answers where nothing better is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import PurePosixPath

from pumas.net.quantizations import quantization

_ENDINGS = tuple(
    re.compile(rf"[-_](?:{ending})$", re.IGNORECASE)
    for ending in (
        r"q\d+_k[_a-z]*",
        "fp16",
        "fp32",
        "bf16",
        "int[48]",
        "pruned.*",
        "ema.*",
        r"v\d+(?:\.\d+)*",
        r"\d+(?:\.\d+)?b",
    )
)
_SHARD = re.compile(r"[-_.]\d+-of-\d+$")
_LAST_WORD = re.compile(r"^(.+?)(?:[-.]UD)?[-.]([^-.]+)$")  # UD: a packer's mark before it

_FAMILIES = (
    *((family, family) for family in ("llama", "mistral", "gemma", "phi", "qwen", "yi", "falcon", "mpt")),
    *((family, family) for family in ("stable-diffusion", "sdxl", "flux")),
    ("sd", "stable-diffusion"),
)
_VARIANTS = ("ema", "pruned", "full")
_PRECISIONS = (
    ("fp16", ("fp16", "half")),
    ("bf16", ("bf16",)),
    ("fp32", ("fp32", "float32")),
    ("int8", ("int8", "8bit")),
    ("int4", ("int4", "4bit")),
)


def base_name(filename: str) -> str:
    """What to search the hub for: the name of a file without its suffix, precision, version and size (§8.4)."""
    text = PurePosixPath(filename).stem
    for ending in _ENDINGS:
        text = ending.sub("", text)
    return text.strip("-_")


def plain_name(filename: str) -> str:
    """The name without the number of its shard and its quantization, wherever a dot stands, as repos are called.

    What to search for when `base_name` finds nothing: it keeps `.Q5_K_M` and `-00001-of-00003`.
    """
    text = _SHARD.sub("", PurePosixPath(filename).stem)
    match = _LAST_WORD.match(text)
    return match[1] if match and quantization(match[2]) else text


def infer_family(name: str) -> str:
    """The family whose name stands somewhere in the name of a repo; else `unknown`."""
    name = name.lower()
    return next((family for needle, family in _FAMILIES if needle in name), "unknown")


def variant(name: str) -> str:
    """`ema`, `pruned`, `full`, else `safetensors` for that suffix, else `standard`."""
    lowered = name.lower()
    standing = next((one for one in _VARIANTS if one in lowered), None)
    return standing or ("safetensors" if name.endswith(".safetensors") else "standard")


def precision(name: str) -> str:
    """`fp16`, `bf16`, `fp32`, `int8`, `int4`, else `unknown`."""
    name = name.lower()
    return next((one for one, needles in _PRECISIONS if any(needle in name for needle in needles)), "unknown")


def similarity(text: str, repo_id: str) -> float:
    """How alike a text and the name of a repo are, from 0 to 1 (as `difflib` counts).

    The time grows with the product of the lengths: both come from names, which callers bound.
    """
    return SequenceMatcher(None, text.lower(), repo_name(repo_id).lower()).ratio()


def most_similar(text: str, repo_ids: Sequence[str]) -> tuple[str, float] | None:
    """The repo whose name is most like a text, the first of equals, and how much; None when none is at all."""
    rated = [(similarity(text, repo_id), repo_id) for repo_id in repo_ids]
    ratio, best = max(rated, key=lambda pair: pair[0], default=(0.0, ""))
    return (best, ratio) if ratio > 0 else None


def repo_name(repo_id: str) -> str:
    """The part of a repo's id after its owner."""
    return repo_id.rpartition("/")[2]
