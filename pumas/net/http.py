"""The client through which everything is asked: one thread, one pool of connections, made when first needed.

Outside it is plain and synchronous, and safe for any number of threads; inside one thread runs an event loop with one
`httpx.AsyncClient` (HTTP/2 where offered). httpx is loaded with the first request, not with this module.
"""

from __future__ import annotations

import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from typing import TYPE_CHECKING, Any, TypeVar

from pumas.config import Config
from pumas.errors import Cancelled, Offline, PumasError
from pumas.models import NetworkStatus
from pumas.net.json_answers import json_of
from pumas.net.messages import Cancellable, Reply, Request, host_of

if TYPE_CHECKING:
    import asyncio

    import httpx

__all__ = ["Cancellable", "HttpClient", "Reply", "Request", "host_of", "json_of"]

T = TypeVar("T")

_CANCEL_LOOK_S = 0.05


class HttpClient:
    """Asks servers; nothing is opened before the first request."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: httpx.AsyncClient | None = None
        self._is_closed = False

    def fetch(self, request: Request, *, cancel: Cancellable | None = None) -> Reply:
        """Ask, and wait for the answer; passing faults are tried again.

        Args:
            request: What to ask.
            cancel: Looked at all the time; the request is given up within 50 ms.

        Raises:
            NetworkError: There is no answer that can be used; `Offline`, `RateLimited`, … say more.
            NotOnServer: The server does not have it (404, 410).
            Cancelled: `cancel` was set, or the client closed.
        """
        return self._wait(self._ask(request), cancel)

    def fetch_all(self, requests: Sequence[Request], *, concurrent: int = 32) -> list[Reply | PumasError]:
        """Ask several at once.

        Args:
            requests: What to ask.
            concurrent: Most requests under way at once.

        Returns:
            Answer or error of each, in order: one that fails does not stop the others.

        Raises:
            Cancelled: The client was closed.
        """

        async def ask_all() -> list[Reply | PumasError]:
            import asyncio  # noqa: PLC0415 - loaded with the first request

            free = asyncio.Semaphore(concurrent)

            async def one(request: Request) -> Reply | PumasError:
                async with free:
                    try:
                        return await self._ask(request)
                    except PumasError as exc:
                        return exc

            return await asyncio.gather(*map(one, requests))

        return self._wait(ask_all(), None)

    def status(self) -> NetworkStatus:
        """How requests went so far; never waits."""
        return NetworkStatus(is_offline=self._config.offline)

    def close(self) -> None:
        """End what is under way and close all connections; later requests are refused."""
        with self._lock:
            self._is_closed = True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        import asyncio  # noqa: PLC0415 - loaded already

        async def end() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._client is not None:
                await self._client.aclose()
            loop.stop()

        asyncio.run_coroutine_threadsafe(end(), loop)
        thread.join()

    async def _ask(self, request: Request) -> Reply:
        if self._config.offline:
            raise Offline(host_of(request.url))
        from pumas.net.exchange import exchange  # noqa: PLC0415 - loads httpx
        from pumas.net.retry import retrying  # noqa: PLC0415 - loads tenacity

        if self._client is None:
            import httpx  # noqa: PLC0415 - loaded with the first request

            self._client = httpx.AsyncClient(http2=True, follow_redirects=False, timeout=httpx.Timeout(10.0))
        return await retrying(self._config.retry_base_s)(exchange, self._client, request)

    def _wait(self, work: Coroutine[Any, Any, T], cancel: Cancellable | None) -> T:
        import asyncio  # noqa: PLC0415 - loaded with the first request

        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._running_loop())
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
            future.cancel()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        import asyncio  # noqa: PLC0415 - loaded with the first request

        with self._lock:
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
