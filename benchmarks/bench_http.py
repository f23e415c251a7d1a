"""What does the empty call cost over HTTP, beyond what Falcon and Waitress cost anyway?

Both servers are children on the last core, the client is here on the first; it keeps one connection to each, sends the
same bytes to both and takes turns between them every few calls, so that a busy moment of the machine hits both alike.
A figure is the median (p50) of one round's calls.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pytest

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("first_core")]

TARGET_RATIO = 1.3
CALLS = {"small": 300, "full": 3000}  # of one round
_TURN = 20  # calls to one server before the other has its turn
LARGE_CALLS = {"small": 3, "full": 10}

Start = Callable[[Sequence[str]], "subprocess.Popen[str]"]

_ANSWER = '{"jsonrpc":"2.0","result":{"status":"ok"},"id":1}'
_BARE_SERVER = Path(__file__).with_name("bare_server.py")


class _Connection:
    """One kept connection; understands what both servers send, nothing more."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def request(self, method: str, params: dict[str, object] | None = None) -> bytes:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}).encode()
        head = (
            f"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def send(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            self._receive(data)
        head = bytes(data[:end]).lower()
        assert head.startswith(b"http/1.1 200 "), head
        total = end + 4 + int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(data) < total:
            self._receive(data)
        return bytes(data[end + 4 :])

    def _receive(self, data: bytearray) -> None:
        got = self._socket.recv(1 << 18)
        assert got, "the server closed the connection"
        data += got

    def times(self, request: bytes, calls: int) -> list[float]:
        taken = []
        for _ in range(calls):
            begun = perf_counter()
            self.send(request)
            taken.append(perf_counter() - begun)
        return taken

    def p50(self, request: bytes, calls: int) -> float:
        return median(self.times(request, calls))


@contextmanager
def _server(start: Start, arguments: Sequence[str]) -> Iterator[_Connection]:
    with start(arguments) as child:
        try:
            assert child.stdout is not None
            connection = _Connection(int(child.stdout.readline().removeprefix("RPC_PORT=")))
            try:
                yield connection
            finally:
                connection.close()
        finally:
            child.terminate()


@pytest.fixture(scope="module")
def ours(start: Start, indexed_root: Any) -> Iterator[_Connection]:
    with _server(start, ["-m", "pumas.rpc", "--port", "0", "--launcher-root", str(indexed_root.path)]) as connection:
        yield connection


@pytest.fixture(scope="module")
def bare(start: Start) -> Iterator[_Connection]:
    with _server(start, [str(_BARE_SERVER), _ANSWER]) as connection:
        yield connection


def test_empty_call(
    alternate: Callable[..., tuple[float, float]],
    judge: Callable[[str, float, float], None],
    ours: _Connection,
    bare: _Connection,
    size: str,
) -> None:
    request, bare_request = ours.request("health_check"), bare.request("health_check")
    assert ours.send(request) == bare.send(bare_request) == _ANSWER.encode()
    our_times: list[float] = []

    def round_of_both() -> float:
        our_times.clear()
        bare_times: list[float] = []
        for _ in range(CALLS[size] // _TURN):
            our_times.extend(ours.times(request, _TURN))
            bare_times += bare.times(bare_request, _TURN)
        return median(bare_times)

    # The baseline's turn comes first and holds both.
    best, best_bare = alternate("http-empty-call", lambda: median(our_times), round_of_both)
    judge("empty_call_ratio", best / best_bare, TARGET_RATIO)


def test_large_calls(
    alternate: Callable[..., tuple[float, float]],
    ours: _Connection,
    indexed_root: Any,
    size: str,
) -> None:
    """For information: a page of hits and the whole library, in turn."""
    search = ours.request("search_models_fts", {"query": "llama", "limit": 100})
    every = ours.request("get_models")
    found = json.loads(ours.send(search))["result"]
    listed = json.loads(ours.send(every))["result"]["models"]
    assert len(listed) == indexed_root.count
    assert 0 < len(found["models"]) <= 100
    assert {model["id"] for model in found["models"]} <= listed.keys()
    alternate(
        "http-large-calls",
        lambda: ours.p50(search, LARGE_CALLS[size]),
        lambda: ours.p50(every, LARGE_CALLS[size]),
        names=("search_models_fts_100", "get_models"),
    )
