"""Releases of a repository, as GitHub lists them (`versions.md` §3.1).

GET {base}/repos/OWNER/NAME/releases?per_page=100&page=N     N from 1 to 10, until a page has fewer than 100
If-None-Match: ETAG                                          of the same page: 304 when it is as it was, which does
                                                             not count against the limit of questions
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from pumas.config import Config
from pumas.constants import (
    GITHUB_RELEASES_MAX_PAGES,
    GITHUB_RELEASES_PER_PAGE,
    RELEASES_ACCEPT,
    RELEASES_USER_AGENT,
)
from pumas.errors import AccessRefused, BadAnswer
from pumas.net.http import Cancellable, HttpClient, Reply, Request, host_of, json_of
from pumas.net.tokens import checked_token, may_be_sent

logger = logging.getLogger(__name__)

_ETAG = re.compile(r'(?:W/)?"[!#-~]{0,1000}"')  # RFC 9110 8.8.3; others can't be sent back

Release = Mapping[str, Any]
"""A release as it was sent; every field may be missing or of any type."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page, as it was sent last."""

    releases: tuple[Release, ...]
    etag: str | None
    is_full: bool
    """There may be another page after it."""


def fetch_releases(
    http: HttpClient, config: Config, repo: str, known: Sequence[Page] = (), *, cancel: Cancellable | None = None
) -> list[Page]:
    """Ask for all pages.

    Args:
        http: Asks.
        config: The server, and the token if there is one.
        repo: `owner/name`.
        known: The pages of the last time: those that did not change are not sent again.
        cancel: Looked at while waiting.

    Raises:
        NetworkError: One of them can't be had, or has the wrong form; `RateLimited` when we asked too often.
        NotOnServer: There is no such repository.
        Cancelled: `cancel` was set.
    """
    token = checked_token(config.github_token, name="GITHUB_TOKEN") if may_be_sent(config.github_api_base) else None
    pages: list[Page] = []
    for number in range(1, GITHUB_RELEASES_MAX_PAGES + 1):
        before = known[number - 1] if number <= len(known) else None
        request = _request(config, repo, number, etag=None if before is None else before.etag)
        try:
            reply = http.fetch(replace(request, token=token), cancel=cancel)
        except AccessRefused as exc:
            if token is None or exc.status != 401:
                raise
            logger.warning("GITHUB_TOKEN is not accepted by %s; releases are asked for without it", exc.host)
            token = None
            reply = http.fetch(request, cancel=cancel)
        page = before if before is not None and reply.status == 304 else _page(reply)
        pages.append(page)
        if not page.is_full:
            break
    return pages


def _request(config: Config, repo: str, number: int, *, etag: str | None) -> Request:
    base = config.github_api_base.rstrip("/")
    url = f"{base}/repos/{quote(repo)}/releases?per_page={GITHUB_RELEASES_PER_PAGE}&page={number}"
    headers = {"User-Agent": RELEASES_USER_AGENT, "Accept": RELEASES_ACCEPT}
    if etag is None or not _ETAG.fullmatch(etag):
        return Request(url=url, headers=headers)
    return Request(url=url, headers={**headers, "If-None-Match": etag}, accept=frozenset({200, 304}))


def _page(reply: Reply) -> Page:
    sent = json_of(reply)
    if not isinstance(sent, list):
        raise BadAnswer(host_of(reply.url), "sends something else than a list of releases")
    releases = tuple(one for one in sent if isinstance(one, dict))
    return Page(releases, reply.headers.get("etag"), len(sent) >= GITHUB_RELEASES_PER_PAGE)
