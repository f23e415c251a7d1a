"""Requests that no client sends: sizes, lengths, half-open connections. The server stays up for all others."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, closing

import pytest
from support.roots import write_model

from pumas.config import Config

_BODY = b'{"id":1,"method":"health_check"}'


@pytest.fixture
def client(serve, library):
    write_model(library, "llm/llama/A")
    client = serve(library.parents[1])
    yield client
    assert client.call("health_check") == {"status": "ok"}


def _raw(port: int, data: bytes, *, wait: bool = True) -> bytes:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
        connection.sendall(data)
        received = b""
        while wait:
            try:
                part = connection.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            received += part
        return received


def _head(port: int, *lines: str) -> bytes:
    fixed = (f"Host: 127.0.0.1:{port}", "Content-Type: application/json", "Connection: close")
    return "\r\n".join(["POST /rpc HTTP/1.1", *fixed, *lines, "", ""]).encode()


def test_a_body_over_the_limit_is_refused_before_it_is_read(client):
    answer = _raw(client.port, _head(client.port, f"Content-Length: {9 * 1024 * 1024}"))
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_over_the_limit_is_refused(serve, library):
    client = serve(library.parents[1], Config(max_body_bytes=1000))
    chunk = b"3e8\r\n" + b" " * 1000 + b"\r\n"
    answer = _raw(client.port, _head(client.port, "Transfer-Encoding: chunked") + chunk * 2 + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_is_taken(client):
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(_BODY), _BODY)
    answer = _raw(client.port, _head(client.port, "Transfer-Encoding: chunked") + chunked)
    assert answer.endswith(b'{"jsonrpc":"2.0","result":{"status":"ok"},"id":1}')


def test_two_lengths_are_refused(client):
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(_BODY), _BODY)
    head = _head(client.port, "Transfer-Encoding: chunked", f"Content-Length: {len(_BODY)}")
    assert _raw(client.port, head + chunked).startswith(b"HTTP/1.1 400 ")
    head = _head(client.port, f"Content-Length: {len(_BODY)}", "Content-Length: 5")
    assert _raw(client.port, head + _BODY).startswith(b"HTTP/1.1 400 ")


def test_a_length_that_is_no_number_is_refused(client):
    for length in ("9" * 5000, "-1", "1_0", "0x10"):
        assert b" 400 " in _raw(client.port, _head(client.port, f"Content-Length: {length}"))[:20]


def test_a_connection_goes_on_after_a_notification(client):
    notification = b'{"method":"health_check"}'
    head = f"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nContent-Length: {len(notification)}\r\n\r\n"
    both = head.encode() + notification + _head(client.port, f"Content-Length: {len(_BODY)}") + _BODY
    answer = _raw(client.port, both)
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert answer.endswith(b'"result":{"status":"ok"},"id":1}')


def test_a_name_of_thousands_of_digits_is_a_refusal(client):
    for name in ("Host", "Origin"):
        head = _head(client.port, "Content-Length: 2", f"{name}: localhost:{'1' * 5000}")
        if name == "Host":
            head = head.replace(f"Host: 127.0.0.1:{client.port}\r\n".encode(), b"")
        assert b" 403 " in _raw(client.port, head + b"{}")[:20]


def test_too_many_filters_are_refused(client):
    error = client.error("search_models_fts", {"query": "a", "tags": [str(n) for n in range(101)]})
    assert (error["code"], error["data"]["parameter"]) == (-32602, "tags")


def test_huge_headers_are_refused(client):
    assert b" 431 " in _raw(client.port, _head(client.port, "X-Long: " + "x" * 100_000))[:20]


@pytest.mark.parametrize("data", [b"\0" * 100, b"GET\r\n\r\n", b"POST /rpc HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00"])
def test_what_is_not_http_is_answered_or_dropped(client, data):
    _raw(client.port, data + b"\r\n\r\n", wait=False)


def test_two_hundred_half_open_connections_hold_nobody_up(client):
    with ExitStack() as stack:
        for n in range(200):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", client.port), timeout=20))
            connection.sendall(_head(client.port, "Content-Length: 100")[: 20 + n])
        begun = time.monotonic()
        for _ in range(20):
            assert client.call("health_check") == {"status": "ok"}
        assert time.monotonic() - begun < 5
        assert client.call("search_models_fts", {"query": "a"})["success"] is True


def test_a_slow_sender_is_served_in_the_end(client):
    with closing(socket.create_connection(("127.0.0.1", client.port), timeout=20)) as connection:
        for byte in _head(client.port, f"Content-Length: {len(_BODY)}") + _BODY:
            connection.send(bytes([byte]))
        received = b""
        while part := connection.recv(65536):
            received += part
        assert received.endswith(b'{"jsonrpc":"2.0","result":{"status":"ok"},"id":1}')


def test_origins_that_the_configuration_names_get_cors_headers(serve, library):
    client = serve(library.parents[1], Config(allowed_origins=("https://app.example",)))
    allowed = client.post(_BODY, Origin="https://app.example")
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    preflight = client.send("OPTIONS", "/rpc", headers={"Origin": "https://app.example"})
    assert preflight.headers["access-control-allow-headers"] == "Content-Type, Authorization"
    refused = client.post(_BODY, Origin="https://other.example")
    assert refused.status == 403
    assert "access-control-allow-origin" not in refused.headers


def test_a_hostile_query_finds_nothing_and_changes_nothing(client, tmp_path):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    for query in ('"', "a\0b", "NEAR(a b)", "* OR *", "'; DROP TABLE models; --", "{id}:x", "x" * 9000):
        assert client.call("search_models_fts", {"query": query})["success"] is True
    error = client.error("search_models_fts", {"query": "x" * 1_000_000})
    assert error["code"] == -32602
    assert "`query`" in error["message"]
    assert len(json.dumps(error)) < 500
    assert list(client.call("get_models")["models"]) == ["llm/llama/A"]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before
