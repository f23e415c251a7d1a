"""Which machine a connection goes to, and whether it may.

A public server must not be able to send us to a machine that only we can reach: a router, a service on this computer,
the metadata service of a cloud. What counts is the address that is connected, not the name: a name can lead anywhere.
Whoever sets a private base (a mirror in the house, a test) may be sent on to private addresses by it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import httpcore

from pumas.errors import BadAnswer

Resolve = Callable[[str], Sequence[str]]
"""Addresses of a host name, best first; raises OSError when there are none."""
IsPrivate = Callable[[str], bool]

may_be_private: ContextVar[bool] = ContextVar("may_be_private", default=True)
"""Whether the request that runs in this context may connect to a private address."""

_FEW = 4  # addresses of one host that are tried
_NEXT_AFTER_S = 3.0  # then the next one is tried
_MOST_ORIGINS = 1000
_EMBEDDING = (  # IPv6 networks whose addresses lead to an IPv4 one, and the bits below it
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # RFC 6052
    (ipaddress.IPv6Network("64:ff9b:1::/48"), 0),  # RFC 8215
    (ipaddress.IPv6Network("2002::/16"), 80),  # RFC 3056
    (ipaddress.IPv6Network("::/96"), 0),  # RFC 4291 2.5.5.1
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),  # RFC 2765 2.1
)


def is_private(address: str) -> bool:
    """Whether an IP address can't be reached from everywhere: private, loopback, link-local, shared, multicast.

    An IPv4 address inside an IPv6 one counts as itself.

    Raises:
        ValueError: It is not an IP address.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or _embedded(ip)
        if inner is not None:
            ip = inner
        elif ip.is_site_local:  # RFC 3879: given up, but in use
            return True
    return not ip.is_global or ip.is_multicast


def is_address(host: str) -> bool:
    """Whether a host is given by its IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_named_private(host: str) -> bool:
    """Whether a host is private by what it is called; what its name leads to is not looked up."""
    name = host.rstrip(".").lower()
    with suppress(OSError):
        name = socket.inet_ntoa(socket.inet_aton(name))  # 127.1, 0x7f000001, 2130706433: a proxy may know these forms
    return is_private(name) if is_address(name) else name == "localhost" or name.endswith(".localhost")


def sent_to_private(host: str) -> BadAnswer:
    """What is said when a public server leads to a private one."""
    return BadAnswer(host, "is a private address, and a public server must not send us there")


def resolve_by_system(host: str) -> Sequence[str]:
    """What the system's resolver knows, in its order of preference (RFC 6724)."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects for httpx; refuses private addresses where `may_be_private` says so."""

    def __init__(self, resolve: Resolve, is_private: IsPrivate) -> None:
        self._resolve = resolve
        self._is_private = is_private
        self._tcp = httpcore.AnyIOBackend()
        self._lookups: dict[str, asyncio.Future[Sequence[str]]] = {}
        self._connected: dict[tuple[str, int], str] = {}

    def was_private(self, host: str, port: int) -> bool:
        """Whether the last connection to it went to a private address."""
        address = self._connected.get((host, port))
        return address is not None and self._is_private(address)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers.

        Raises:
            BadAnswer: All of them are private and may not be.
            httpcore.ConnectError: None answers, or the name is not known.
            httpcore.ConnectTimeout: None answers in time.
        """
        addresses = await self._addresses(host, timeout)
        if not may_be_private.get():
            addresses = [address for address in addresses if not self._is_private(address)]
            if not addresses:
                raise sent_to_private(host)
        last = self._connected.get((host, port))
        # The one that answered last comes first: waiting for a dead one each time would be slow.
        tried = sorted(addresses, key=lambda address: address != last)[:_FEW]
        for address in tried:
            is_last = address is tried[-1]
            patience = timeout if is_last or timeout is None else min(timeout, _NEXT_AFTER_S)
            try:
                stream = await self._tcp.connect_tcp(address, port, patience, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if is_last:
                    raise
                continue
            self._remember(host, port, address)
            return stream
        raise httpcore.ConnectError(f"{host} has no address")

    def _remember(self, host: str, port: int, address: str) -> None:
        self._connected.pop((host, port), None)
        self._connected[host, port] = address
        if len(self._connected) > _MOST_ORIGINS:  # none of the oldest has an open connection any more
            del self._connected[next(iter(self._connected))]

    async def _addresses(self, host: str, timeout_s: float | None) -> Sequence[str]:
        if is_address(host):
            return [host]
        lookup = self._lookups.get(host)
        if lookup is None:
            lookup = self._lookups[host] = asyncio.get_running_loop().create_future()
            lookup.add_done_callback(lambda _: self._lookups.pop(host, None))
            # A daemon, not one of the loop's workers: a resolver that hangs must not keep the process from ending.
            threading.Thread(target=self._look_up, args=(host, lookup), name=f"resolve {host}", daemon=True).start()
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(lookup)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(f"{host} was not found in time") from exc
        except OSError as exc:
            raise httpcore.ConnectError(f"{host} was not found") from exc

    def _look_up(self, host: str, lookup: asyncio.Future[Sequence[str]]) -> None:
        try:
            addresses = self._resolve(host)
        except (OSError, UnicodeError) as exc:  # a label of more than 63 characters
            error = exc if isinstance(exc, OSError) else socket.gaierror(socket.EAI_NONAME, "no such name")
            _tell(lookup, lambda: lookup.set_exception(error))
        else:
            _tell(lookup, lambda: lookup.set_result(addresses))


def _tell(lookup: asyncio.Future[Sequence[str]], settle: Callable[[], None]) -> None:
    try:
        lookup.get_loop().call_soon_threadsafe(lambda: None if lookup.done() else settle())
    except RuntimeError:  # the client was closed meanwhile
        return


def _embedded(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    for network, shift in _EMBEDDING:
        if ip in network and int(ip) > 1:
            return ipaddress.IPv4Address(int(ip) >> shift & 0xFFFF_FFFF)
    return None
