"""Making findings; what they mean is in `pumas.models`."""

from __future__ import annotations

from pathlib import Path

from pumas.models import Finding


def problem(kind: str, path: Path, *, what: str, remedy: str, is_repairable: bool = False) -> Finding:
    """Something that is wrong."""
    return Finding(kind=kind, severity="problem", path=path, what=what, remedy=remedy, is_repairable=is_repairable)


def note(kind: str, path: Path, *, what: str, remedy: str, is_repairable: bool = False) -> Finding:
    """Something to know."""
    return Finding(kind=kind, severity="note", path=path, what=what, remedy=remedy, is_repairable=is_repairable)


def unreadable_folder(folder: Path) -> Finding:
    """A folder that may not be listed."""
    remedy = "Give yourself the permission to read it: what lies in it is not seen."
    return problem("folder_unreadable", folder, what="the folder can't be read", remedy=remedy)
