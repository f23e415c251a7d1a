"""How requests travel: one pool of connections, TLS, and the proxies that the user named."""

from __future__ import annotations

import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpcore
import httpx
from pumas_native import __version__

from pumas.config import Config
from pumas.errors import InvalidInput
from pumas.net.addresses import GuardedBackend, is_named_private

MAX_CONNECTIONS = 100
KEPT_CONNECTIONS = 20
KEPT_S = 30.0


def open_client(config: Config, backend: GuardedBackend, *, idle_s: float) -> httpx.AsyncClient:
    """The client that asks everything; opens no connection yet.

    Args:
        config: Proxies and certificates.
        backend: Connects where there is no proxy.
        idle_s: How long a server may be silent. There is no limit on the whole: a large answer over a thin line takes
            what it takes, as long as it goes on.

    Raises:
        InvalidInput: The file of certificates or a proxy that the user named can't be used.
    """
    limits = httpx.Limits(
        max_connections=MAX_CONNECTIONS, max_keepalive_connections=KEPT_CONNECTIONS, keepalive_expiry=KEPT_S
    )
    verify = _tls(config.ssl_cert_file)
    transport = _Transport(limits, verify, backend)
    mounts: dict[str, httpx.AsyncBaseTransport | None] = {
        f"{scheme}://": _Proxied(
            config, httpx.AsyncHTTPTransport(verify, http2=True, limits=limits, proxy=proxy), transport
        )
        for scheme, proxy in _proxies(config).items()
    }
    return httpx.AsyncClient(
        transport=transport,
        mounts=mounts,
        timeout=httpx.Timeout(idle_s, pool=None),
        trust_env=False,
        headers={"User-Agent": f"pumas-library/{__version__}", "Accept": "*/*"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # none are kept
    )


def is_proxied(config: Config, url: httpx.URL) -> bool:
    """Whether a request to this address goes through a proxy."""
    return url.scheme in _proxies(config) and not _is_direct(config, url)


class _Transport(httpx.AsyncHTTPTransport):
    def __init__(self, limits: httpx.Limits, verify: ssl.SSLContext, backend: GuardedBackend) -> None:
        super().__init__(verify, http2=True, limits=limits)
        # httpx has no argument for the backend; the pool is made as it makes it.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=verify,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            http2=True,
            network_backend=backend,
        )


class _Proxied(httpx.AsyncBaseTransport):
    """The proxy, and no proxy for the hosts that the user excepts."""

    def __init__(self, config: Config, proxy: httpx.AsyncBaseTransport, direct: httpx.AsyncBaseTransport) -> None:
        self._config = config
        self._proxy = proxy
        self._direct = direct

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        way = self._direct if _is_direct(self._config, request.url) else self._proxy
        return await way.handle_async_request(request)

    async def aclose(self) -> None:
        await self._proxy.aclose()


def _is_direct(config: Config, url: httpx.URL) -> bool:
    host = url.host.rstrip(".").lower()
    # A proxy would ask itself.
    if host in ("localhost", "::1") or (host.startswith("127.") and is_named_private(host)):
        return True
    for entry in config.no_proxy:
        name = entry.lower().removeprefix("*").lstrip(".")
        if entry == "*" or (name and (name in (host, f"{host}:{url.port}") or host.endswith(f".{name}"))):
            return True
    return False


def _proxies(config: Config) -> dict[str, str]:
    given = {"http": config.http_proxy or config.all_proxy, "https": config.https_proxy or config.all_proxy}
    return {scheme: _proxy(scheme, text) for scheme, text in given.items() if text}


def _proxy(scheme: str, text: str) -> str:
    address = text if "://" in text else f"http://{text}"
    parameter = f"{scheme}_proxy"
    if not address.startswith(("http://", "https://")):
        told = f"The proxy for {scheme} is of a kind that can't be used; only http:// and https:// ones can"
        raise InvalidInput(told, parameter=parameter)
    try:
        has_host = bool(httpx.URL(address).host)
    except httpx.InvalidURL:  # its text may hold the password
        has_host = False
    if not has_host:
        raise InvalidInput(f"The proxy for {scheme} is no address; check {parameter} or all_proxy", parameter=parameter)
    return address


def _tls(authorities: Path | None) -> ssl.SSLContext:
    if authorities is None:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as exc:  # ssl.SSLError too: no certificates inside
        raise InvalidInput(
            f"SSL_CERT_FILE names {authorities}, which can't be read as certificates", parameter="SSL_CERT_FILE"
        ) from exc
