"""Operations on what the documents of models say: edits by hand, identification again, what needs a look."""

from __future__ import annotations

from collections.abc import Sequence

from pumas.api.models import ModelOperations
from pumas.jobs import Job, Progress
from pumas.library.records import record_of
from pumas.models import Model, ShardSet
from pumas.organised import ModelEdit, Reidentified, ReviewItem, SharedStorage


class OrganiseOperations(ModelOperations):
    """Edit models and see what they are; the index follows in the same step."""

    def edit_model(self, model_id: str, edit: ModelEdit) -> Job[Model]:
        """Write what the user says of a model into its document.

        Fields that were set so are neither changed by look-ups nor by `reidentify_models`, until they are released.

        Returns:
            The job. It fails with `ModelNotFound`, with `InvalidInput` when a value has a wrong form, with `Damaged`
            when the document can't be read, and with `Unavailable` or `NoSpace`; nothing is written then.
        """
        from pumas.library.edit import edit_model  # noqa: PLC0415 - for whoever asks

        layout = self._root.layout
        return self._submit_change("edit_model", lambda: record_of(model_id, edit_model(layout, model_id, edit)))

    def mark_metadata_as_manual(self, model_id: str) -> Job[Model]:
        """Protect all that is said of a model from look-ups and from `reidentify_models`.

        Returns:
            The job. It fails as that of `edit_model`.
        """
        from pumas.library.edit import mark_as_manual  # noqa: PLC0415 - as above

        layout = self._root.layout
        return self._submit_change(
            "mark_metadata_as_manual", lambda: record_of(model_id, mark_as_manual(layout, model_id))
        )

    def reidentify_models(self, model_ids: Sequence[str] | None = None) -> Job[tuple[Reidentified, ...]]:
        """Identify models again by their files; what the user set stays.

        Types, subtypes and families in the documents change, ids and folders never.

        Args:
            model_ids: The models; all when not given.

        Returns:
            The job; it counts models. Once cancelled, what was written until then stays.
        """
        from pumas.library.kinds import kind_of  # noqa: PLC0415 - as above
        from pumas.library.reidentify import reidentify_models  # noqa: PLC0415

        def work(progress: Progress) -> tuple[Reidentified, ...]:
            chosen = self._root.index.ids() if model_ids is None else list(dict.fromkeys(model_ids))
            try:
                return reidentify_models(self._root.layout, chosen, kind_of, progress)
            finally:
                self._follow(progress)

        return self._root.jobs.submit("reidentify_models", work)

    def list_models_needing_review(self) -> list[ReviewItem]:
        """Models of which only the name of a file, or nothing, says what they are, in order of ids."""
        from pumas.library.review import review_of  # noqa: PLC0415 - as above

        with self._healed():
            rows = self._root.index.rows_to_review()
        return [item for item in (review_of(model_id, document) for model_id, document in rows) if item is not None]

    def shards_of_model(self, model_id: str) -> tuple[ShardSet, ...]:
        """The sets of shards in a model's folder, and whether they are complete; files that stand alone are left out.

        Raises:
            ModelNotFound: There is no such model.
            Unavailable: Its folder can't be read.
        """
        from pumas.library.folder_files import files_of_model  # noqa: PLC0415 - as above
        from pumas.library.shards import find_shards  # noqa: PLC0415

        files = files_of_model(self._root.layout, model_id)
        return tuple(one for one in find_shards([file.path for file in files]) if one.expected_count > 1)

    def scan_shared_storage(self) -> Job[SharedStorage]:
        """Count models, workflows and bytes in the shared folders, after looking for changes on disk."""
        from pumas.library.workflows import count_workflows  # noqa: PLC0415 - as above

        def work(progress: Progress) -> SharedStorage:
            self._follow(progress)
            workflows, size_bytes = count_workflows(self._root.layout.workflows)
            with self._healed():
                return SharedStorage(
                    model_count=self._root.index.count(),
                    workflow_count=workflows,
                    size_bytes=size_bytes + self._root.index.total_bytes(),
                )

        return self._root.jobs.submit("scan_shared_storage", work)
