"""What is asked of a server, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol
from urllib.parse import urlsplit

MAX_ANSWER_BYTES = 16 * 1024 * 1024  # a page of a hundred releases with their assets is about 1 MiB
OK = frozenset({200})

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question; it is safe to repeat."""

    url: str
    method: str = "GET"
    """`GET` or `HEAD`."""
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)
    accept: frozenset[int] = OK
    """Statuses that are answers; a redirect that is one of them is not followed."""
    max_bytes: int = MAX_ANSWER_BYTES
    """Longest body, after decoding."""
    token: str | None = field(default=None, repr=False)
    """Sent as `Authorization: Bearer` to the host of `url` only."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, complete."""

    status: int
    url: str
    """The last one, after redirects."""
    headers: Mapping[str, str]
    """By lower-case name; several of one name are joined by `, `."""
    body: bytes = field(repr=False)


class Cancellable(Protocol):
    """What tells that work is to end, such as `pumas_native.CancelToken`."""

    @property
    def is_cancelled(self) -> bool:
        """Whether it is."""


def host_of(url: str) -> str:
    """The host name of an address, lower-case; empty when there is none.

    An address without a scheme is taken to begin with the host.
    """
    try:
        return urlsplit(url if "://" in url else f"//{url}").hostname or ""
    except ValueError:  # half an IPv6 address
        return ""
