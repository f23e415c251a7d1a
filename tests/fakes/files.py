"""A server of one file that knows ranges, sends fast, and misbehaves on demand.

Bodies are sent out of the file by the kernel, so a gigabyte costs this process next to nothing. A fault changes a
`Reply` before it is sent; `server.fail(cut(1000), times=2)` plans it for the next two requests. What was asked and how
many bytes of bodies were sent is kept in `server.requests` and `server.sent_bytes`.
"""

from __future__ import annotations

import os
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.client import responses
from pathlib import Path
from time import perf_counter
from typing import IO, Self

from fakes.listening import Listening

_STEP = 1 << 20


@dataclass(frozen=True)
class Request:
    """A request: its target, and its headers by names in lower case."""

    target: str
    headers: Mapping[str, str]

    @property
    def range(self) -> tuple[int, int] | None:
        """First and last byte asked for."""
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        return (int(match[1]), int(match[2])) if match else None


@dataclass(frozen=True)
class Reply:
    """What is sent: `start` to `end` of the file, or `body` if there is one; at most `sent` bytes of it."""

    status: int
    headers: Mapping[str, str]
    start: int = 0
    end: int = 0
    body: bytes | None = None
    sent: int | None = None
    rate_bytes_s: int | None = None
    is_chunked: bool = False
    is_stalled: bool = False

    @property
    def length(self) -> int:
        return len(self.body) if self.body is not None else self.end - self.start

    def with_header(self, name: str, value: str) -> Reply:
        return replace(self, headers={**self.headers, name: value})


Fault = Callable[[Reply], Reply]


def cut(after: int) -> Fault:
    """The connection is closed after so many bytes of the body."""
    return lambda reply: replace(reply, sent=after)


def stall(after: int) -> Fault:
    """Nothing more comes after so many bytes of the body, and the connection stays."""
    return lambda reply: replace(reply, sent=after, is_stalled=True)


def header(name: str, value: str) -> Fault:
    """Another value of a header."""
    return lambda reply: reply.with_header(name, value)


def refuse(status: int, **headers: str) -> Fault:
    """A status without a body; `_` in the names of headers stands for a hyphen."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Reply(status, {**told, "Content-Length": "0"}, body=b"")


def redirect(location: str) -> Fault:
    return refuse(302, Location=location)


def page() -> Fault:
    """A page in place of the file."""
    body = b"<html>Please sign in</html>"
    told = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body))}
    return lambda _: Reply(200, told, body=body)


def chunked() -> Fault:
    """No length is said; the body ends with its last chunk."""
    return lambda reply: replace(reply, is_chunked=True)


@dataclass
class _Planned:
    fault: Fault
    times: int | None
    first: int


@dataclass
class FileServer:
    """Serves the bytes of `path` under every target, until it is closed; a context manager."""

    path: Path
    etag: str | None = '"one"'
    has_ranges: bool = True
    rate_bytes_s: int | None = None
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    sent_bytes: int = 0
    connections: int = 0

    def __post_init__(self) -> None:
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()
        self._listening = Listening(self._serve)
        self.port = self._listening.port
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/file"

    def fail(self, fault: Fault, *, times: int | None = 1, first: int = 0) -> None:
        """Let the next `times` replies (all, if None) go wrong; `first` is the least start of a range it is for."""
        with self._lock:
            self._planned.append(_Planned(fault, times, first))

    def heal(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._planned.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _serve(self, connection: socket.socket) -> None:
        # A client that goes away is what many tests are about.
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
            if self.tls is None:
                self._answer(connection)
            else:
                with self.tls.wrap_socket(connection.dup(), server_side=True) as encrypted:
                    self._answer(encrypted)

    def _answer(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as lines, self.path.open("rb") as content:
            while (request := self._read(lines)) is not None:
                if not self._send(connection, content.fileno(), self._reply(request)):
                    return

    def _read(self, lines: IO[bytes]) -> Request | None:
        line = lines.readline().decode("latin-1")
        if not line:
            return None
        headers = {}
        while text := lines.readline().decode("latin-1").strip():
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        request = Request(line.split(" ")[1], headers)
        with self._lock:
            self.requests.append(request)
        return request

    def _reply(self, request: Request) -> Reply:
        size = self.path.stat().st_size
        told = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        if self.etag is not None:
            told["ETag"] = self.etag
        reply = Reply(200, told, end=size, rate_bytes_s=self.rate_bytes_s)
        if self.has_ranges:
            reply = reply.with_header("Accept-Ranges", "bytes")
            if request.range is not None and request.headers.get("if-range", self.etag) == self.etag:
                reply = self._part(reply, request.range, size)
        with self._lock:
            start = request.range[0] if request.range else 0
            faults = [one for one in self._planned if one.times != 0 and start >= one.first]
            for one in faults:
                one.times = None if one.times is None else one.times - 1
        for one in faults:
            reply = one.fault(reply)
        return reply

    def _part(self, reply: Reply, wanted: tuple[int, int], size: int) -> Reply:
        start, end = wanted[0], min(wanted[1] + 1, size)
        if start >= end:
            told = {"Content-Range": f"bytes */{size}", "Content-Length": "0"}
            return Reply(416, told, body=b"")
        told = {**reply.headers, "Content-Range": f"bytes {start}-{end - 1}/{size}", "Content-Length": str(end - start)}
        return replace(reply, status=206, headers=told, start=start, end=end)

    def _send(self, connection: socket.socket, content: int, reply: Reply) -> bool:
        """Send a reply; whether another one may follow."""
        told = dict(reply.headers)
        if reply.is_chunked:
            del told["Content-Length"]
            told["Transfer-Encoding"] = "chunked"
        lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Other')}"]
        lines += [f"{name}: {value}" for name, value in told.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        count = reply.length if reply.sent is None else min(reply.sent, reply.length)
        if reply.is_chunked:
            connection.sendall(b"%x\r\n" % count)
        if reply.body is not None:
            connection.sendall(reply.body[:count])
        else:
            self._send_content(connection, content, replace(reply, end=reply.start + count))
        if reply.is_chunked:
            connection.sendall(b"\r\n0\r\n\r\n")
        if reply.is_stalled:
            while not self._listening.ended.is_set() and not select.select([connection], [], [], 0.1)[0]:
                pass
        return reply.sent is None

    def _send_content(self, connection: socket.socket, content: int, reply: Reply) -> None:
        at, begun = reply.start, perf_counter()
        step = _STEP if reply.rate_bytes_s is None else max(1, min(_STEP, reply.rate_bytes_s // 100))
        while at < reply.end and not self._listening.ended.is_set():
            count = min(step, reply.end - at)
            if self.tls is not None:
                connection.sendall(os.pread(content, count, at))
                sent = count
            else:
                sent = os.sendfile(connection.fileno(), content, at, count)
            at += sent
            with self._lock:
                self.sent_bytes += sent
            if reply.rate_bytes_s is not None:
                due = begun + (at - reply.start) / reply.rate_bytes_s
                self._listening.ended.wait(max(0.0, due - perf_counter()))
