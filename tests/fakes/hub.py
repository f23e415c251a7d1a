"""A small hub that speaks Hugging Face's protocol, with a second port as its content delivery network.

    GET  /api/whoami-v2                               who a token belongs to
    GET  /api/models?search&author&filter&limit&full  repos, in pages by `Link: <…>; rel="next"`
    GET  /api/models/REPO[/revision/REV][?blobs=true] one repo
    GET  /api/models/REPO/tree/REV[/FOLDER]?recursive its files with sizes, in pages
    HEAD, GET /REPO/resolve/REV/FILE                  small files at once; others go on to the second port

Large files have what the real hub says of them: `lfs` (digest, size), `xetHash`, and when they are asked for a redirect
with `X-Linked-ETag`, `X-Linked-Size`, `X-Repo-Commit`, `X-Xet-Hash`. The second port knows ranges, and no tokens: an
`Authorization` that arrives there is answered 400, as the signed addresses of real networks do.

Refusals carry `X-Error-Code` and `X-Error-Message`: unknown and private repos, gated ones, revisions, files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from fakes.server import Answer, Call, FakeServer, document

LAST_MODIFIED = "2024-05-01T10:00:00.000Z"
# What the recorded hub of the contract did; the real one asks its `.gitattributes`.
_LARGE_BYTES = 100
_MODELS = re.compile(
    r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/(?P<what>revision|tree)/(?P<revision>[^/]+)(?P<below>/.*)?)?"
)
_RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


@dataclass
class Repo:
    """A model repository: its files now, those of earlier revisions, and who may read it.

    Some mirrors list files with nothing but their names and sizes: `has_bare_tree`.
    """

    id: str
    files: dict[str, bytes] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    downloads: int | None = 0
    pipeline_tag: str | None = None
    card: Mapping[str, object] = field(default_factory=dict)
    last_modified: str = LAST_MODIFIED
    gated: str | bool = False
    is_private: bool = False
    is_xet: bool = False
    has_bare_tree: bool = False
    readers: frozenset[str] = frozenset()
    revisions: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        return commit_of(self.id, self.files)

    def at(self, revision: str) -> dict[str, bytes] | None:
        """The files at a branch, a tag or a commit; None: there is no such revision."""
        if revision in ("main", self.commit):
            return self.files
        by_commit = {commit_of(self.id, files): files for files in self.revisions.values()}
        return self.revisions.get(revision, by_commit.get(revision))


def commit_of(repo_id: str, files: Mapping[str, bytes]) -> str:
    """40 hexadecimal digits that change with every byte of a repo."""
    digest = hashlib.sha1(repo_id.encode())
    for name, content in sorted(files.items()):
        digest.update(name.encode() + hashlib.sha1(content).digest())
    return digest.hexdigest()


def filler(name: str, size: int) -> bytes:
    """The bytes of the contract's recorded hub: x, and in JSON files an empty object and spaces."""
    return b"{}".ljust(size) if name.endswith(".json") else b"x" * size


def recorded_repos(repos: Mapping[str, Mapping[str, Any]]) -> list[Repo]:
    """The repos as the contract's recordings list them: `{id: {"files": {name: size}, "tags", "downloads", …}}`."""
    return [
        Repo(
            id=repo_id,
            files={name: filler(name, size) for name, size in one["files"].items()},
            tags=tuple(one["tags"]),
            downloads=one["downloads"],
            pipeline_tag=one.get("pipeline_tag"),
        )
        for repo_id, one in repos.items()
    ]


class FakeHub(FakeServer):
    """A hub on one port and its content network on another; both end with it.

    Attributes:
        repos: By id; change them at any time.
        tokens: User names by token.
        cdn: The second server, with its own `calls` and faults.
        page: Entries of one page of a tree; None: all.
    """

    def __init__(self, repos: Iterable[Repo] = (), *, page: int | None = None) -> None:
        self.repos: dict[str, Repo] = {}
        self.tokens: dict[str, str] = {}
        self.page = page
        self._blobs: dict[str, bytes] = {}
        self.add(*repos)
        self.cdn = FakeServer(self._deliver)
        super().__init__(self._answer_hub)

    def add(self, *repos: Repo) -> None:
        for repo in repos:
            self.repos[repo.id] = repo

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.cdn.close()

    def _answer_hub(self, call: Call) -> Answer:
        user = self._user(call)
        if isinstance(user, Answer):
            return user
        if call.path == "/api/whoami-v2":
            return (
                document({"type": "user", "name": user}) if user else _refusal(401, "", "Invalid username or password.")
            )
        if call.path == "/api/models":
            return self._listing(call, user)
        if (match := _MODELS.fullmatch(call.path)) is not None:
            return self._about(call, user, match)
        if (match := _RESOLVE.fullmatch(call.path)) is not None:
            return self._file(match["repo"], match["revision"], match["file"], user)
        return _refusal(404, "", "Sorry, we can't find the page you are looking for.")

    def _user(self, call: Call) -> str | Answer | None:
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in self.tokens:
            return _refusal(401, "", "Invalid credentials in Authorization header")
        return self.tokens.get(token)

    def _readable(self, repo_id: str, user: str | None) -> Repo | Answer:
        repo = self.repos.get(repo_id)
        if repo is None or (repo.is_private and user not in repo.readers):
            return _refusal(404 if user else 401, "RepoNotFound", "Repository not found")
        return repo

    def _listing(self, call: Call, user: str | None) -> Answer:
        wanted = call.first("search").lower()
        hits = [
            repo
            for repo in self.repos.values()
            if wanted in repo.id.lower()
            and call.first("author", repo.id.partition("/")[0]) == repo.id.partition("/")[0]
            and set(call.query.get("filter", ())) <= {*repo.tags, repo.pipeline_tag}
            and not isinstance(self._readable(repo.id, user), Answer)
        ]
        page, headers = self._page(call, hits, int(call.first("limit", "1000")))
        is_full = call.first("full").lower() in ("true", "1")
        return document([_listed(repo, is_full=is_full) for repo in page], headers=headers)

    def _about(self, call: Call, user: str | None, match: re.Match[str]) -> Answer:
        repo = self._readable(match["repo"], user)
        if isinstance(repo, Answer):
            return repo
        files = repo.at(match["revision"] or "main")
        if files is None:
            return _refusal(404, "RevisionNotFound", f"Invalid rev id: {match['revision']}")
        if match["what"] == "tree":
            return self._tree(call, repo, files, (match["below"] or "").strip("/"))
        siblings = [_sibling(repo, name, content, call) for name, content in files.items()]
        commit = commit_of(repo.id, files)
        return document(
            {**_listed(repo, is_full=True), "sha": commit, "siblings": siblings, "cardData": dict(repo.card)}
        )

    def _tree(self, call: Call, repo: Repo, files: Mapping[str, bytes], folder: str) -> Answer:
        below = {name: content for name, content in files.items() if not folder or name.startswith(f"{folder}/")}
        if folder and not below:
            return _refusal(404, "EntryNotFound", f"{folder} does not exist")
        is_recursive = call.first("recursive").lower() in ("true", "1")
        depth = folder.count("/") + 2 if folder else 1
        folders = {"/".join(parts[:n]) for parts in (name.split("/") for name in below) for n in range(1, len(parts))}
        entries: list[dict[str, Any]] = [
            {"type": "directory", "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0, "path": name}
            for name in sorted(folders)
            if name != folder and not folder.startswith(f"{name}/")
        ]
        entries += [_entry(repo, name, content) for name, content in below.items()]
        if not is_recursive:
            entries = [entry for entry in entries if entry["path"].count("/") < depth]
        page, headers = self._page(call, entries, int(call.first("limit", "1000")))
        return document(page, headers=headers)

    def _page(self, call: Call, entries: list[Any], limit: int) -> tuple[list[Any], dict[str, str]]:
        size = min(limit, self.page or limit)
        start = int(call.first("cursor", "0"))
        following = start + size
        if following >= len(entries):
            return entries[start:following], {}
        query = [(name, value) for name, values in call.query.items() for value in values if name != "cursor"]
        target = f"{self.url}{quote(call.path)}?{urlencode([*query, ('cursor', str(following))])}"
        return entries[start:following], {"Link": f'<{target}>; rel="next"'}

    def _file(self, repo_id: str, revision: str, name: str, user: str | None) -> Answer:
        repo = self._readable(repo_id, user)
        if isinstance(repo, Answer):
            return repo
        if repo.gated and user not in repo.readers:
            told = f"Access to model {repo.id} is restricted. You must have access and be authenticated to access it."
            return _refusal(403 if user else 401, "GatedRepo", told)
        files = repo.at(revision)
        if files is None:
            return _refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if name not in files:
            return _refusal(404, "EntryNotFound", "Entry not found")
        content = files[name]
        headers = {"X-Repo-Commit": commit_of(repo.id, files), "Accept-Ranges": "bytes"}
        if len(content) <= _LARGE_BYTES:
            return Answer(200, content, {**headers, "ETag": f'"{_git_oid(content)}"', "Content-Type": "text/plain"})
        digest = hashlib.sha256(content).hexdigest()
        self._blobs[digest] = content
        if repo.is_xet:
            headers["X-Xet-Hash"] = _xet_hash(content)
        headers |= {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(content)), "ETag": f'"{digest}"'}
        location = f"{self.cdn.url}/{repo.id}/{digest}?Expires=1900000000&Signature=fake"
        return Answer(302, b"Found. Redirecting", {**headers, "Location": location})

    def _deliver(self, call: Call) -> Answer:
        content = self._blobs.get(call.path.rpartition("/")[2])
        if content is None or call.first("Signature") != "fake":
            return Answer(403, b"<Error><Code>AccessDenied</Code></Error>", {"Content-Type": "application/xml"})
        if "authorization" in call.headers:
            return Answer(400, b"<Error><Code>InvalidArgument</Code></Error>", {"Content-Type": "application/xml"})
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": "binary/octet-stream"}
        wanted = call.headers.get("range")
        if wanted is None or call.headers.get("if-range", etag) != etag:
            return Answer(200, content, headers)
        return _part(content, wanted, headers)


def _part(content: bytes, wanted: str, headers: Mapping[str, str]) -> Answer:
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
    size = len(content)
    if match is None or match[0] == "bytes=-":
        return Answer(200, content, headers)
    if match[1]:
        start, end = int(match[1]), min(int(match[2] or size - 1), size - 1)
    else:
        start, end = max(0, size - int(match[2])), size - 1
    if start > end:
        return Answer(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
    return Answer(206, content[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{size}"})


def _refusal(status: int, code: str, message: str) -> Answer:
    headers = {"X-Error-Message": message}
    if code:
        headers["X-Error-Code"] = code
    return document({"error": message}, status, headers)


def _listed(repo: Repo, *, is_full: bool) -> dict[str, Any]:
    about: dict[str, Any] = {
        "_id": repo.commit[:24],
        "id": repo.id,
        "modelId": repo.id,
        "private": repo.is_private,
        "tags": list(repo.tags),
        "createdAt": repo.last_modified,
        "likes": 0,
    }
    if repo.downloads is not None:
        about["downloads"] = repo.downloads
    if repo.pipeline_tag:
        about["pipeline_tag"] = repo.pipeline_tag
    if is_full:
        about |= {
            "author": repo.id.partition("/")[0],
            "sha": repo.commit,
            "lastModified": repo.last_modified,
            "gated": repo.gated,
            "disabled": False,
            "siblings": [{"rfilename": name} for name in repo.files],
        }
    return about


def _sibling(repo: Repo, name: str, content: bytes, call: Call) -> dict[str, Any]:
    if call.first("blobs").lower() not in ("true", "1"):
        return {"rfilename": name}
    entry = _entry(repo, name, content)
    sibling = {"rfilename": name, "blobId": entry["oid"], "size": entry["size"]}
    if "lfs" in entry:
        lfs = entry["lfs"]
        sibling["lfs"] = {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": lfs["pointerSize"]}
    return sibling


def _entry(repo: Repo, name: str, content: bytes) -> dict[str, Any]:
    if repo.has_bare_tree:
        return {"type": "file", "size": len(content), "path": name}
    if len(content) <= _LARGE_BYTES:
        return {"type": "file", "oid": _git_oid(content), "size": len(content), "path": name}
    digest = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n".encode()
    entry = {
        "type": "file",
        "oid": _git_oid(pointer),
        "size": len(content),
        "path": name,
        "lfs": {"oid": digest, "size": len(content), "pointerSize": len(pointer)},
    }
    if repo.is_xet:
        entry["xetHash"] = _xet_hash(content)
    return entry


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _xet_hash(content: bytes) -> str:
    # Xet's own tree hash is of no consequence here: 64 digits that differ from the SHA-256.
    return hashlib.blake2b(content, digest_size=32).hexdigest()
