"""Releases of an app as they were last fetched (`versions.md` §3.2); nothing here asks the network.

A cache that is damaged counts as none (D-38), and how old it is stays known for as long as it is used (D-12).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pumas.config import APPS
from pumas.constants import GITHUB_RELEASES_TTL_SEC
from pumas.errors import PumasError
from pumas.store.launcher_documents import ReleaseCache
from pumas.store.metadata import RELEASES, Document, load, locate
from pumas.store.paths import Layout
from pumas.store.times import parse_time

logger = logging.getLogger(__name__)

_LONGEST_TTL_S = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class CachedReleases:
    """What a cache file holds, as far as it has the right form."""

    releases: tuple[dict[str, Any], ...] = ()
    last_fetched: str | None = None
    ttl_s: float = GITHUB_RELEASES_TTL_SEC

    def age_s(self, now: datetime) -> float | None:
        """Seconds since they were fetched; negative when the clock was set back, None when nobody knows."""
        moment = parse_time(self.last_fetched)
        return None if moment is None else (now - moment).total_seconds()

    def is_valid(self, now: datetime) -> bool:
        """Whether they are not older than they should be."""
        age_s = self.age_s(now)
        return bool(self.releases) and age_s is not None and age_s < self.ttl_s

    def is_due(self, now: datetime) -> bool:
        """Whether to fetch them anew: also when they seem to be from the future."""
        age_s = self.age_s(now)
        return not self.is_valid(now) or age_s is None or age_s < 0


def cached_releases(layout: Layout, repo: str) -> CachedReleases:
    """The cached list of a repository; an empty one without a cache, or with one that can't be read.

    The releases are shared by all who ask: they are not to be changed.
    """
    document = locate(layout, RELEASES, repo)
    try:
        status = document.path.stat()
    except OSError:
        return CachedReleases()
    return _read(document, status.st_mtime_ns, status.st_size, status.st_ino)


def latest_cached_release(layout: Layout, app_id: str) -> str | None:
    """Tag of the newest release in the cache; None without a cache, or with one that can't be read."""
    repo = APPS.get(app_id)
    releases = cached_releases(layout, repo).releases if repo is not None else ()
    tag = releases[0].get("tag_name") if releases else None
    return tag if isinstance(tag, str) else None


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


@lru_cache(maxsize=8)
def _read(document: Document[ReleaseCache], *_: int) -> CachedReleases:
    # PERF: the app asks twice a second, and a list of a thousand releases is megabytes: read again when it has changed.
    try:
        value: Mapping[str, object] = load(document)
    except PumasError as exc:
        logger.info("the cached release list is not used: %s", exc)
        return CachedReleases()
    releases, fetched, ttl_s = value.get("releases"), value.get("lastFetched"), value.get("ttl")
    if not isinstance(releases, list):
        return CachedReleases()
    return CachedReleases(
        tuple(one for one in releases if isinstance(one, dict)),
        fetched if isinstance(fetched, str) else None,
        float(ttl_s) if isinstance(ttl_s, int | float) and 0 <= ttl_s <= _LONGEST_TTL_S else GITHUB_RELEASES_TTL_SEC,
    )
