"""Records of the hub's model repositories: what a search finds, and what files a repo has at a commit."""

from __future__ import annotations

from typing import Literal

import msgspec

from pumas.models import Record


class RepoFile(Record, frozen=True, kw_only=True, gc=False):
    """One file of a repo, as the hub declares it."""

    path: str
    """Below the repo, `/` between parts."""
    size_bytes: int | None = None
    sha256: str | None = None
    """Of its content, lower-case hex; only large files (LFS) have one."""
    git_oid: str | None = None
    """SHA-1 of git's blob: that of the content for small files, of the LFS pointer for large ones."""
    xet_hash: str | None = None


class RepoFiles(Record, frozen=True, kw_only=True):
    """All files of a repo at one commit, in the hub's order; a commit never changes."""

    repo_id: str
    commit: str
    """40 hex digits; where the hub does not tell them, the branch."""
    files: tuple[RepoFile, ...]
    is_stale: bool = False
    """The hub could not be asked whether the revision is still this commit."""


class Repo(Record, frozen=True, kw_only=True):
    """What the hub says of one repo at a revision; None and empty for what it does not say."""

    repo_id: str
    """`owner/name`; old ones have no owner."""
    author: str
    commit: str | None = None
    changed_at: str = ""
    """Time of the last change, ISO 8601; empty when it is not known."""
    downloads: int | None = None
    pipeline_tag: str | None = None
    tags: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    """Its files."""
    gated: Literal["", "auto", "manual"] = ""
    """Whether its files need an agreement first, and who grants it."""
    is_private: bool = False
    card: dict[str, object] = msgspec.field(default_factory=dict)
    """The head of its README; only where one repo was asked for."""

    @property
    def name(self) -> str:
        """Without the owner."""
        return self.repo_id.rpartition("/")[2]


class DownloadOption(Record, frozen=True, kw_only=True, gc=False):
    """One quantization that a repo offers."""

    quantization: str
    size_bytes: int | None
    """Of its files and of those that belong to each."""


class HubModel(Record, frozen=True, kw_only=True):
    """One hit of a search on the hub."""

    repo_id: str
    name: str
    developer: str
    kind: str
    """The hub's pipeline tag, else what the tags say; `unknown` if nothing does."""
    formats: tuple[str, ...]
    options: tuple[DownloadOption, ...]
    """In the order in which quantizations are shown."""
    url: str
    changed_at: str
    downloads: int | None
    total_size_bytes: int | None
    """Of all files; None when it is not known, or there are none."""


class HubSearch(Record, frozen=True, kw_only=True):
    """The answer to a search on the hub."""

    models: tuple[HubModel, ...]
    is_stale: bool = False
    """The hub could not be asked now: it answered so before."""
