"""What a server says about how often it may be asked.

    Retry-After: 120 | Wed, 21 Oct 2015 07:28:00 GMT      RFC 9110 10.2.3
    RateLimit: "api";r=0;t=55                             draft-ietf-httpapi-ratelimit-headers: left, seconds until more
    X-RateLimit-Remaining, -Limit, -Reset                 questions left, of how many, until when (seconds since 1970)

Moments are compared with the server's own `Date`, where it gives one: a clock that is wrong here does no harm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

LOW = 0.1  # share of questions left below which we go slowly
ENOUGH = 0.5  # share above which there is nothing to warn of any more
SLOW_S = 0.5  # wait before each question then
LONGEST_S = 24 * 3600.0

_USED_UP = re.compile(r";\s*r=0\s*;\s*t=(\d{1,9})\b", re.ASCII)


@dataclass(slots=True)
class RateLimit:
    """The state of one server's limit; fields are None as long as it says nothing."""

    remaining: int | None = None
    limit: int | None = None
    reset_at: float | None = None
    """Seconds since 1970."""
    is_warned: bool = False
    """Few questions were left, and there are not enough again yet."""

    def read(self, headers: Mapping[str, str]) -> None:
        """Take up what an answer says.

        Args:
            headers: By lower-case name.
        """
        remaining, limit = _count(headers, "x-ratelimit-remaining"), _count(headers, "x-ratelimit-limit")
        self.remaining = self.remaining if remaining is None else remaining
        self.limit = self.limit if limit is None else limit
        reset_at = _number(headers, "x-ratelimit-reset")
        self.reset_at = self.reset_at if reset_at is None else reset_at
        if self.remaining is None or not self.limit:
            return
        if self.remaining < self.limit * LOW:
            self.is_warned = True
        elif self.remaining > self.limit * ENOUGH:
            self.is_warned = False

    @property
    def is_low(self) -> bool:
        """Whether to go slowly."""
        if self.remaining is None or self.limit is None:
            return False
        return self.remaining <= 0 or self.remaining < self.limit * LOW


def is_used_up(headers: Mapping[str, str]) -> bool:
    """Whether a refusal is one because of the limit: GitHub says it with status 403."""
    return "retry-after" in headers or headers.get("x-ratelimit-remaining", "").strip() == "0"


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the server wants to be asked again; None when it does not say. At most a day.

    Args:
        headers: By lower-case name.
        now: Seconds since 1970, used when the answer has no `Date`.
    """
    there = _moment(headers.get("date", ""))
    now = now if there is None else there
    text = headers.get("retry-after", "").strip()
    wait = _number(headers, "retry-after")
    if wait is None and (at := _moment(text)) is not None:
        wait = at - now
    if wait is None and headers.get("x-ratelimit-remaining", "").strip() == "0":
        reset_at = _number(headers, "x-ratelimit-reset")
        wait = None if reset_at is None else reset_at - now
    if wait is None and (told := _USED_UP.search(headers.get("ratelimit", ""))) is not None:
        wait = float(told[1])
    return None if wait is None else min(LONGEST_S, max(0.0, wait))


def _number(headers: Mapping[str, str], name: str) -> float | None:
    try:
        number = float(headers.get(name, ""))
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _count(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None


def _moment(text: str) -> float | None:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - loaded with the first answer

    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
