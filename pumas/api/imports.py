"""Operations that bring models into the library."""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec.structs import replace

from pumas.api.models import ModelOperations
from pumas.errors import InvalidInput
from pumas.jobs import Job, Progress
from pumas.models import ImportMode, ImportReport, ImportRequest

_MODES: tuple[ImportMode, ...] = ("copy", "move", "hardlink", "reflink")


class ImportOperations(ModelOperations):
    """Import files and folders; finish what an import left to be done."""

    def import_model(
        self,
        path: str | os.PathLike[str],
        *,
        family: str = "unknown",
        official_name: str | None = None,
        repo_id: str | None = None,
        model_type: str | None = None,
        subtype: str | None = None,
        tags: Sequence[str] = (),
        mode: ImportMode = "copy",
        allows_duplicates: bool = False,
        waits_for_digests: bool = False,
    ) -> Job[ImportReport]:
        """Import one file, or one folder with all that is in it, as one model.

        Args:
            path: A link is followed. A folder that lies in the library already becomes a model where it is. Of a shard
                nothing but that file is imported; its set is imported by its folder, or by `import_batch`.
            family: What the content says counts instead of `unknown`, `imported` and nothing.
            official_name: The stem of the file, or the name of the folder, when not given.
            repo_id: On the hub, `owner/name`.
            model_type: What the content says when not given.
            subtype: Of a `model_type` that is given.
            tags: Of the new model.
            mode: `copy`; `move`; `hardlink`, another name of the same file; `reflink`, a file that shares its content
                until either is written. One that the file system can't do is an error, never another one.
            allows_duplicates: Import a model though all its files are in the library already.
            waits_for_digests: End only when the digests are made that take more than a second.

        Returns:
            The job, as of `import_batch`.

        Raises:
            InvalidInput: There is no such mode.
        """
        request = ImportRequest(
            path=os.fspath(path),
            family=family,
            official_name=official_name,
            repo_id=repo_id,
            model_type=model_type,
            subtype=subtype,
            tags=tuple(tags),
        )
        return self.import_batch(
            [request], mode=mode, allows_duplicates=allows_duplicates, waits_for_digests=waits_for_digests
        )

    def import_batch(
        self,
        requests: Sequence[ImportRequest],
        *,
        mode: ImportMode = "copy",
        allows_duplicates: bool = False,
        waits_for_digests: bool = False,
    ) -> Job[ImportReport]:
        """Import several files and folders; one that can't be imported hinders no other.

        Whatever fails, and whenever the process ends, each source is whole at its place, or whole in the library; what
        was begun is finished or undone when the root is opened the next time.

        Args:
            requests: One model each, except that those for the shards of one set are one if they agree in all else.
            mode: As of `import_model`, for all.
            allows_duplicates: The same.
            waits_for_digests: The same; if not, a job makes them.

        Returns:
            The job; it counts bytes. Cancelled, the models that are in the library stay there.

        Raises:
            InvalidInput: There is no such mode.
        """
        if mode not in _MODES:
            raise InvalidInput(f"There is no mode {mode!r}; choose from {', '.join(_MODES)}", parameter="mode")
        chosen = list(requests)

        def work(progress: Progress) -> ImportReport:
            from pumas.library.dedupe import Duplicates  # noqa: PLC0415 - for whoever imports
            from pumas.library.import_digests import make_due  # noqa: PLC0415
            from pumas.library.imports import How, import_models  # noqa: PLC0415

            report = import_models(
                self._root.layout,
                chosen,
                How(mode=mode, allows_duplicates=allows_duplicates),
                duplicates=lambda: Duplicates(self._root.index.rows()),
                named=lambda: self._follow(progress),
                progress=progress,
            )
            if not any(result.digests_due for result in report.results):
                return report
            if not waits_for_digests:
                self.make_due_digests()
                return report
            make_due(self._root.layout, progress)
            self._follow(progress)
            results = tuple(replace(result, digests_due=False) for result in report.results)
            return replace(report, results=results)

        return self._root.jobs.submit("import", work)

    def make_due_digests(self) -> Job[int] | None:
        """Make the digests that imports left to a job, of this process or an earlier one; None when there are none."""
        from pumas.library.import_digests import has_due, make_due  # noqa: PLC0415 - as above

        if not self._root.is_writable or not has_due(self._root.layout):
            return None

        def work(progress: Progress) -> int:
            made = make_due(self._root.layout, progress)
            if made:
                self._follow(progress)
            return made

        return self._root.jobs.submit("make_due_digests", work, key="make_due_digests")
