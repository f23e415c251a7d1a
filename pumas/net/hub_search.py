"""Searches for models on the hub, as they are answered: what is listed, with the sizes of what can be downloaded.

The hub's listings have no sizes. Those of all hits are asked for at once, and kept by commit; a repo whose files can't
be had keeps its place, without sizes (L-22). A complete answer is kept in memory until its listing is an hour old.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from urllib.parse import quote

from cachetools import TLRUCache

from pumas.errors import BadAnswer, InvalidInput, NotFound, PumasError, RepoRefused
from pumas.net.hub import MOST_HITS, Hub, Listing
from pumas.net.hub_answers import hub_model
from pumas.repos import HubSearch

logger = logging.getLogger(__name__)

_MOST_CHARACTERS = 1000  # up to nine bytes each in an address, of which servers take some KiB
_HALF = re.compile(r"[\ud800-\udfff]")
_MOST_ANSWERS = 1000  # `storage.md` §10
_RELATED_LISTED = 100  # repos of an owner that are looked through for related ones


class Answers:
    """Answers in memory: each as long as it is good, and of too many those that were used last.

    Args:
        most: How many.
        clock: Seconds on a clock that is never set back.
    """

    def __init__(self, most: int, clock: Callable[[], float] = monotonic) -> None:
        self._lock = threading.Lock()
        self._kept: TLRUCache[str, tuple[HubSearch, float]] = TLRUCache(
            most, ttu=lambda _, answer, now: now + answer[1], timer=clock
        )

    def get(self, key: str) -> HubSearch | None:
        """What was kept, if it still is good."""
        with self._lock:
            kept = self._kept.get(key)
        return None if kept is None else kept[0]

    def put(self, key: str, answer: HubSearch, *, life_s: float) -> None:
        """Keep it for so long."""
        with self._lock:
            self._kept[key] = (answer, life_s)


class HubSearches:
    """Searches of one root; safe to use from several threads.

    Args:
        hub: Is asked.
        clock: Seconds on a clock that is never set back.
    """

    def __init__(self, hub: Hub, clock: Callable[[], float] = monotonic) -> None:
        self._hub = hub
        self._answers = Answers(_MOST_ANSWERS, clock)

    def search(self, query: str, *, kind: str | None = None, limit: int = 25) -> HubSearch:
        """Models whose ids a text finds, in the hub's order.

        Args:
            query: What to search for; empty for all.
            kind: Only models with this tag.
            limit: Most models, 0 to 1000.

        Raises:
            InvalidInput: `query` or `kind` is too long or no text, or `limit` out of range.
            NetworkError: The hub can't be asked, and never answered this before.
        """
        _check(query, kind, limit)
        if not limit:
            return HubSearch(models=())
        # Quoted: a `:` of the query must not look like one between the parts.
        key = cache_key("search", _quoted(query.strip().lower()), None if kind is None else _quoted(kind), limit)
        return self._answered(key, lambda: self._hub.listing(query, kind=kind, limit=limit))

    def related(self, owner: str, is_wanted: Callable[[str], bool], *, limit: int = 25) -> HubSearch:
        """Repos of one owner whose ids are wanted, in the hub's order; otherwise as `search`."""
        _check(owner, None, limit)
        listing = self._hub.listing(owner, author=owner, limit=max(limit, _RELATED_LISTED))
        wanted = tuple(repo for repo in listing.repos if is_wanted(repo.repo_id))
        return self._with_sizes(replace(listing, repos=wanted[:limit]))[0]

    def _answered(self, key: str, ask: Callable[[], Listing]) -> HubSearch:
        known = self._answers.get(key)
        if known is not None:
            return known
        listing = ask()
        answer, is_complete = self._with_sizes(listing)
        if is_complete and not answer.is_stale:
            self._answers.put(key, answer, life_s=listing.left_s)
        return answer

    def _with_sizes(self, listing: Listing) -> tuple[HubSearch, bool]:
        """The answer, and whether asking again would not make it better."""
        found = self._hub.trees([(repo.repo_id, repo.commit) for repo in listing.repos], asks=not listing.is_stale)
        is_complete = True
        models = []
        for repo, one in zip(listing.repos, found, strict=True):
            if isinstance(one, PumasError):
                logger.info("the sizes of %s are not known: %s", repo.repo_id, one)
                is_complete = is_complete and isinstance(one, (BadAnswer, NotFound, RepoRefused))
            models.append(hub_model(repo, None if isinstance(one, PumasError) else one.files))
        return HubSearch(models=tuple(models), is_stale=listing.is_stale), is_complete


def cache_key(namespace: str, *arguments: object) -> str:
    """Name of an answer in memory: the arguments that are given, with `:` between."""
    return ":".join([namespace, *(str(one) for one in arguments if one is not None)])


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _check(query: str, kind: str | None, limit: int) -> None:
    for name, text in (("query", query), ("kind", kind or "")):
        if len(text) > _MOST_CHARACTERS:
            raise InvalidInput(f"`{name}` may have at most {_MOST_CHARACTERS} characters", parameter=name)
        if not text.isascii() and _HALF.search(text):
            raise InvalidInput(f"`{name}` is no text: it holds half of a character", parameter=name)
    if not 0 <= limit <= MOST_HITS:
        raise InvalidInput(f"`limit` must be a whole number from 0 to {MOST_HITS}, not {limit}", parameter="limit")
