"""One request and its answer: redirects, bounds, and what a status means. Runs in the thread of the client.

Redirects are followed here and not by httpx: each step is judged, and `Authorization` goes to the first host only.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import AsyncIterator
from typing import NoReturn

import httpx

from pumas.errors import AccessRefused, BadAnswer, NetworkError, NotOnServer, RateLimited
from pumas.net.messages import Reply, Request
from pumas.net.retry import is_retried_status

MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


async def exchange(client: httpx.AsyncClient, request: Request) -> Reply:
    """Ask once and follow redirects.

    Raises:
        NetworkError: And what comes of it; there is no answer.
        NotOnServer: Status 404 or 410.
    """
    url = _parsed(request.url)
    first = url
    seen: set[str] = set()
    while True:
        if str(url) in seen or len(seen) > MAX_REDIRECTS:
            raise BadAnswer(first.host, "redirects in a circle, or too often")
        seen.add(str(url))
        try:
            reply = await _step(client, request, url, has_token=_is_same_origin(url, first))
        except httpx.HTTPError as exc:
            raise _network_error(url.host, exc) from exc
        if isinstance(reply, Reply):
            return reply
        url = reply


async def _step(client: httpx.AsyncClient, request: Request, url: httpx.URL, *, has_token: bool) -> Reply | httpx.URL:
    headers = {"Accept-Encoding": "gzip", **request.headers}
    if request.token is not None and has_token:
        headers["Authorization"] = f"Bearer {request.token}"
    asked = client.build_request(request.method, url, headers=headers)
    response = await client.send(asked, stream=True)
    try:
        if response.status_code in _REDIRECTS and response.status_code not in request.accept:
            return _target(response, url)
        if response.status_code not in request.accept:
            _refuse(response, url.host)
        body = await _body(response, url.host, request.max_bytes)
        return Reply(response.status_code, str(url), _headers(response), body)
    finally:
        await response.aclose()


def _parsed(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as exc:
        raise BadAnswer(text, "is no address that can be asked") from exc
    if url.scheme not in ("http", "https") or not url.host:
        raise BadAnswer(text, "is no address that can be asked")
    return url


def _target(response: httpx.Response, url: httpx.URL) -> httpx.URL:
    location = response.headers.get("location")
    if location is None:
        raise BadAnswer(url.host, "redirects to nowhere")
    try:
        target = url.join(location)
    except (httpx.InvalidURL, ValueError) as exc:
        raise BadAnswer(url.host, "redirects to something that is no address") from exc
    if target.scheme not in ("http", "https") or not target.host:
        raise BadAnswer(url.host, "redirects to something that is no web address")
    if url.scheme == "https" and target.scheme != "https":
        raise BadAnswer(url.host, "redirects from an encrypted to an open connection")
    return target.copy_with(username=None, password=None) if target.userinfo else target


def _is_same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _refuse(response: httpx.Response, host: str) -> NoReturn:
    status = response.status_code
    if status == 429:
        raise RateLimited(host, None)
    if status in (401, 403):
        raise AccessRefused(host, status, error_code=response.headers.get("x-error-code"))
    if status in (404, 410):
        raise NotOnServer(host)
    if is_retried_status(status):
        raise NetworkError(host, f"has a fault (status {status}); try again later")
    if status >= 500:
        raise NetworkError(host, f"has a fault (status {status}); try again later", is_passing=False)
    raise BadAnswer(host, f"answers with status {status}", status=status)


async def _body(response: httpx.Response, host: str, limit: int) -> bytes:
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > limit and response.request.method != "HEAD":
        raise _too_large(host, limit)
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise BadAnswer(host, "answers in an encoding that was not asked for")
    body = bytearray()
    pieces = response.aiter_raw()
    async for piece in _unzipped(pieces, host, limit) if encoding in ("gzip", "x-gzip") else pieces:
        body += piece
        if len(body) > limit:
            raise _too_large(host, limit)
    return bytes(body)


async def _unzipped(pieces: AsyncIterator[bytes], host: str, limit: int) -> AsyncIterator[bytes]:
    # SECURITY: zlib itself is told how much may come out; a few KiB could become a GiB.
    unzip = zlib.decompressobj(wbits=31)
    came = 0
    async for piece in pieces:
        try:
            out = unzip.decompress(piece, limit + 1 - came)
        except zlib.error as exc:
            raise BadAnswer(host, "sends a damaged gzip answer") from exc
        came += len(out)
        yield out
        if came > limit:
            return
    if came and not unzip.eof:
        raise NetworkError(host, "ended the answer too early; try again")


def _too_large(host: str, limit: int) -> BadAnswer:
    return BadAnswer(host, f"sends more than the {limit} bytes that such an answer may have")


def _headers(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _network_error(host: str, error: httpx.HTTPError) -> NetworkError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NetworkError(host, f"has no valid certificate: {cause.verify_message}", is_passing=False)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return NetworkError(host, "can't be reached; is there a connection to the network?")
    if isinstance(error, httpx.TimeoutException):
        return NetworkError(host, "does not answer in time; try again later")
    if isinstance(error, httpx.ProxyError):
        return NetworkError(host, "can't be reached through the proxy; check the proxy settings")
    return NetworkError(host, "ended the connection before the answer was complete; try again")
