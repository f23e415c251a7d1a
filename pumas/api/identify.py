"""Operations on what files are."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pumas.api.root import LauncherRoot
from pumas.jobs import Job, Progress
from pumas.models import Identity


class IdentifyOperations:
    """Identify files by their content."""

    _root: LauncherRoot

    def identify(self, paths: Sequence[str | os.PathLike[str]]) -> Job[tuple[Identity, ...]]:
        """Tell what files are: format, header facts, what loading a pickle could do.

        Args:
            paths: Files, wherever they lie; those of the library whose header did not change since are not read again.
                One that is damaged or can't be read says so, and the others are not affected.

        Returns:
            The job; it counts files. Its result has the order of `paths`.
        """
        from pumas.library.identify import identify_files  # noqa: PLC0415 - zipfile and more, for whoever asks

        files = list(paths)

        def work(progress: Progress) -> tuple[Identity, ...]:
            return identify_files(
                files,
                library=self._root.layout.library,
                cache=self._root.cache,
                progress=lambda done: progress.report(done, len(files), "reading headers"),
                cancel=progress.cancel_token,
            )

        return self._root.jobs.submit("identify", work)
