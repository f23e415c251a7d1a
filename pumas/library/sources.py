"""What can be said of paths before anything is done with them (`library.md` §14)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pumas.library.formats import why_unreadable
from pumas.models import SourceIssue, Writable


def check_writable(paths: Sequence[str | os.PathLike[str]]) -> tuple[Writable, ...]:
    """Tell of each path whether a file lies there whose folder may be changed, so that it can be moved or deleted."""
    return tuple(_writable(os.fspath(path)) for path in paths)


def _writable(path: str) -> Writable:
    reason = ""
    try:
        Path(path).stat()
        if not os.access(Path(path).parent, os.W_OK | os.X_OK):
            reason = "Read-only filesystem or no write permission"
    except (OSError, ValueError) as exc:
        reason = why_unreadable(exc)
    return Writable(path=path, is_writable=not reason, reason=reason)


def check_source(path: Path) -> tuple[SourceIssue, ...]:
    """Tell what speaks against importing a path, and what should be known before."""
    return tuple(_issues(path))


def _issues(path: Path) -> Iterator[SourceIssue]:
    try:
        is_folder = path.is_dir()
        path.stat()
        if is_folder and not any(path.iterdir()):
            yield SourceIssue(severity="warning", what="Import source directory is empty")
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            yield SourceIssue(severity="warning", what="Import source is on a read-only mount")
    except (FileNotFoundError, NotADirectoryError, ValueError):
        yield SourceIssue(severity="error", what=f"Import source does not exist: {path}")
    except OSError as exc:
        yield SourceIssue(severity="error", what=f"Import source can't be read: {exc.strerror or exc}")
