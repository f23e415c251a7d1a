"""The client through which everything is asked: one thread, one pool of connections, made when first needed.

Outside it is plain and synchronous, and safe for any number of threads; inside one thread runs an event loop with one
`httpx.AsyncClient` (HTTP/2 where offered). httpx is loaded with the first request, not with this module.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from typing import TYPE_CHECKING, Any, TypeVar

from pumas.config import Config
from pumas.errors import Cancelled, NetworkError, Offline, PumasError
from pumas.net.breaker import CIRCUIT_RULE, CircuitRule
from pumas.net.hosts import Hosts
from pumas.net.json_answers import json_of
from pumas.net.messages import Cancellable, Reply, Request, host_of
from pumas.upstream import NetworkStatus

if TYPE_CHECKING:
    import asyncio

    from pumas.net.addresses import IsPrivate, Resolve
    from pumas.net.exchange import Exchange

__all__ = ["Cancellable", "HttpClient", "Reply", "Request", "host_of", "json_of"]

T = TypeVar("T")

IDLE_S = 10.0

_CANCEL_LOOK_S = 0.05
_CLOSE_S = 0.5


class HttpClient:
    """Asks servers; nothing is opened before the first request.

    Args:
        config: Tokens are not taken from it: they belong to requests.
        resolve: Finds addresses of host names; the system does when not given.
        is_private: Which addresses a public server must not send us to.
        rule: When a server that fails is left alone.
        clock: Seconds on a clock that is never set back.
        idle_s: How long a server may be silent, and take to be connected.
    """

    def __init__(
        self,
        config: Config,
        *,
        resolve: Resolve | None = None,
        is_private: IsPrivate | None = None,
        rule: CircuitRule = CIRCUIT_RULE,
        clock: Callable[[], float] = time.monotonic,
        idle_s: float = IDLE_S,
    ) -> None:
        self._config = config
        self._resolve = resolve
        self._is_private = is_private
        self._idle_s = idle_s
        self._hosts = Hosts(rule, clock)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._exchange: Exchange | None = None
        self._is_closed = False

    def fetch(self, request: Request, *, cancel: Cancellable | None = None) -> Reply:
        """Ask, and wait for the answer; passing faults are tried again.

        Args:
            request: What to ask.
            cancel: Looked at all the time; the request is given up within 50 ms.

        Raises:
            NetworkError: There is no answer that can be used; `Offline`, `RateLimited`, … say more.
            InvalidInput: A proxy or certificates that the user named can't be used.
            NotOnServer: The server does not have it (404, 410).
            Cancelled: `cancel` was set, or the client closed.
        """
        return self._wait(lambda: self._ask(request), cancel)

    def fetch_all(
        self, requests: Sequence[Request], *, concurrent: int = 32, within_s: float | None = None
    ) -> list[Reply | PumasError]:
        """Ask several at once.

        Args:
            requests: What to ask.
            concurrent: Most requests under way at once.
            within_s: Those that have no answer after so many seconds, tries and waits included, are given up.

        Returns:
            Answer or error of each, in order: one that fails does not stop the others.

        Raises:
            Cancelled: The client was closed.
        """

        async def ask_all() -> list[Reply | PumasError]:
            import asyncio  # noqa: PLC0415 - loaded with the first request

            free = asyncio.Semaphore(concurrent)
            clock = asyncio.get_running_loop().time
            until = None if within_s is None else clock() + within_s

            async def one(request: Request) -> Reply | PumasError:
                async with free:
                    if until is not None and clock() >= until:
                        return NetworkError(host_of(request.url), "was not asked: others took too long to answer")
                    try:
                        return await self._ask(request, until)
                    except PumasError as exc:
                        return exc

            return await asyncio.gather(*map(one, requests))

        return self._wait(ask_all, None)

    def status(self) -> NetworkStatus:
        """How requests went so far; never waits."""
        return self._hosts.status(is_offline=self._config.offline)

    def close(self) -> None:
        """End what is under way and close all connections; later requests are refused."""
        with self._lock:
            loop, thread = (None, None) if self._is_closed else (self._loop, self._thread)
            self._is_closed = True
        if loop is None or thread is None:
            return
        import asyncio  # noqa: PLC0415 - loaded already

        async def end() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._exchange is not None:
                await self._exchange.close()
            await loop.shutdown_asyncgens()
            loop.stop()

        asyncio.run_coroutine_threadsafe(end(), loop)
        thread.join(_CLOSE_S)

    async def _ask(self, request: Request, until: float | None = None) -> Reply:
        if self._config.offline:
            raise Offline(host_of(request.url))
        if self._exchange is None:
            from pumas.net import addresses, exchange  # noqa: PLC0415 - loads httpx

            resolve = self._resolve or addresses.resolve_by_system
            self._exchange = exchange.Exchange(
                self._config, self._hosts, resolve, self._is_private or addresses.is_private, idle_s=self._idle_s
            )
        return await self._exchange.ask(request, until)

    def _wait(self, work: Callable[[], Coroutine[Any, Any, T]], cancel: Cancellable | None) -> T:
        import asyncio  # noqa: PLC0415 - loaded with the first request

        ended = threading.Event()

        async def told() -> T:
            try:
                return await work()
            finally:
                ended.set()

        with self._lock:  # what is handed in before the client closes is given up by `close`
            loop = self._running_loop()
            future: Future[T] = asyncio.run_coroutine_threadsafe(told(), loop)
        try:
            while True:
                try:
                    return future.result(None if cancel is None else _CANCEL_LOOK_S)
                except NotYet:
                    if future.done():
                        raise
                    if cancel is not None and cancel.is_cancelled:
                        raise Cancelled("The request was cancelled") from None
        except CancelledError as exc:
            raise Cancelled("Pumas is shutting down; the request was given up") from exc
        finally:
            if future.cancel():
                ended.wait(_CLOSE_S)  # so that whoever asks next finds the server as it is without this request

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        import asyncio  # noqa: PLC0415 - loaded with the first request

        if self._is_closed:
            raise Cancelled("Pumas is shutting down; nothing more is asked of the network")
        if self._loop is None:
            loop = self._loop = asyncio.new_event_loop()
            # A daemon: an answer that does not come must not keep the process from ending.
            self._thread = threading.Thread(target=_run, args=(loop,), name="network", daemon=True)
            self._thread.start()
        return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
