"""What is known of the servers that were asked: their circuits and limits, and how often it went well."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from pumas.errors import CircuitOpen, NetworkError, NotOnServer, PumasError, RateLimited
from pumas.net.breaker import CIRCUIT_RULE, Circuit, CircuitRule
from pumas.net.rate_limit import SLOW_S, RateLimit
from pumas.upstream import NetworkStatus

logger = logging.getLogger(__name__)

_LEFT_ALONE_S = 3600.0  # longest time for which a limited server is not asked without having been asked again
_MOST = 1000  # hosts remembered: redirects can name any number


class _Host:
    def __init__(self, rule: CircuitRule, clock: Callable[[], float]) -> None:
        self.circuit = Circuit(rule, clock)
        self.limit = RateLimit()
        self.limited_until = 0.0


class Hosts:
    """Decides whether a server may be asked, and counts; safe for threads."""

    def __init__(self, rule: CircuitRule = CIRCUIT_RULE, clock: Callable[[], float] = time.monotonic) -> None:
        self._rule = rule
        self._clock = clock
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}
        self._succeeded = self._failed = self._rejected = self._retries = 0

    def admit(self, host: str) -> None:
        """Begin to ask a server; `settle` must follow.

        Raises:
            RateLimited: It said not long ago that it does not want to be asked now.
            CircuitOpen: It failed too often.
        """
        with self._lock:
            known = self._host(host)
            left_s = known.limited_until - self._clock()
            if left_s > 0:
                raise RateLimited(host, left_s)
            if not known.circuit.ask():
                self._rejected += 1
                raise CircuitOpen(host, known.circuit.left_s())

    def settle(self, host: str, error: BaseException | None) -> None:
        """Tell how asking an admitted server went."""
        with self._lock:
            known = self._host(host)
            is_its_own = isinstance(error, NetworkError) and error.host == host
            if error is not None and not isinstance(error, PumasError):
                known.circuit.give_up()
            elif type(error) is NetworkError and is_its_own:  # its kinds are answers
                known.circuit.fail()
            else:
                known.circuit.succeed()
            if isinstance(error, RateLimited) and is_its_own and error.retry_after_s is not None:
                known.limited_until = self._clock() + min(_LEFT_ALONE_S, error.retry_after_s)

    def count(self, error: BaseException | None) -> None:
        """Count a request that has ended."""
        with self._lock:
            if error is None or isinstance(error, NotOnServer):
                self._succeeded += 1
            elif isinstance(error, PumasError):
                self._failed += 1

    def count_retry(self) -> None:
        """Count one more try."""
        with self._lock:
            self._retries += 1

    def read(self, host: str, headers: Mapping[str, str]) -> None:
        """Take up what an answer says of the server's limit; header names in lower case."""
        with self._lock:
            limit = self._host(host).limit
            was_warned = limit.is_warned
            limit.read(headers)
        if limit.is_warned and not was_warned:
            logger.warning("%s lets us ask only %s more times for now", host, limit.remaining)

    def pause_s(self, host: str) -> float:
        """Seconds to wait before the server is asked, so that the rest of its limit lasts longer."""
        with self._lock:
            return SLOW_S if self._host(host).limit.is_low else 0.0

    def status(self, *, is_offline: bool) -> NetworkStatus:
        """The counters and circuits at this moment."""
        with self._lock:
            states = {name: host.circuit.state for name, host in self._hosts.items()}
            return NetworkStatus(
                total_requests=self._succeeded + self._failed,
                successful_requests=self._succeeded,
                failed_requests=self._failed,
                circuit_breaker_rejections=self._rejected,
                retries=self._retries,
                circuit_states=states,
                is_offline=is_offline or "open" in states.values(),
            )

    def _host(self, name: str) -> _Host:
        known = self._hosts.pop(name, None) or _Host(self._rule, self._clock)
        self._hosts[name] = known
        if len(self._hosts) > _MOST:
            del self._hosts[next(iter(self._hosts))]
        return known


class Visit:
    """One request under way and the servers it came to; settled with all of them when it ends."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._entered: list[str] = []

    def enter(self, host: str) -> None:
        """Come to a server.

        Raises:
            RateLimited: It said not long ago that it does not want to be asked now.
            CircuitOpen: It failed too often.
        """
        if host not in self._entered:
            self._hosts.admit(host)
            self._entered.append(host)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for host in self._entered:
            self._hosts.settle(host, error)
        if self._entered:
            self._hosts.count(error)
