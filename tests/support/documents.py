"""Documents for tests: damaged ones, and one that counts."""

from __future__ import annotations

import re
from pathlib import Path

from pumas.store.documents import update_document

DAMAGED = (
    b"{",
    b"",
    b"\xff",
    b'{"a": NaN}',
    b"[" * 100_000,
    b'{"a":1} x',
    b'{"a": "\\ud800"}',
    b"[1]",
    b"null",
    b"\xef\xbb\xbf{}",
)
"""What no document may be."""


def names(folder: Path) -> list[str]:
    """What lies in a folder, without the times in the names of damaged files and without locks."""
    return sorted(re.sub(r"damaged-.*", "damaged-*", one.name) for one in folder.iterdir() if one.name != "locks")


def update(path: Path, change) -> None:
    """Update a document with locks beside it."""
    update_document(path, change, locks=path.parent / "locks", lock_name=path.name)


def count(value):
    """The change that counts how often it was made."""
    return {"n": (value or {"n": 0})["n"] + 1}
