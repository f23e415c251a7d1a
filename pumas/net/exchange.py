"""Asking, and what an answer means: redirects, bounds, statuses. Runs in the thread of the client.

Redirects are followed here and not by httpx: each step is judged, and `Authorization` goes to the first host only.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from socket import gaierror

import httpx

from pumas.config import Config
from pumas.errors import AccessRefused, BadAnswer, NetworkError, NotOnServer, PumasError, RateLimited
from pumas.net.addresses import GuardedBackend, IsPrivate, Resolve, is_named_private, may_be_private, sent_to_private
from pumas.net.hosts import Hosts, Visit
from pumas.net.messages import Reply, Request
from pumas.net.rate_limit import is_used_up, retry_after_s
from pumas.net.retry import is_retried_status, retrying
from pumas.net.transport import is_proxied, open_client

MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HOST = re.compile(r"[\w.:-]{1,253}", re.ASCII)  # names and addresses; anything else only confuses a resolver
_DRAINED_BYTES = 64 * 1024  # the rest of an answer that is read for the sake of the connection
_DRAINED_S = 1.0


class Exchange:
    """Asks over one pool of connections.

    Raises:
        InvalidInput: A proxy or certificates that the user named can't be used.
    """

    def __init__(self, config: Config, hosts: Hosts, resolve: Resolve, is_private: IsPrivate, *, idle_s: float) -> None:
        self._config = config
        self._hosts = hosts
        self._backend = GuardedBackend(resolve, is_private)
        self._client = open_client(config, self._backend, idle_s=idle_s)

    async def ask(self, request: Request, until: float | None = None) -> Reply:
        """Ask, again if need be.

        Args:
            request: What to ask.
            until: Time of the loop at which all tries are given up; that is a failure of the server.

        Raises:
            NetworkError: There is no answer that can be used.
            NotOnServer: Status 404 or 410.
        """
        with Visit(self._hosts) as visit:
            tries = retrying(self._config.retry_base_s, self._hosts.count_retry)
            try:
                async with asyncio.timeout_at(until):
                    return await tries(self._follow, request, visit)
            except TimeoutError as exc:
                raise NetworkError(_name(_parsed(request.url)), "does not answer in time; try again later") from exc

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _follow(self, request: Request, visit: Visit) -> Reply:
        url = first = _parsed(request.url)
        steps: set[httpx.URL] = set()
        private_allowed = True
        while True:
            if url in steps or len(steps) > MAX_REDIRECTS:
                raise BadAnswer(_name(first), "redirects in a circle, or too often")
            steps.add(url)
            visit.enter(_name(url))
            await asyncio.sleep(self._hosts.pause_s(_name(url)))
            if self._is_private(url) and not private_allowed:  # a connection to it may be open already
                raise sent_to_private(_name(url))
            token = request.token if _origin(url) == _origin(first) else None
            allowing = may_be_private.set(private_allowed)
            try:
                response = await self._client.send(self._built(request, url, token), stream=True)
                try:
                    answer = await self._read(response, request, url)
                finally:
                    await response.aclose()
            except httpx.InvalidURL as exc:  # httpx itself looks where a redirect leads
                raise BadAnswer(_name(url), "redirects to something that is no address") from exc
            except httpx.HTTPError as exc:
                raise _network_error(_name(url), exc) from exc
            finally:
                may_be_private.reset(allowing)
            if isinstance(answer, Reply):
                return answer
            private_allowed = self._is_private(url)
            url = answer

    def _built(self, request: Request, url: httpx.URL, token: str | None) -> httpx.Request:
        # Part of a compressed answer, or its length, would tell nothing.
        is_plain = request.method == "HEAD" or any(name.lower() == "range" for name in request.headers)
        headers = {"Accept-Encoding": "identity" if is_plain else "gzip", **request.headers}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return self._client.build_request(request.method, url, headers=headers)

    def _is_private(self, url: httpx.URL) -> bool:
        """Whether an address leads to a private machine, as far as it was connected or says so itself."""
        if is_proxied(self._config, url):
            return is_named_private(_name(url))
        return self._backend.was_private(*_origin(url)[1:])

    async def _read(self, response: httpx.Response, request: Request, url: httpx.URL) -> Reply | httpx.URL:
        status, host = response.status_code, _name(url)
        headers = {name.lower(): value for name, value in response.headers.items()}
        self._hosts.read(host, headers)
        if status in request.accept:
            return Reply(status, str(url), headers, await _body(response, host, request))
        await _drain(response)
        if status in _REDIRECTS:
            return _target(response, url)
        raise _refusal(host, status, headers)


def _name(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii")


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, _name(url), url.port or (443 if url.scheme == "https" else 80)


def _parsed(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as exc:
        raise _no_address(text) from exc
    if not _is_web(url):
        raise _no_address(text)
    return url


def _no_address(text: str) -> BadAnswer:
    # What is asked for does not help, and what stands before `@` is a password.
    place = text.partition("?")[0].rpartition("@")[2]
    bases = "HF_ENDPOINT and PUMAS_GITHUB_API_BASE begin with https:// or http:// and a host"
    return BadAnswer(place, f"is no address that can be asked; {bases}")


def _is_web(url: httpx.URL) -> bool:
    return url.scheme in ("http", "https") and _HOST.fullmatch(_name(url)) is not None


def _target(response: httpx.Response, url: httpx.URL) -> httpx.URL:
    host, location = _name(url), response.headers.get("location")
    if location is None:
        raise BadAnswer(host, "redirects to nowhere")
    try:
        target = url.join(location)
    except (httpx.InvalidURL, ValueError) as exc:
        raise BadAnswer(host, "redirects to something that is no address") from exc
    if not _is_web(target):
        raise BadAnswer(host, "redirects to something that is no web address")
    if url.scheme == "https" and target.scheme != "https":
        raise BadAnswer(host, "redirects from an encrypted connection to an open one")
    return target.copy_with(username="", password="", fragment=None)


def _refusal(host: str, status: int, headers: dict[str, str]) -> PumasError:
    wait_s = retry_after_s(headers, time.time())
    if status == 429 or (status == 403 and is_used_up(headers)):
        return RateLimited(host, wait_s)
    if status in (401, 403):
        return AccessRefused(host, status, error_code=headers.get("x-error-code"))
    if status in (404, 410):
        return NotOnServer(host)
    if status >= 500 or is_retried_status(status):
        reason = f"has a fault (status {status}); try again later"
        return NetworkError(host, reason, is_passing=is_retried_status(status), retry_after_s=wait_s)
    return BadAnswer(host, f"answers with status {status}", status=status)


async def _body(response: httpx.Response, host: str, request: Request) -> bytes:
    limit = request.max_bytes
    if request.method != "HEAD" and _length(response) > limit:
        raise _too_large(host, limit)
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise BadAnswer(host, "answers in an encoding that was not asked for")
    pieces = response.aiter_raw()
    body = bytearray()
    async for piece in _unzipped(pieces, host, limit) if "gzip" in encoding else pieces:
        body += piece
        if len(body) > limit:
            raise _too_large(host, limit)
    return bytes(body)


async def _unzipped(pieces: AsyncIterator[bytes], host: str, limit: int) -> AsyncIterator[bytes]:
    # SECURITY: zlib itself is told how much may come out; a few KiB could become a GiB.
    unzip = zlib.decompressobj(wbits=31)
    came = sent = 0
    async for piece in pieces:
        sent += len(piece)
        if sent > limit:  # blocks that hold nothing, or what follows the end and zlib would keep
            raise _too_large(host, limit)
        try:
            out = b"" if unzip.eof else unzip.decompress(piece, limit + 1 - came)
        except zlib.error as exc:
            raise BadAnswer(host, "sends a damaged gzip answer") from exc
        came += len(out)
        yield out
        if came > limit:
            return
    if sent and not unzip.eof:
        raise NetworkError(host, "ended the answer too early; try again")


async def _drain(response: httpx.Response) -> None:
    if not 0 < _length(response) <= _DRAINED_BYTES:
        return
    # The status is known; a text that does not come costs the connection, nothing else.
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(_DRAINED_S):
            async for _ in response.aiter_raw():
                pass


def _length(response: httpx.Response) -> int:
    text = response.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _too_large(host: str, limit: int) -> BadAnswer:
    return BadAnswer(host, f"sends more than the {limit} bytes that such an answer may have")


def _network_error(host: str, error: httpx.HTTPError) -> NetworkError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NetworkError(host, f"has no valid certificate: {cause.verify_message}", is_passing=False)
        if isinstance(cause, httpx.InvalidURL):
            return BadAnswer(host, "redirects to something that is no address")
        if isinstance(cause, gaierror):
            return NetworkError(host, "is not known; is there a connection to the network?")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ProxyError):
        return NetworkError(host, "can't be reached through the proxy; check the proxy settings")
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return NetworkError(host, "can't be reached; is there a connection to the network?")
    if isinstance(error, httpx.TimeoutException):
        return NetworkError(host, "does not answer in time; try again later")
    return NetworkError(host, "ended the connection before the answer was complete; try again")
