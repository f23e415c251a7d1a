"""A small GitHub that lists releases, in pages, with ETags and a limit (`versions.md` §19).

    GET /repos/OWNER/NAME/releases?per_page&page     a page; 304 for an `If-None-Match` that holds
    GET /repos/OWNER/NAME/releases/latest            the newest that is no pre-release

Every answer has `X-RateLimit-Limit`, `-Remaining` and `-Reset`, and `Date`; when nothing remains it is 403, as the real
one does. A 304 does not count. A token that is not in `tokens` is refused with 401.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from email.utils import formatdate
from typing import Any

from fakes.server import Answer, Call, FakeServer, document

NOW = 1_700_000_000
_RELEASES = re.compile(r"/repos/(?P<repo>[^/]+/[^/]+)/releases(?P<latest>/latest)?")


def release(tag: str, **fields: Any) -> dict[str, Any]:
    """A release as GitHub describes it, as far as anybody here looks."""
    return {
        "tag_name": tag,
        "name": tag,
        "published_at": "2025-01-01T00:00:00Z",
        "body": f"What is new in {tag}",
        "prerelease": False,
        "assets": [],
        "html_url": f"https://github.example/releases/tag/{tag}",
        "zipball_url": f"https://github.example/zipball/{tag}",
        "tarball_url": f"https://github.example/tarball/{tag}",
        **fields,
    }


class FakeGitHub(FakeServer):
    """Lists `releases[repo]`; a context manager."""

    def __init__(self, *, limit: int = 60, tokens: Iterable[str] = ()) -> None:
        self.releases: dict[str, list[Any]] = {}
        self.limit = self.remaining = limit
        self.tokens = frozenset(tokens)
        super().__init__(self._dispatch)

    def _dispatch(self, call: Call) -> Answer:
        answer = self._listed(call)
        if answer.status != 304:
            self.remaining = max(0, self.remaining - 1)
        limits = {"Limit": self.limit, "Remaining": self.remaining, "Reset": NOW + 600}
        headers = {f"X-RateLimit-{name}": str(value) for name, value in limits.items()}
        return replace(answer, headers={"Date": formatdate(NOW, usegmt=True), **headers, **answer.headers})

    def _listed(self, call: Call) -> Answer:
        found = _RELEASES.fullmatch(call.path)
        releases = self.releases.get(found["repo"]) if found else None
        given = call.headers.get("authorization", "").removeprefix("Bearer ")
        if given and given not in self.tokens:
            return document({"message": "Bad credentials"}, 401)
        if not self.remaining:
            return document({"message": "API rate limit exceeded"}, 403)
        if found is None or releases is None:
            return document({"message": "Not Found"}, 404)
        if found["latest"]:
            newest = next((one for one in releases if not one["prerelease"]), None)
            return document(newest) if newest else document({"message": "Not Found"}, 404)
        size, number = int(call.first("per_page", "30")), int(call.first("page", "1"))
        page = releases[(number - 1) * size : number * size]
        etag = f'W/"{hashlib.sha256(json.dumps(page).encode()).hexdigest()}"'
        if call.headers.get("if-none-match") == etag:
            return Answer(304, headers={"ETag": etag})
        return document(page, headers={"ETag": etag})
