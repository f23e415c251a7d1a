"""Which repo of the hub a file came from: by its content, else by its name (`library.md` §8.4).

1. The hub is searched for what the file's name says. A file that lies here is searched for by its whole name too, with
   more hits: what is looked for then is a copy of it, not the best known repo of its kind.
2. Of the repos that are found the files are listed. Only if one of them has the file's size is its SHA-256 wanted
   (L-21); a repo that declares the same one is it, with a confidence of 1.
3. Else the repo whose name is most alike: above 0.9 `filename_exact`, else `filename_fuzzy`; below 0.6 a user should
   confirm it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

import msgspec

from pumas.errors import InvalidInput
from pumas.matched import HubMatch, Lookup
from pumas.net.hub import Listing
from pumas.net.hub_names import base_name, infer_family, most_similar, plain_name, precision, variant
from pumas.repos import Repo, RepoFile, RepoFiles

LONGEST_NAME = 1000  # characters: comparing names takes the product of their lengths

_CONTROLS = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_HITS = 5
_HITS_OF_CONTENT = 10
_EXACT, _SURE = 0.9, 0.6
_MODEL_TYPES = {
    "text-generation": "llm",
    "conversational": "llm",
    "text-to-image": "diffusion",
    "image-to-image": "diffusion",
}
_BASE_MODEL = "base_model:"


class Hub(Protocol):
    """What is asked of the hub."""

    def listing(self, text: str, *, kind: str | None = None, limit: int) -> Listing:
        """Repos that a text finds."""

    def files(self, repo_ids: Sequence[str]) -> Sequence[RepoFiles | None]:
        """The files of repos; None for one whose files can't be listed."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is known of the file itself."""

    size_bytes: int
    sha256: Callable[[], str | None]
    """Its digest, which may take reading it; None when it can't be read."""


@dataclass(frozen=True, slots=True)
class _Query:
    """One search, for what a name says."""

    text: str
    kind: str | None
    limit: int

    def ask(self, hub: Hub) -> _Found:
        if not self.text:
            return _Found("", [], is_stale=False)
        listing = hub.listing(self.text, kind=self.kind, limit=self.limit)
        repos = sorted(listing.repos, key=lambda repo: -(repo.downloads or 0))
        return _Found(self.text, repos, is_stale=listing.is_stale)


@dataclass(frozen=True, slots=True)
class _Found:
    """What it found, the most downloaded first."""

    text: str
    repos: list[Repo]
    is_stale: bool


def find_match(filename: str, hub: Hub, content: Content | None, *, pages: str) -> Lookup:
    """Find the repo that a file came from.

    Args:
        filename: Its name; folders before it are left out of account.
        hub: Is asked once or twice, then for the files of what was found.
        content: Of the file, if it lies here.
        pages: Address that the pages of repos begin with.

    Raises:
        InvalidInput: It can't be the name of a file, or has more than a thousand characters.
        NetworkError: The hub can't be asked.
    """
    if len(filename) > LONGEST_NAME or _CONTROLS.search(filename):
        message = f"`filename` must be a name of at most {LONGEST_NAME} characters, none of them a control character"
        raise InvalidInput(message, parameter="filename")
    kind = "gguf" if filename.lower().endswith(".gguf") else None
    base, plain = base_name(filename), plain_name(filename)
    found = [_Query(base, None, _HITS).ask(hub)]
    is_another = plain != base or kind is not None
    if is_another and (content is not None or not found[0].repos):
        found.append(_Query(plain, kind, _HITS_OF_CONTENT).ask(hub))
    return Lookup(match=_best(found, filename, hub, content, pages=pages), is_stale=any(one.is_stale for one in found))


def _best(found: Sequence[_Found], filename: str, hub: Hub, content: Content | None, *, pages: str) -> HubMatch | None:
    repos = {repo.repo_id: repo for one in found for repo in one.repos}
    listed = hub.files(list(repos)) if content is not None and repos else ()
    same = None if content is None else _same_content(listed, content)
    if same is not None:
        return _by_content(repos[same[0]], same[1], pages)
    for one in found:
        best = most_similar(one.text, [repo.repo_id for repo in one.repos])
        if best is not None:
            match = _by_name(repos[best[0]], best[1], pages)
            return match if content is None else _compared(match, filename, content, listed)
    return None


def match_of_named(
    repo: Repo, files: RepoFiles | None, filename: str, content: Content | None, *, pages: str
) -> HubMatch:
    """What a file has to do with a repo that a user named, or the document of its model: that it came from there."""
    same = None if content is None else _same_content([files], content)
    if same is not None:
        return msgspec.structs.replace(_by_content(repo, same[1], pages), is_named=True)
    named = msgspec.structs.replace(_about(repo, pages), method="", is_named=True)
    return named if content is None else _compared(named, filename, content, [files])


def _same_content(listed: Sequence[RepoFiles | None], content: Content) -> tuple[str, RepoFile] | None:
    """The first repo with a file of that content, and the file."""
    same_size = [
        (repo.repo_id, file)
        for repo in listed
        if repo is not None
        for file in repo.files
        if file.size_bytes == content.size_bytes and file.sha256
    ]
    sha256 = content.sha256() if same_size else None
    return next((one for one in same_size if one[1].sha256 == sha256), None)


def _compared(match: HubMatch, filename: str, content: Content, listed: Sequence[RepoFiles | None]) -> HubMatch:
    """Say of a match by name whether the repo has a file of that name: no file of it has the same content."""
    name = PurePosixPath(filename).name.lower()
    files = next((repo.files for repo in listed if repo is not None and repo.repo_id == match.repo_id), ())
    file = next((file for file in files if file.sha256 and PurePosixPath(file.path).name.lower() == name), None)
    if file is None or (file.size_bytes == content.size_bytes and content.sha256() is None):
        return match
    return msgspec.structs.replace(
        match, matched_file=file.path, expected_sha256=file.sha256 or "", has_other_content=True
    )


def _by_content(repo: Repo, file: RepoFile, pages: str) -> HubMatch:
    return msgspec.structs.replace(
        _about(repo, pages),
        variant=variant(file.path),
        precision=precision(file.path),
        method="hash",
        confidence=1.0,
        matched_file=file.path,
        expected_sha256=file.sha256 or "",
    )


def _by_name(repo: Repo, ratio: float, pages: str) -> HubMatch:
    is_exact = ratio > _EXACT
    return msgspec.structs.replace(
        _about(repo, pages),
        method="filename_exact" if is_exact else "filename_fuzzy",
        confidence=ratio,
        requires_confirmation=ratio < _SURE,
    )


def _about(repo: Repo, pages: str) -> HubMatch:
    """What the hub says of a repo, and what its name does."""
    return HubMatch(
        repo_id=repo.repo_id,
        official_name=repo.name,
        family=infer_family(repo.name),
        model_type=_MODEL_TYPES.get(repo.pipeline_tag or "", "llm"),
        variant=variant(repo.name),
        precision=precision(repo.name),
        tags=repo.tags,
        base_model=base_model_of(repo.tags),
        download_url=f"{pages}/{repo.repo_id}",
        method="filename_exact",
        confidence=1.0,
        requires_confirmation=False,
    )


def base_model_of(tags: Sequence[str]) -> str:
    """The repo that another was made from, as the hub writes it into its tags; empty when none says."""
    named = (tag.removeprefix(_BASE_MODEL) for tag in tags if tag.startswith(_BASE_MODEL))
    return next((name for name in named if ":" not in name and "/" in name), "")
