"""Operations on files that may be imported: what they are, and what an import would make of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pumas.api.root import LauncherRoot
from pumas.library.formats import validate_file_type
from pumas.library.headers import embedded_metadata
from pumas.library.shards import find_shards
from pumas.library.sources import check_writable
from pumas.models import EmbeddedMetadata, FileType, ShardSet, Writable


class ClassifyOperations:
    """Look at files before they are imported; nothing is changed by it."""

    _root: LauncherRoot

    def detect_sharded_sets(self, paths: Sequence[str | os.PathLike[str]]) -> tuple[ShardSet, ...]:
        """Put files into sets that make one model each, by their names alone; which shards are missing.

        Args:
            paths: Files; a set is of one folder. One that stands alone is a set of its own, behind the others.
        """
        return find_shards([os.fspath(path) for path in paths])

    def validate_file_type(self, path: str | os.PathLike[str]) -> FileType:
        """Tell from its first bytes whether a file is of a format that the library takes."""
        return validate_file_type(Path(path))

    def get_embedded_metadata(self, path: str | os.PathLike[str]) -> EmbeddedMetadata:
        """Read what a GGUF or safetensors file says of itself.

        The vocabulary of a GGUF file is part of it: two million elements and 32 MiB at most, else there is an error.
        """
        return embedded_metadata(Path(path))

    def check_files_writable(self, paths: Sequence[str | os.PathLike[str]]) -> tuple[Writable, ...]:
        """Tell of each path whether a file lies there that can be moved or deleted."""
        return check_writable(paths)
