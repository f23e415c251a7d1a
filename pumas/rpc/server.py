"""Waitress around the application: sockets, threads, limits, and an end within a second."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import WSGITask

from pumas.api import PumasApi
from pumas.config import SERVER_THREADS, Config
from pumas.errors import InvalidInput, PortInUse
from pumas.rpc.app import create_app
from pumas.rpc.guard import Guard, is_loopback_address
from pumas.rpc.session import Session
from pumas.rpc.workers import SHORT_S, Workers

logger = logging.getLogger(__name__)

# The parts of the end; together less than the second that the client's bridge waits.
_ANSWERS_S = 0.15  # for answers that are being written when the end is asked for
_JOBS_S = 0.4  # for jobs to reach a safe point
_LATE_ANSWERS_S = 0.1  # for the answers of calls that waited for those jobs
_THREADS_S = 0.1  # for handler threads to be idle


class _StrictParser(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
    """Refuses a request that gives its length twice: two readers may disagree where it ends (RFC 9112 §6.3)."""

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as exc:  # a length of thousands of digits
            raise ParsingError("Content-Length is not a usable number") from exc
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding exclude each other")


class _Task(WSGITask):  # type: ignore[misc] # waitress has no types
    """Keeps the connection after a 204, which has no body and so no length (RFC 9110 §15.3.5)."""

    def set_close_on_finish(self) -> None:
        asks_to_close = self.request.headers.get("CONNECTION", "").lower() == "close" or self.version == "1.0"
        if asks_to_close or not self.status.startswith("204"):
            super().set_close_on_finish()


class _Channel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    parser_class = _StrictParser
    task_class = _Task


class _WsgiServer(TcpWSGIServer):  # type: ignore[misc] # waitress has no types
    channel_class = _Channel


@dataclass
class Server:
    """A listening server; `serve` runs it until `stop`."""

    api: PumasApi
    wsgi: Any
    sockets: dict[int, Any]
    _stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.wsgi.effective_port)

    def stop(self) -> None:
        """Ask the server to end; safe from any thread and from a signal handler."""
        self._stopping.set()
        # Once the loop has ended by itself there is nothing left to wake, and the pipe that wakes it is closed.
        with suppress(OSError):
            self.wsgi.pull_trigger()

    def serve(self) -> bool:
        """Answer until `stop`, then let answers go out and jobs reach a safe point.

        Returns:
            Whether everything had ended in time; if not, threads are still at work.
        """
        self.api.prepare_answers()
        self.api.watch_library()
        self.api.make_due_digests()
        while not self._stopping.is_set():
            self._turn(1.0)
        self.wsgi.accepting = False
        self._drain(_ANSWERS_S)
        has_ended = self.api.end_jobs(_JOBS_S)
        self._drain(_LATE_ANSWERS_S)
        dispatcher = self.wsgi.task_dispatcher
        dispatcher.shutdown(timeout=_THREADS_S)
        if dispatcher.threads:
            return False  # a thread that is still at work needs its sockets and its database
        for channel in list(self.sockets.values()):
            channel.close()
        return self.api.close(0) and has_ended

    def _turn(self, timeout_s: float) -> None:
        workers = self.wsgi.task_dispatcher
        wait_s = min(timeout_s, SHORT_S) if workers.is_waited_for else timeout_s
        wasyncore.loop(timeout=wait_s, use_poll=True, map=self.sockets, count=1)
        workers.look()

    def _drain(self, timeout_s: float) -> None:
        deadline = monotonic() + timeout_s
        while self._is_answering() and monotonic() < deadline:
            self._turn(0.01)

    def _is_answering(self) -> bool:
        channels = list(self.wsgi.active_channels.values())
        return any(channel.requests or channel.total_outbufs_len for channel in channels)


def create_server(
    api: PumasApi,
    config: Config,
    *,
    host: str,
    port: int,
    is_remote_allowed: bool = False,
) -> Server:
    """Bind and listen; requests are answered once `serve` runs.

    Args:
        api: The open root; `serve` closes it at its end.
        config: Token, allowed names and origins, body limit.
        host: Address or name to bind.
        port: 0 for any free one.
        is_remote_allowed: Must be set, and a token configured, for a host that other machines can reach.

    Raises:
        InvalidInput: The host can be reached by others and that was not allowed, or it can't be resolved.
        PortInUse: Another program listens there.
    """
    check_address(config, host=host, port=port, is_remote_allowed=is_remote_allowed)
    is_remote = not is_loopback_address(host)
    session = Session(api)
    sockets: dict[int, Any] = {}
    app = _Late()
    wsgi = _listen(app, config, host, port, sockets)
    guard = Guard(
        port=int(wsgi.effective_port),
        allowed_hosts=frozenset(name.lower() for name in (*config.allowed_hosts, *([host] if is_remote else []))),
        allowed_origins=frozenset(config.allowed_origins),
        token=config.token if is_remote else None,
    )
    server = Server(api, wsgi, sockets)
    session.request_shutdown = server.stop
    app.wrapped = create_app(session, guard)
    return server


def check_address(config: Config, *, host: str, port: int, is_remote_allowed: bool) -> None:
    """Refuse an address before anything is opened for it.

    Raises:
        InvalidInput: The port is none, or others can reach the host and that was not allowed.
    """
    if not 0 <= port <= 65535:
        raise InvalidInput(f"The port must be a number from 0 to 65535, not {port}", parameter="port")
    if not is_loopback_address(host) and not (is_remote_allowed and config.token):
        raise InvalidInput(
            f"{host} can be reached by other machines; that needs --allow-remote and a token in PUMAS_TOKEN",
            parameter="host",
        )


class _Late:
    """The application is made after the socket, because it must know the port."""

    wrapped: Callable[[Any, Any], Any]

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.wrapped(environ, start_response)


def _listen(app: object, config: Config, host: str, port: int, sockets: dict[int, Any]) -> Any:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError, OverflowError) as exc:
        raise InvalidInput(f"The host {host!r} with port {port} can't be resolved", parameter="host") from exc
    adjustments = Adjustments(
        connection_limit=2000,
        backlog=1024,
        asyncore_use_poll=True,
        channel_timeout=20,
        # A thread never waits for a client that doesn't read: nothing more is read from such a one, and what it asked
        # for in one go (8 KiB of requests) is kept; long answers are not copied for it (`pieced`).
        outbuf_high_watermark=1 << 40,
        cleanup_interval=5,
        max_request_body_size=config.max_body_bytes,
        max_request_header_size=64 * 1024,
        ident=None,
        clear_untrusted_proxy_headers=True,
    )
    where = (family, kind, protocol, address)
    try:
        return _WsgiServer(app, map=sockets, adj=adjustments, dispatcher=Workers(SERVER_THREADS), sockinfo=where)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from exc
        if exc.errno == errno.EACCES:
            message = f"Port {port} needs more rights than Pumas has; choose one above 1023"
            raise InvalidInput(message, parameter="port") from exc
        raise InvalidInput(f"The server can't listen on {host}: {exc.strerror}", parameter="host") from exc


def stop_on_signals(server: Server) -> None:
    """End the server on SIGTERM and SIGINT; only from the main thread."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
