"""Operations on files that may be imported: what they are, and what an import would make of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pumas.api.root import LauncherRoot
from pumas.jobs import Job, Progress
from pumas.models import EmbeddedMetadata, FileType, ImportCandidate, ImportRequest, ShardSet, Writable


class ClassifyOperations:
    """Look at files before they are imported; nothing is changed by it."""

    _root: LauncherRoot

    def classify_model_import_paths(
        self,
        paths: Sequence[str | os.PathLike[str]],
        *,
        family: str = "unknown",
        official_name: str | None = None,
        model_type: str | None = None,
        subtype: str | None = None,
    ) -> Job[tuple[ImportCandidate, ...]]:
        """Tell what an import would make of files and folders: type, family, name, files, duplicates, and why.

        Args:
            paths: Files of one set of shards are one candidate, any other path is one. One that can't be imported says
                why, and the others are not affected.
            family: As of `import_model`, like the others.
            official_name: The same.
            model_type: The same.
            subtype: The same.

        Returns:
            The job; it counts candidates. Its result has the order of `paths`. Nothing is written; read to its end is
            only a file that is as large as one of the library.
        """
        given = [os.fspath(path) for path in paths]
        asked = ImportRequest(
            path="", family=family, official_name=official_name, model_type=model_type, subtype=subtype
        )

        def work(progress: Progress) -> tuple[ImportCandidate, ...]:
            from pumas.library.classify import classify_paths  # noqa: PLC0415 - for whoever imports
            from pumas.library.dedupe import Duplicates  # noqa: PLC0415

            known = Duplicates(self._root.index.rows())
            return classify_paths(self._root.layout.library, given, asked=asked, known=known, progress=progress)

        return self._root.jobs.submit("classify", work)

    def detect_sharded_sets(self, paths: Sequence[str | os.PathLike[str]]) -> tuple[ShardSet, ...]:
        """Put files into sets that make one model each, by their names alone; which shards are missing.

        Args:
            paths: Files; a set is of one folder. One that stands alone is a set of its own, behind the others.
        """
        from pumas.library.shards import find_shards  # noqa: PLC0415 - as above

        return find_shards([os.fspath(path) for path in paths])

    def validate_file_type(self, path: str | os.PathLike[str]) -> FileType:
        """Tell from its first bytes whether a file is of a format that the library takes."""
        from pumas.library.formats import validate_file_type  # noqa: PLC0415 - as above

        return validate_file_type(Path(path))

    def get_embedded_metadata(self, path: str | os.PathLike[str]) -> EmbeddedMetadata:
        """Read what a GGUF or safetensors file says of itself.

        The vocabulary of a GGUF file is part of it: two million elements and 32 MiB at most, else there is an error.
        """
        from pumas.library.headers import embedded_metadata  # noqa: PLC0415 - as above

        return embedded_metadata(Path(path))

    def check_files_writable(self, paths: Sequence[str | os.PathLike[str]]) -> tuple[Writable, ...]:
        """Tell of each path whether a file lies there that can be moved or deleted."""
        from pumas.library.sources import check_writable  # noqa: PLC0415 - as above

        return check_writable(paths)
