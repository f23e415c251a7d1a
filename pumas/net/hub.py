"""The hub: listings, repos, files of repos. What it answered before stands in for it when it can't be asked.

Its own client, `huggingface_hub.HfApi`, is not what asks. It knows no bounds for answers, follows every redirect, has a
pool of connections beside ours that `get_network_status` would not see, no circuit breaker, no cache, and one call a
thread; and it raises on the first entry of a wrong form. What it is used for is the token (`hub_token`).

    listing            good for an hour; kept for when the hub can't be asked
    commit of a branch as a listing of the last hour said, or asked for; kept likewise
    files of a commit  good for ever
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import monotonic

import msgspec

from pumas.config import Config
from pumas.errors import (
    AccessRefused,
    BadAnswer,
    InvalidInput,
    NetworkError,
    NotOnServer,
    PumasError,
    RepoNotFound,
    RepoRefused,
    shown,
)
from pumas.net.http import HttpClient, Reply, Request, host_of, json_of
from pumas.net.hub_addresses import file_url, listing_url, next_cursor, repo_url, tree_url
from pumas.net.hub_answers import PAGES, commit_of, file_of_headers, files_of, is_folder, is_repo_id, repo_of
from pumas.net.hub_store import HubStore
from pumas.net.hub_token import hub_token
from pumas.repos import Repo, RepoFile, RepoFiles

logger = logging.getLogger(__name__)

MAIN = "main"
LISTING_S = 3600.0  # life of a listing (`storage.md` §10)
MOST_HITS = 1000  # of one listing; the hub's own bound of a page
_MOST_PAGES = 20  # of one listing or tree
_ANSWER_S = 25.0  # for one answer and all tries: with the sizes of its hits a search ends before its client gives up
_FILES_S = 15.0
_LFS_BYTES = 10 << 20  # larger ones the hub takes as LFS only, so that they have a digest
_MOST_HEADS = 200  # of one repo
_HEAD_STATUSES = frozenset({200, 302, 303, 307})  # where the bytes lie does not matter
_REVISION_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Listing:
    """What a search found."""

    repos: tuple[Repo, ...]
    is_stale: bool
    left_s: float
    """How much longer it is good."""


@dataclass(slots=True)
class _Tree:
    repo_id: str
    revision: str
    is_exact: bool
    files: list[RepoFile] = field(default_factory=list)
    cursor: str | None = None
    pages: int = 0


class Hub:
    """Asks the hub, and remembers; safe to use from several threads.

    Args:
        client: Through which it is asked.
        store: Where answers are kept.
        config: Names the server, and whether anything may be asked.
    """

    def __init__(self, client: HttpClient, store: HubStore, config: Config) -> None:
        self._client = client
        self._store = store
        self._config = config
        self._base = config.hub_base.rstrip("/")

    def listing(self, text: str, *, author: str | None = None, kind: str | None = None, limit: int) -> Listing:
        """Repos that a text finds, in the hub's order.

        Args:
            text: What to search for, in ids; empty for all.
            author: Only repos of this owner.
            kind: Only repos with this tag.
            limit: Most repos.

        Raises:
            NetworkError: The hub can't be asked, and never answered this before.
        """
        asked = ("search", text.strip().lower(), author or "", kind or "", str(limit))
        kept = self._store.get(asked, tuple[Repo, ...])
        if kept is not None and kept.age_s < LISTING_S:
            return Listing(kept.answer, is_stale=False, left_s=LISTING_S - kept.age_s)
        try:
            repos = self._fetch_listing(text, author=author, kind=kind, limit=limit)
        except NetworkError as exc:
            if kept is None:
                raise
            logger.warning("the hub is not asked, it answers as before: %s", exc)
            return Listing(kept.answer, is_stale=True, left_s=0.0)
        if not repos and kept is not None and kept.answer:
            return Listing(kept.answer, is_stale=True, left_s=0.0)
        commits = [(("commit", repo.repo_id, MAIN), repo.commit) for repo in repos if repo.commit]
        self._store.put((asked, repos), *commits)
        return Listing(repos, is_stale=False, left_s=LISTING_S)

    def search(self, text: str, *, kind: str | None = None, limit: int) -> tuple[Repo, ...]:
        """The repos of a listing."""
        return self.listing(text, kind=kind, limit=limit).repos

    def repo(self, repo_id: str, revision: str = MAIN) -> Repo:
        """What the hub says of one repo.

        Raises:
            InvalidInput: It can't be the id of a repo, or no revision.
            RepoNotFound: There is none, or one that this user may not see.
            NetworkError: The hub can't be asked.
        """
        _check(repo_id, revision)
        try:
            reply = self._fetch(repo_url(self._base, repo_id, revision), monotonic() + _ANSWER_S)
        except (AccessRefused, NotOnServer) as exc:
            raise refusal_of(repo_id, revision, exc) from exc
        repo = repo_of(json_of(reply))
        if repo is None or repo.commit is None:
            raise BadAnswer(host_of(self._base), f"does not say what {repo_id} is")
        self._store.put((("commit", repo_id, revision), repo.commit))
        return repo

    def repo_files(self, repo_id: str, revision: str = MAIN) -> RepoFiles:
        """All files of a repo, with what the hub declares of them.

        Args:
            repo_id: `owner/name`.
            revision: A branch or a tag, which is looked up now, or a commit.

        Raises:
            InvalidInput: It can't be the id of a repo, or no revision.
            RepoNotFound: There is none, or none of this revision.
            RepoRefused: This user may not read its files.
            NetworkError: The hub can't be asked, and never answered this before.
        """
        _check(repo_id, revision)
        commit, is_stale = commit_of(revision), False
        if commit is None:
            commit, is_stale = self._current_commit(repo_id, revision)
        found = self.trees([(repo_id, commit)], is_exact=revision != MAIN)[0]
        if isinstance(found, PumasError):
            raise found
        files = found.files if is_stale else self._with_digests(found)
        return msgspec.structs.replace(found, files=files, is_stale=is_stale)

    def files(self, repo_ids: Sequence[str]) -> list[RepoFiles | None]:
        """The files of several repos on their main branch, as listings said last; None where they can't be had."""
        found = self.trees([(repo_id, self._known_commit(repo_id)) for repo_id in repo_ids])
        return [None if isinstance(one, PumasError) else one for one in found]

    def trees(
        self, repos: Sequence[tuple[str, str | None]], *, asks: bool = True, is_exact: bool = False
    ) -> list[RepoFiles | PumasError]:
        """The files of several repos, all asked for at once.

        Args:
            repos: Each with its commit; without one, its main branch.
            asks: Whether the hub is asked for those that are not known.
            is_exact: Whether a commit that is gone is an error. If not, the main branch stands in for it: what a
                listing said may be an hour old, and histories are squashed.

        Returns:
            Files or error of each, in order.
        """
        kept = self._store.files([(repo_id, commit or "") for repo_id, commit in repos])
        found: dict[int, RepoFiles | PumasError] = {
            n: RepoFiles(repo_id=repo_id, commit=commit or MAIN, files=files)
            for n, ((repo_id, commit), files) in enumerate(zip(repos, kept, strict=True))
            if files is not None
        }
        unknown = [n for n in range(len(repos)) if n not in found]
        if unknown and asks:
            asked = [_Tree(repos[n][0], repos[n][1] or MAIN, is_exact=is_exact) for n in unknown]
            found.update(zip(unknown, self._fetch_trees(asked), strict=True))
            self._store.put_files([one for n in unknown if isinstance(one := found[n], RepoFiles)])
        nothing = NetworkError(host_of(self._base), "is not asked now")
        return [found.get(n, nothing) for n in range(len(repos))]

    def file_request(self, repo_id: str, commit: str, path: str) -> Request:
        """What to ask for one file; the token goes to the hub only, not to where it redirects."""
        return self._requests([file_url(self._base, repo_id, commit, path)])[0]

    def _requests(self, urls: Sequence[str]) -> list[Request]:
        token = hub_token(self._config)
        return [Request(url=url, token=token) for url in urls]

    def _fetch(self, url: str, until: float) -> Reply:
        reply = self._client.fetch_all(self._requests([url]), within_s=until - monotonic())[0]
        if isinstance(reply, PumasError):
            raise reply
        return reply

    def _fetch_listing(self, text: str, *, author: str | None, kind: str | None, limit: int) -> tuple[Repo, ...]:
        repos: list[Repo] = []
        cursor = None
        until = monotonic() + _ANSWER_S
        for _ in range(_MOST_PAGES):
            url = listing_url(self._base, text, author=author, tag=kind, limit=limit - len(repos), cursor=cursor)
            try:
                reply = self._fetch(url, until)
            except NotOnServer as exc:
                raise BadAnswer(exc.host, "has no list of models; is HF_ENDPOINT the address of a hub?") from exc
            except AccessRefused as exc:
                told = "refuses to be searched: check the token (HF_TOKEN, or `hf auth login`)"
                raise BadAnswer(exc.host, told, status=exc.status) from exc
            entries = _list_in(reply)
            found = [repo for entry in entries if (repo := repo_of(entry)) is not None]
            if entries and not found:
                raise BadAnswer(host_of(self._base), "lists nothing that can be read as a repo")
            repos += found
            cursor = next_cursor(reply.headers)
            if cursor is None or len(repos) >= limit:
                break
        return tuple(repos[:limit])

    def _fetch_trees(self, trees: Sequence[_Tree]) -> list[RepoFiles | PumasError]:
        found: dict[int, RepoFiles | PumasError] = {}
        until = monotonic() + _FILES_S
        while pending := [(n, tree) for n, tree in enumerate(trees) if n not in found]:
            urls = [tree_url(self._base, tree.repo_id, tree.revision, tree.cursor) for _, tree in pending]
            replies = self._client.fetch_all(self._requests(urls), within_s=until - monotonic())
            for (n, tree), reply in zip(pending, replies, strict=True):
                try:
                    is_whole = _take_page(tree, reply)
                except PumasError as exc:
                    found[n] = exc
                else:
                    if is_whole:
                        found[n] = RepoFiles(repo_id=tree.repo_id, commit=tree.revision, files=tuple(tree.files))
        return [found[n] for n in range(len(trees))]

    def _with_digests(self, repo: RepoFiles) -> tuple[RepoFile, ...]:
        """Ask for large files themselves where a mirror's tree does not say what they hold."""
        bare = [file.path for file in repo.files if file.sha256 is None and _may_be_large(file)][:_MOST_HEADS]
        if not bare:
            return repo.files
        asked = self._requests([file_url(self._base, repo.repo_id, repo.commit, path) for path in bare])
        heads = [replace(request, method="HEAD", accept=_HEAD_STATUSES) for request in asked]
        found = {
            path: file_of_headers(path, reply.status, reply.headers)
            for path, reply in zip(bare, self._client.fetch_all(heads, within_s=_FILES_S), strict=True)
            if isinstance(reply, Reply)
        }
        said = [found.get(file.path, file) for file in repo.files]
        files = tuple(new if new.sha256 is not None else old for new, old in zip(said, repo.files, strict=True))
        self._store.put_files([msgspec.structs.replace(repo, files=files)])
        return files

    def _current_commit(self, repo_id: str, revision: str) -> tuple[str, bool]:
        """The commit of a revision, and whether it is only what the hub said before."""
        try:
            return self.repo(repo_id, revision).commit or revision, False
        except NetworkError:
            kept = self._store.get(("commit", repo_id, revision), str)
            if kept is None or commit_of(kept.answer) is None:
                raise
            return kept.answer, True

    def _known_commit(self, repo_id: str) -> str | None:
        kept = self._store.get(("commit", repo_id, MAIN), str)
        return commit_of(kept.answer) if kept is not None and kept.age_s < LISTING_S else None


def _check(repo_id: str, revision: str) -> None:
    if not is_repo_id(repo_id):
        raise InvalidInput(f"`{shown(repo_id)}` is no repo of the hub; name one as owner/name", parameter="repo_id")
    # SECURITY: it becomes part of an address; dots alone would be another folder.
    if not 0 < len(revision) <= _REVISION_CHARACTERS or not revision.isprintable() or not revision.strip("./"):
        raise InvalidInput(f"`{shown(revision)}` is no revision of a repo", parameter="revision")


def _take_page(tree: _Tree, reply: Reply | PumasError) -> bool:
    """Add what came to a tree; whether it is whole now."""
    if isinstance(reply, NotOnServer) and not tree.is_exact and tree.revision != MAIN:
        tree.revision, tree.files, tree.cursor = MAIN, [], None
        return False
    if isinstance(reply, (AccessRefused, NotOnServer)):
        raise refusal_of(tree.repo_id, tree.revision, reply) from reply
    if isinstance(reply, PumasError):
        raise reply
    entries = _list_in(reply)
    found = files_of(entries)
    if not found and not all(is_folder(entry) for entry in entries):
        raise BadAnswer(host_of(reply.url), f"lists no files of {tree.repo_id} that can be read as such")
    tree.files += found
    tree.cursor = next_cursor(reply.headers)
    tree.pages += 1
    if tree.cursor is not None and tree.pages == _MOST_PAGES:
        raise BadAnswer(host_of(reply.url), f"lists more files of {tree.repo_id} than a model can have")
    return tree.cursor is None


def _may_be_large(file: RepoFile) -> bool:
    return file.size_bytes is None or file.size_bytes >= _LFS_BYTES


def _list_in(reply: Reply) -> list[object]:
    answer = json_of(reply)
    if not isinstance(answer, list):
        raise BadAnswer(host_of(reply.url), "answers with something else than a list")
    return answer


def refusal_of(repo_id: str, revision: str, error: AccessRefused | NotOnServer) -> PumasError:
    """What to tell the user; the hub hides private repos as if there were none."""
    page = f"{PAGES}/{repo_id}"
    if isinstance(error, NotOnServer):
        of_revision = "" if revision == MAIN else f" at revision {shown(revision)}"
        return RepoNotFound(repo_id, f"The hub has no repo {repo_id}{of_revision}; check the name")
    if error.error_code == "GatedRepo":
        told = f"{repo_id} is gated: accept its terms at {page}, then set HF_TOKEN or run `hf auth login`"
        return RepoRefused(repo_id, told)
    if error.error_code == "RepoNotFound":
        told = f"The hub has no repo {repo_id}, or it is private: check the name, set HF_TOKEN or run `hf auth login`"
        return RepoNotFound(repo_id, told)
    return RepoRefused(repo_id, f"The hub refuses access to {repo_id}: HF_TOKEN is wrong, or has no right to {page}")
