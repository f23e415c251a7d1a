"""Workflows that the versions of an app share (`storage.md` §9)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path


def count_workflows(folder: Path) -> tuple[int, int]:
    """Files directly in the folder, and the bytes of everything in it.

    Links are not followed, what can't be read is left out, and a folder that is missing counts as empty.
    """
    count = size_bytes = 0
    for where, status in _files(folder):
        size_bytes += status.st_size
        count += where == str(folder)
    return count, size_bytes


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                status = Path(where, name).lstat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield where, status
