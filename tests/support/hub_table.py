"""A hub as a table of repos: what `pumas.library.lookup` asks for, without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pumas.net.hub import Listing
from pumas.repos import Repo, RepoFile, RepoFiles

COMMIT = "0" * 40


class HubTable:
    """Repos with their files; a search finds ids that hold its text, or all."""

    def __init__(
        self,
        *repos: Repo,
        files: Mapping[str, Sequence[RepoFile]] | None = None,
        finds_all: bool = False,
        unlisted: Sequence[str] = (),
    ) -> None:
        self.repos = repos
        self.files_of = files or {}
        self.finds_all = finds_all
        self.unlisted = unlisted
        self.is_stale = False
        self.asked: list[Any] = []

    def listing(self, text: str, *, kind: str | None = None, limit: int) -> Listing:
        self.asked.append((text, kind, limit))
        found = [repo for repo in self.repos if self.finds_all or text.lower() in repo.repo_id.lower()]
        fitting = [repo for repo in found if kind is None or kind in repo.tags]
        return Listing(tuple(fitting[:limit]), is_stale=self.is_stale, left_s=0.0)

    def files(self, repo_ids: Sequence[str]) -> Sequence[RepoFiles | None]:
        self.asked.append(tuple(repo_ids))
        return [
            None
            if repo_id in self.unlisted
            else RepoFiles(repo_id=repo_id, commit=COMMIT, files=tuple(self.files_of.get(repo_id, ())))
            for repo_id in repo_ids
        ]
