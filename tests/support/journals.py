"""Lines for journals of imports."""

from __future__ import annotations

from pathlib import Path

from pumas.library.import_journal import PlannedFile


def planned(path: Path, target: str, **changed) -> PlannedFile:
    """A file that lies at `path`, as a move on one drive plans it, but for what is changed."""
    state = path.lstat()
    fields = {
        "source": str(path),
        "target": target,
        "inode": state.st_ino,
        "size_bytes": state.st_size,
        "mtime_ns": state.st_mtime_ns,
        "ctime_ns": state.st_ctime_ns,
        "is_near": True,
        "is_taken": True,
    }
    return PlannedFile(**{**fields, **changed})
