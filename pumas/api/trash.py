"""Operations that take models out of the library, and bring them back."""

from __future__ import annotations

from collections.abc import Sequence

from pumas.api.models import ModelOperations
from pumas.errors import PumasError
from pumas.jobs import Job, Progress
from pumas.organised import RemovalPlan, TrashedModel, TrashReport


class TrashOperations(ModelOperations):
    """Remove models to the trash, restore them, empty it; the index follows in the same step."""

    def plan_removal(self, model_id: str) -> RemovalPlan:
        """What removing a model would move to the trash, and what refers to it; nothing is written.

        Raises:
            ModelNotFound: There is no such model.
            Unavailable: Its folder, or the register of links, can't be read.
        """
        from pumas.library.remove import plan_removal  # noqa: PLC0415 - for whoever asks

        return plan_removal(self._root.layout, model_id)

    def delete_model(self, model_id: str) -> Job[TrashedModel]:
        """Move a model to the trash, once its links in apps are removed; it takes room there until that is emptied.

        Returns:
            The job. It fails with `ModelNotFound`, with `Conflict` when it can't be moved as a whole, and with
            `Unavailable` or `NoSpace`, also when a link of ours can't be removed; all is as it was then.
        """
        from pumas.library.remove import remove_model  # noqa: PLC0415 - as above
        from pumas.links.health import without_links_of  # noqa: PLC0415

        layout = self._root.layout
        return self._submit_change(
            "delete_model", lambda: remove_model(layout, model_id, without_links=without_links_of(layout, model_id))
        )

    def list_trash(self) -> list[TrashedModel]:
        """What lies in the trash, oldest first.

        Raises:
            Unavailable: It can't be listed.
        """
        from pumas.library.trash import list_trash  # noqa: PLC0415 - as above

        return list_trash(self._root.layout.library)

    def restore_from_trash(self, entry_id: str) -> Job[TrashedModel]:
        """Move a model back to where it was; never over something that lies there.

        Returns:
            The job. It fails with `NotFound`, with `Conflict` when its place is taken, with `Damaged` when it isn't
            known what it was, and with `Unavailable` or `NoSpace`; the model lies in the trash then.
        """
        from pumas.library.trash import restore_from_trash  # noqa: PLC0415 - as above

        return self._submit_change("restore_from_trash", lambda: restore_from_trash(self._root.layout, entry_id))

    def empty_trash(self, entry_ids: Sequence[str] | None = None) -> Job[TrashReport]:
        """Delete models in the trash for good.

        Args:
            entry_ids: Those of `list_trash` that were seen; all that are in it now when not given.

        Returns:
            The job; it counts models. One that can't be deleted is a problem of the report, and hinders no other.
        """
        from pumas.library.trash import delete_from_trash, list_trash  # noqa: PLC0415 - as above

        library = self._root.layout.library
        wanted = None if entry_ids is None else list(dict.fromkeys(entry_ids))

        def work(progress: Progress) -> TrashReport:
            chosen = [entry.entry_id for entry in list_trash(library)] if wanted is None else wanted
            deleted, problems = [], []
            for done, entry_id in enumerate(chosen):
                progress.report(done, len(chosen), "deleting models")
                try:
                    deleted.append(delete_from_trash(library, entry_id))
                except PumasError as exc:
                    problems.append(f"{entry_id}: {exc}")
            size_bytes = sum(entry.size_bytes for entry in deleted)
            return TrashReport(deleted=tuple(deleted), size_bytes=size_bytes, problems=tuple(problems))

        return self._root.jobs.submit("empty_trash", work)

    def _settle_trash(self) -> None:
        """Have finished or undone what killed processes began in the trash."""
        from pumas.library.trash_settle import has_unfinished, settle  # noqa: PLC0415 - as above

        if self._root.is_writable and has_unfinished(self._root.layout.library):
            self._submit_change("settle_trash", lambda: settle(self._root.layout))
