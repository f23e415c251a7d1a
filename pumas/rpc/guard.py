"""Who may ask: looked at before a body is read.

A web page can reach a server on loopback, directly or by a name that it points there (DNS rebinding). So the Host must
be a loopback name with our port, an Origin must be ours or allowed, and a POST must be JSON, which a page of another
origin can't send without asking first. Off loopback a bearer token is needed besides.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered."""

    status: HTTPStatus
    message: str


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules of one server."""

    port: int
    allowed_hosts: frozenset[str] = frozenset()
    """Names accepted in the Host header besides loopback ones, lower case."""
    allowed_origins: frozenset[str] = frozenset()
    token: str | None = None

    def check(self, environ: Mapping[str, str]) -> Refusal | None:
        """Look at a WSGI environment; None when the request may be answered."""
        host = environ.get("HTTP_HOST")
        if host is None:
            if environ.get("SERVER_PROTOCOL") != "HTTP/1.0":
                return Refusal(HTTPStatus.BAD_REQUEST, "A Host header is needed")
        elif not self._is_our_host(host):
            return Refusal(HTTPStatus.FORBIDDEN, "This Host is not served here; PUMAS_ALLOWED_HOSTS can name it")
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and not self._is_our_origin(origin, host or ""):
            return Refusal(HTTPStatus.FORBIDDEN, "Pages of this Origin may not call Pumas")
        method = environ.get("REQUEST_METHOD")
        # A browser asks first (OPTIONS) without the token, and calls nothing by that.
        is_question = method == "OPTIONS" and origin in self.allowed_origins
        if self.token is not None and not is_question and not self._has_token(environ.get("HTTP_AUTHORIZATION", "")):
            return Refusal(HTTPStatus.UNAUTHORIZED, "A bearer token is needed")
        if method == "POST":
            return self._check_content_type(environ.get("CONTENT_TYPE", ""), has_origin=origin is not None)
        return None

    def _is_our_host(self, host: str) -> bool:
        name, port = _split(host)
        if name in self.allowed_hosts:
            return True
        if port != self.port:
            return False
        # Rebinding needs a name; with a token, which a page does not know, an address is as good as loopback.
        return _is_loopback(name) or (self.token is not None and _is_address(name))

    def _is_our_origin(self, origin: str, host: str) -> bool:
        if origin in self.allowed_origins:
            return True
        scheme, separator, name = origin.partition("://")
        if not separator or scheme != "http":
            return False
        # The very host that was asked, or another name of loopback; not just any service on an allowed host.
        return name.lower() == host.lower() or (_split(name)[1] == self.port and _is_loopback(_split(name)[0]))

    def _has_token(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        expected = (self.token or "").encode()
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1", "replace"), expected)

    def _check_content_type(self, content_type: str, *, has_origin: bool) -> Refusal | None:
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type == "application/json" or (not media_type and not has_origin):
            return None
        return Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send Content-Type: application/json")


def _split(host: str) -> tuple[str, int]:
    """Name in lower case and port (80 when none is given, -1 when it is not a number)."""
    name, separator, port = host.strip().lower().rpartition(":")
    if not separator or port.endswith("]"):
        return host.strip().lower(), 80
    return name, int(port) if len(port) <= 5 and port.isascii() and port.isdigit() else -1


@lru_cache(maxsize=64)  # PERF: a client sends the same name with every call (bench_http)
def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def is_loopback_address(host: str) -> bool:
    """Whether a server bound to `host` can be reached from this machine only."""
    return _is_loopback(host.lower())
