"""What kind of model a file or a folder holds."""

from __future__ import annotations

from pathlib import Path

from pumas.library.file_kinds import file_kinds
from pumas.library.repo_kinds import repo_kind
from pumas.models import ModelKind


def kind_of(path: Path) -> ModelKind:
    """Tell what a file or a folder holds, by its content, else by its name.

    Returns:
        A kind that always has a type; its confidence is 0 if neither content nor name are those of a model, and below
        `pumas.models.SURE` if a user should look.

    Raises:
        OSError: A folder can't be listed.
    """
    return repo_kind(path) if path.is_dir() else file_kinds([path])[0]
