"""Records of what comes from servers: how asking them goes, and the releases that they list."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pumas.constants import GITHUB_RELEASES_TTL_SEC
from pumas.models import Record


class NetworkStatus(Record, frozen=True, kw_only=True):
    """How requests to servers went in this process."""

    total_requests: int = 0
    """A request counts once, however often it was tried."""
    successful_requests: int = 0
    failed_requests: int = 0
    circuit_breaker_rejections: int = 0
    """Not asked, because the server had failed too often."""
    retries: int = 0
    circuit_states: dict[str, Literal["closed", "open", "half_open"]] = msgspec.field(default_factory=dict)
    """By host: asked as usual, left alone, or tried again."""
    is_offline: bool = False
    """Pumas was told to work offline, or a server is left alone: answers come from caches."""

    @property
    def success_rate(self) -> float:
        """Requests that succeeded, in percent; 0 as long as there was none."""
        return 100.0 * self.successful_requests / self.total_requests if self.total_requests else 0.0


class ReleaseList(Record, frozen=True, kw_only=True):
    """Releases of an app, newest first, as upstream described them."""

    releases: tuple[dict[str, Any], ...] = ()
    last_fetched: str | None = None
    """As the cache says it."""
    age_s: float | None = None
    """Negative when the clock was set back since."""
    is_stale: bool = True
    """They are older than they should be, or a newer list could not be had."""
    error: str | None = None
    """Why a newer list could not be had."""
    is_rate_limited: bool = False
    retry_after_s: float | None = None
    """Seconds until it is of use to ask again, where that is known."""


class ReleaseCacheStatus(Record, frozen=True, kw_only=True):
    """How old the cached release list of an app is."""

    has_cache: bool = False
    is_valid: bool = False
    """It is not older than it should be."""
    age_s: float | None = None
    last_fetched: str | None = None
    ttl_s: int = GITHUB_RELEASES_TTL_SEC
    release_count: int = 0
    is_fetching: bool = False
