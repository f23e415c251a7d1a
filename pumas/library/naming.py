"""Names of models and families as the library writes them (`library.md` §2)."""

from __future__ import annotations

import re

_DROPPED = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST = 128


def normalize_name(name: str) -> str:
    """Drop everything but ASCII letters, digits, `_` and `-`; nothing left gives `model`."""
    return (_DROPPED.sub("", name.strip()) or "model")[:_LONGEST]
