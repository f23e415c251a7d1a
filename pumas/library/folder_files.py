"""All that lies in the folder of a model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pumas.errors import shown, system_errors
from pumas.library.places import existing_place
from pumas.organised import FolderFile
from pumas.store.paths import Layout, readable


def files_of_model(layout: Layout, model_id: str) -> tuple[FolderFile, ...]:
    """The files in the folder of a model and below it, in order of paths; links are not followed.

    Raises:
        ModelNotFound: There is no such model.
        Unavailable: Its folder can't be read.
    """
    folder = existing_place(layout, model_id).path.parent
    with system_errors(f"Looking through {shown(model_id)}"):
        return tuple(sorted(_files(folder), key=lambda file: file.path))


def _files(folder: Path) -> Iterator[FolderFile]:
    for where, folders, files in os.walk(folder, onerror=_raise):
        linked = [name for name in folders if Path(where, name).is_symlink()]
        for name in (*files, *linked):
            path = Path(where, name)
            status = path.lstat()
            yield FolderFile(
                path=readable(path.relative_to(folder)),
                size_bytes=status.st_size,
                is_shared=status.st_nlink > 1,
            )


def _raise(error: OSError) -> None:
    raise error
