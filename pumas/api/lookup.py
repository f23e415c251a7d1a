"""Operations that ask the hub where files and models came from."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pumas.api.models import ModelOperations
from pumas.errors import NotFound, system_errors
from pumas.jobs import Job, Progress
from pumas.matched import HubMatch, Lookup, ModelLookup
from pumas.store.paths import has_file

if TYPE_CHECKING:
    from pumas.library.lookup import Content
    from pumas.library.lookup_target import Target

_UNFOUND_LIFE_S = 24 * 3600.0  # what the hub did not know is not asked again so soon


class LookupOperations(ModelOperations):
    """Look files and models up on the hub; what is found goes into documents where nobody else said it."""

    def lookup_hf_metadata_for_file(
        self, filename: str, file_path: str | os.PathLike[str] | None = None, *, asks_again: bool = False
    ) -> Job[Lookup]:
        """Find the repo of the hub that a file most likely came from: by its content, else by its name.

        Args:
            filename: What it is called.
            file_path: Where it lies; without it only the name counts. It is read if the hub has a file of its size.
            asks_again: Ask the hub even if it knew nothing of the file in the last 24 hours.

        Returns:
            The job; while the file is read it counts bytes. It fails with `NetworkError` when the hub can't be asked,
            and with `InvalidInput` when the name is too long.

        Raises:
            NotFound: There is no such file.
        """
        path = None if file_path is None else Path(file_path)
        if path is not None and not has_file(path):
            raise NotFound("File not found")
        from pumas.library.lookup_target import target_of_file  # noqa: PLC0415 - for whoever asks

        def work(progress: Progress) -> Lookup:
            with system_errors("Looking at the file"):
                target = target_of_file(filename, path)
            return self._look_up(target, progress, asks_again=asks_again)

        return self._root.jobs.submit("lookup", work, is_remote=True)

    def refetch_model_metadata_from_hf(
        self, model_id: str, repo_id: str | None = None, *, writes: bool = True, asks_again: bool = False
    ) -> Job[ModelLookup]:
        """Look a model up on the hub, and write what the hub says into its document, where nobody else said it.

        The repo that its document names is asked; if it names none, its largest file is looked up.

        Args:
            model_id: The model.
            repo_id: The repo that it came from, if the caller knows; this counts for more than what the document says.
            writes: Whether to write, not only tell what would change.
            asks_again: As of `lookup_hf_metadata_for_file`.

        Returns:
            The job. It fails with `ModelNotFound`, with `NetworkError`, with `RepoNotFound` when the repo is not there,
            and as that of `edit_model` when the document can't be read or written; nothing is written then.
        """
        from pumas.library.lookup_target import target_of_model  # noqa: PLC0415 - as above
        from pumas.library.match_document import known_repo, write_match  # noqa: PLC0415
        from pumas.library.places import existing_place  # noqa: PLC0415
        from pumas.store.metadata import load  # noqa: PLC0415

        layout = self._root.layout

        def work(progress: Progress) -> ModelLookup:
            place = existing_place(layout, model_id)
            document = load(place)
            target = target_of_model(place.path.parent, document)
            named = repo_id or known_repo(document)
            if named is None:
                found = self._look_up(target, progress, asks_again=asks_again)
            else:
                found = Lookup(match=self._match_named(named, target, progress))
            match = found.match
            if match is None:
                return ModelLookup(model_id=model_id, match=None, asked_at=found.asked_at, is_stale=found.is_stale)
            progress.check()
            done = write_match(layout, model_id, match, self._root.hub.repo(match.repo_id), writes=writes)
            if done.is_written:
                self._follow(progress)
            return done

        return self._root.jobs.submit("refetch_metadata", work, is_remote=True)

    def _look_up(self, target: Target, progress: Progress, *, asks_again: bool) -> Lookup:
        """Look a file up, unless the hub did not know it a short time ago."""
        from pumas.library.fast_hash import fast_hash  # noqa: PLC0415 - as above
        from pumas.library.lookup import find_match  # noqa: PLC0415
        from pumas.net.hub_answers import PAGES  # noqa: PLC0415
        from pumas.net.hub_store import HubStore  # noqa: PLC0415

        store = HubStore(self._root.cache, self._root.config.hub_base)
        asked = ("unfound", target.filename, str(target.size_bytes))
        kept = store.get(asked, bool)
        if kept is not None and kept.age_s < _UNFOUND_LIFE_S and not asks_again:
            return Lookup(match=None, asked_at=(datetime.now(UTC) - timedelta(seconds=kept.age_s)).isoformat())
        found = find_match(target.filename, self._root.hub, self._content(target, progress), pages=PAGES)
        if found.match is None:
            if not found.is_stale:
                store.put((asked, True))
        elif target.path is not None:
            with system_errors("Reading the file"):
                match = msgspec.structs.replace(found.match, fast_hash=fast_hash(target.path))
            return msgspec.structs.replace(found, match=match)
        return found

    def _match_named(self, repo_id: str, target: Target, progress: Progress) -> HubMatch:
        """Compare a file with the repo that it is said to come from."""
        from pumas.library.lookup import match_of_named  # noqa: PLC0415 - as above
        from pumas.net.hub_answers import PAGES  # noqa: PLC0415

        repo = self._root.hub.repo(repo_id)
        (files,) = self._root.hub.files([repo.repo_id])
        return match_of_named(repo, files, target.filename, self._content(target, progress), pages=PAGES)

    def _content(self, target: Target, progress: Progress) -> Content | None:
        """Of a file that lies here; read, in the job, only if its digest is wanted and not known."""
        if target.path is None or target.size_bytes is None:
            return None
        from pumas.library.digests import digest_files  # noqa: PLC0415 - as above
        from pumas.library.lookup import Content  # noqa: PLC0415

        path = target.path

        @cache
        def sha256() -> str | None:
            if target.sha256 is not None:
                return target.sha256
            (digests,) = digest_files(
                [path],
                ["sha256"],
                library=self._root.layout.library,
                cache=self._root.cache,
                progress=lambda done, total: progress.report(done, total, "reading the file"),
                cancel=progress.cancel_token,
            )
            return digests.sha256

        return Content(target.size_bytes, sha256)
