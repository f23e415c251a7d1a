"""A small HTTP/1.1 server on a free port of the loopback address, with faults on demand.

A server is made of one function, `Call -> Answer`. A fault is a function too, `Answer -> Answer`, and changes what is
sent or how: `server.fail(reset(), path="/tree/", times=2)` resets the next two connections that ask for a path with
`/tree/` in it. Every request is kept in `server.calls`, every connection counted in `server.connections`.

A wait (latency, stall, a slow body) ends when the server does, so no test waits for one.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Call:
    """One request; header names in lower case, the path without the query and unquoted."""

    method: str
    path: str
    query: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str]
    body: bytes
    target: str

    def first(self, name: str, default: str = "") -> str:
        return self.query.get(name, (default,))[0]

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


@dataclass(frozen=True)
class Answer:
    """What is sent, and how.

    `length` is the Content-Length that is said, the true one if None; `is_chunked` says none and sends chunks. After
    `sent` bytes of the body (all, if None) comes `ending`: the next request, a reset, a closed connection, or silence.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    is_chunked: bool = False
    latency_s: float = 0.0
    rate_bytes_s: int | None = None
    has_head: bool = True
    sent: int | None = None
    ending: Literal["next", "reset", "close", "stall"] = "next"


Fault = Callable[[Answer], Answer]


def document(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer of JSON."""
    return Answer(status, json.dumps(value).encode(), {"Content-Type": JSON, **(headers or {})})


def latency(seconds: float) -> Fault:
    """The answer comes later."""
    return lambda answer: replace(answer, latency_s=seconds)


def slow(rate_bytes_s: int) -> Fault:
    """The body comes at this rate."""
    return lambda answer: replace(answer, rate_bytes_s=rate_bytes_s)


def status(code: int, *, retry_after: str | None = None, headers: Mapping[str, str] | None = None) -> Fault:
    """Another status, with nothing of the answer left."""
    told = {} if retry_after is None else {"Retry-After": retry_after}
    return lambda answer: Answer(code, b"", {**told, **(headers or {})}, latency_s=answer.latency_s)


def redirect(location: str, code: int = 302) -> Fault:
    """Sends the caller elsewhere."""
    return status(code, headers={"Location": location})


def body(content: bytes, content_type: str = JSON) -> Fault:
    """The answer's head with another body."""
    return lambda answer: replace(answer, body=content, headers={**answer.headers, "Content-Type": content_type})


def json_body(value: object) -> Fault:
    """JSON of another shape than was asked for."""
    return body(json.dumps(value).encode())


def html(code: int = 200) -> Fault:
    """A page for people, as portals and proxies answer with."""
    page = b"<!doctype html><html><head><title>Sign in</title></head><body>Please sign in</body></html>"
    return lambda answer: Answer(code, page, {"Content-Type": HTML}, latency_s=answer.latency_s)


def gzipped(*, cut: int | None = None) -> Fault:
    """The body compressed, whole or its first `cut` bytes only."""
    return lambda answer: replace(
        answer, body=gzip.compress(answer.body)[:cut], headers={**answer.headers, "Content-Encoding": "gzip"}
    )


def chunked() -> Fault:
    """No length is said."""
    return lambda answer: replace(answer, is_chunked=True)


def wrong_length(by: int) -> Fault:
    """A Content-Length that is `by` bytes more (or less) than what comes; then the connection is closed."""
    return lambda answer: replace(answer, length=len(answer.body) + by, ending="close")


def cut(after: int) -> Fault:
    """The connection is closed after this many bytes of the body."""
    return lambda answer: replace(answer, sent=after, ending="close")


def reset(after: int | None = None) -> Fault:
    """The connection is reset: before the answer, or after this many bytes of its body."""
    return lambda answer: replace(answer, has_head=after is not None, sent=after or 0, ending="reset")


def hang_up() -> Fault:
    """The connection is closed without an answer."""
    return lambda answer: replace(answer, has_head=False, sent=0, ending="close")


def stall(after: int | None = None) -> Fault:
    """Nothing more comes: no answer at all, or none after this many bytes of its body."""
    return lambda answer: replace(answer, has_head=after is not None, sent=after or 0, ending="stall")


@dataclass
class _Planned:
    fault: Fault
    path: str
    method: str | None
    times: int | None


class FakeServer:
    """Answers with `answer(call)` until it is closed; a context manager."""

    def __init__(
        self, answer: Callable[[Call], Answer], *, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
    ) -> None:
        self.calls: list[Call] = []
        self.connections = 0
        self.ended = threading.Event()
        self._answer = answer
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._failures: list[BaseException] = []
        self._server = _Listener(self, tls, address)
        self.port: int = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://{address}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="fake server")
        self._thread.start()

    def fail(self, fault: Fault, *, path: str = "", method: str | None = None, times: int | None = 1) -> None:
        """Let the next `times` answers (all, if None) to requests with `path` in their target go wrong.

        Faults that are planned for one request work one upon the other, in the order in which they were planned.
        """
        with self._lock:
            self._planned.append(_Planned(fault, path, method, times))

    def heal(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._planned.clear()

    def requests(self, part: str = "") -> list[str]:
        """`GET /path?query` of the calls so far that contain `part`."""
        with self._lock:
            return [str(call) for call in self.calls if part in str(call)]

    def close(self) -> None:
        """End all connections and threads; raises what went wrong inside the fake itself."""
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _shut(connection)
        self._server.server_close()
        if self._failures:
            raise self._failures[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer_to(self, call: Call) -> Answer:
        with self._lock:
            self.calls.append(call)
            faults = [self._take(one) for one in self._planned if _fits(one, call)]
        answer = self._answer(call)
        for fault in faults:
            answer = fault(answer)
        return answer

    def _take(self, planned: _Planned) -> Fault:
        if planned.times is not None:
            planned.times -= 1
        return planned.fault

    def _opened(self, connection: socket.socket) -> None:
        with self._lock:
            self.connections += 1
            self._open.add(connection)

    def _closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def _failed(self, error: BaseException) -> None:
        self._failures.append(error)


def _fits(planned: _Planned, call: Call) -> bool:
    return planned.times != 0 and planned.path in call.target and planned.method in (None, call.method)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # gone already
        connection.shutdown(socket.SHUT_RDWR)


class _Listener(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 256

    def __init__(self, fake: FakeServer, tls: ssl.SSLContext | None, address: str) -> None:
        self.fake = fake
        self._tls = tls
        super().__init__((address, 0), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread: a client that never shakes hands holds up nobody else.
        connection = self._tls.wrap_socket(request, server_side=True) if self._tls else request
        self.fake._opened(connection)
        try:
            super().finish_request(connection, client_address)
        finally:
            self.fake._closed(connection)
            if connection is not request:
                connection.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        # A client that goes away, or trusts no certificate of ours, is what many tests are about.
        if error is not None and not isinstance(error, OSError):
            self.fake._failed(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
            return
        if self.parse_request():
            self._send(self.server.fake._answer_to(self._call()))

    def log_message(self, *_: Any) -> None:
        """Keep quiet: `calls` tells more."""

    def _call(self) -> Call:
        query: dict[str, tuple[str, ...]] = {}
        parts = urlsplit(self.path)
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            query[name] = (*query.get(name, ()), value)
        headers = {name.lower(): value for name, value in self.headers.items()}
        content = self.rfile.read(int(headers.get("content-length", 0)))
        return Call(self.command, unquote(parts.path), query, headers, content, self.path)

    def _send(self, answer: Answer) -> None:
        if answer.latency_s:
            self.server.fake.ended.wait(answer.latency_s)
        has_body = self.command != "HEAD" and answer.status not in (204, 304)
        content = answer.body[: answer.sent] if has_body else b""
        if answer.is_chunked and has_body:
            content = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in _pieces(content))
            content += b"0\r\n\r\n" if answer.sent is None else b""
        # One write for a small answer: two would wait for each other's acknowledgement.
        head = self._head(answer) if answer.has_head else b""
        if answer.rate_bytes_s is None:
            self.wfile.write(head + content)
        else:
            self.wfile.write(head)
            self._send_slowly(content, answer.rate_bytes_s)
        self._end(answer)

    def _head(self, answer: Answer) -> bytes:
        lines = [f"HTTP/1.1 {answer.status} {self.responses.get(answer.status, ('Other',))[0]}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        if answer.is_chunked:
            lines.append("Transfer-Encoding: chunked")
        elif answer.status not in (204, 304):
            lines.append(f"Content-Length: {len(answer.body) if answer.length is None else answer.length}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _send_slowly(self, content: bytes, rate_bytes_s: int) -> None:
        step = max(1, rate_bytes_s // 20)
        for start in range(0, len(content), step):
            if self.server.fake.ended.wait(step / rate_bytes_s):
                return
            self.wfile.write(content[start : start + step])

    def _end(self, answer: Answer) -> None:
        if answer.ending == "next":
            return
        self.close_connection = True
        if answer.ending == "stall":
            self.server.fake.ended.wait()
        elif answer.ending == "reset":
            # A socket that lingers for no time is reset when it is closed. Nothing may shut it down before that.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.wfile.close()
            self.connection.close()


def _pieces(content: bytes, size: int = 65536) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]
