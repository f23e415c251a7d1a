"""Operations on the content of files: digests, and whether it is still what it was."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pumas.api.root import LauncherRoot
from pumas.errors import InvalidInput
from pumas.jobs import Job, Progress
from pumas.models import Algorithm, FileDigests, VerifyReport


class DigestOperations:
    """Digest files, and verify models."""

    _root: LauncherRoot

    def hash_files(
        self, paths: Sequence[str | os.PathLike[str]], algorithms: Sequence[Algorithm] = ("sha256", "blake3")
    ) -> Job[tuple[FileDigests, ...]]:
        """Digest files, wherever they lie; those of the library that did not change since are not read again.

        Args:
            paths: Files; one that has no digest says why, and the others are not affected.
            algorithms: `sha256`, `blake3`, `xxh3_128`; what is kept are the first two.

        Returns:
            The job; it counts bytes. Its result has the order of `paths`.

        Raises:
            InvalidInput: An algorithm is unknown, or none was named.
        """
        from pumas.library.digests import check_algorithms, digest_files  # noqa: PLC0415 - for whoever asks

        check_algorithms(algorithms)
        files, wanted = list(paths), list(algorithms)

        def work(progress: Progress) -> tuple[FileDigests, ...]:
            return digest_files(
                files,
                wanted,
                library=self._root.layout.library,
                cache=self._root.cache,
                progress=lambda done, total: progress.report(done, total, "reading files"),
                cancel=progress.cancel_token,
            )

        return self._root.jobs.submit("hash_files", work)

    def verify(
        self,
        model_ids: Sequence[str] | None = None,
        *,
        is_full: bool = False,
        max_age_s: float | None = None,
        budget_s: float | None = None,
        records: bool = False,
    ) -> Job[VerifyReport]:
        """Compare the files of models with the digests that their documents record (`VerifyFinding.kind`).

        What is recorded is never replaced. Files that did not change since they were last read are not read again.

        Args:
            model_ids: The models; all when not given.
            is_full: Read every file once. A run for all models that was interrupted, or whose budget was used up, is
                gone on with by the next one.
            max_age_s: Read the files that were last read longer ago; with `is_full`, no others.
            budget_s: Begin to read no more files after so long. The oldest readings are renewed first.
            records: Write digests into the documents, for files that none are recorded of.

        Returns:
            The job; while it reads files it counts bytes. Once cancelled, what was read until then stays known.

        Raises:
            InvalidInput: A time is negative.
        """
        from pumas.library.verify import Scope, verify_library  # noqa: PLC0415 - as above

        for name, value in (("max_age_s", max_age_s), ("budget_s", budget_s)):
            if value is not None and not value >= 0:
                raise InvalidInput(f"`{name}` must be a number of seconds, not {value}", parameter=name)
        scope = Scope(
            model_ids=None if model_ids is None else tuple(model_ids),
            is_full=is_full,
            max_age_s=max_age_s,
            budget_s=budget_s,
            records=records,
        )
        layout, cache = self._root.layout, self._root.cache
        return self._root.jobs.submit("verify", lambda progress: verify_library(layout, cache, scope, progress))
