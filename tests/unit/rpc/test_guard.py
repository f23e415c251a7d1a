from __future__ import annotations

import pytest

from pumas.config import Config
from pumas.rpc.guard import Guard, is_loopback_address

_JSON = "application/json"


def _status(guard: Guard, **environ: str) -> int | None:
    refusal = guard.check({"REQUEST_METHOD": "POST", "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_TYPE": _JSON, **environ})
    return None if refusal is None else int(refusal.status)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:80", 403),
        ("127.0.0.1:5000", None),
        ("localhost:5000", None),
        ("LOCALHOST:5000", None),
        ("[::1]:5000", None),
        ("127.9.9.9:5000", None),
        ("localhost", 403),
        ("localhost.evil.example:5000", 403),
        ("evil.example:5000", 403),
        ("0.0.0.0:5000", 403),
        ("192.168.0.1:5000", 403),
        ("127.0.0.1:5000x", 403),
        ("", 403),
        ("my.name:1", 403),
        ("localhost:" + "1" * 5000, 403),
    ],
)
def test_host(host, status):
    assert _status(Guard(5000), HTTP_HOST=host) == status


def test_a_configured_host_name_is_accepted_with_any_port():
    guard = Guard(5000, allowed_hosts=frozenset({"my.name"}))
    assert _status(guard, HTTP_HOST="My.Name:443") is None


def test_a_request_without_host_is_from_an_old_client_or_refused():
    assert _status(Guard(80)) == 400
    assert _status(Guard(80), SERVER_PROTOCOL="HTTP/1.0") is None


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:5000", None),
        ("http://127.0.0.1:5000", None),
        ("https://localhost:5000", 403),
        ("http://localhost:5001", 403),
        ("http://localhost:" + "1" * 5000, 403),
        ("http://my.name:9999", 403),
        ("null", 403),
        ("file://", 403),
        ("https://app.example", None),
        ("https://app.example.evil", 403),
    ],
)
def test_origin(origin, status):
    guard = Guard(5000, allowed_hosts=frozenset({"my.name"}), allowed_origins=frozenset({"https://app.example"}))
    assert _status(guard, HTTP_HOST="localhost:5000", HTTP_ORIGIN=origin) == status


def test_a_page_of_the_very_host_that_was_asked_may_call():
    guard = Guard(5000, allowed_hosts=frozenset({"my.name"}))
    assert _status(guard, HTTP_HOST="my.name:8080", HTTP_ORIGIN="http://my.name:8080") is None


def test_with_a_token_an_address_is_a_host_and_a_name_must_be_named():
    guard = Guard(5000, token="s3cret")
    token = "Bearer s3cret"
    assert _status(guard, HTTP_HOST="192.168.1.5:5000", HTTP_AUTHORIZATION=token) is None
    assert _status(guard, HTTP_HOST="[fe80::1]:5000", HTTP_AUTHORIZATION=token) is None
    assert _status(guard, HTTP_HOST="192.168.1.5:5001", HTTP_AUTHORIZATION=token) == 403
    assert _status(guard, HTTP_HOST="evil.example:5000", HTTP_AUTHORIZATION=token) == 403
    assert _status(Guard(5000), HTTP_HOST="192.168.1.5:5000") == 403


def test_a_browsers_question_needs_no_token():
    guard = Guard(5000, token="s3cret", allowed_origins=frozenset({"https://app.example"}))
    asked = {"HTTP_HOST": "localhost:5000", "REQUEST_METHOD": "OPTIONS"}
    assert _status(guard, **asked, HTTP_ORIGIN="https://app.example") is None
    assert _status(guard, **asked) == 401


@pytest.mark.parametrize(
    ("content_type", "origin", "status"),
    [
        ("application/json", None, None),
        ("Application/JSON; charset=utf-8", None, None),
        ("", None, None),
        ("", "http://localhost:5000", 415),
        ("text/plain", None, 415),
        ("application/x-www-form-urlencoded", None, 415),
        ("multipart/form-data; boundary=application/json", None, 415),
    ],
)
def test_content_type(content_type, origin, status):
    environ = {"HTTP_HOST": "localhost:5000", "CONTENT_TYPE": content_type}
    if origin:
        environ["HTTP_ORIGIN"] = origin
    assert _status(Guard(5000), **environ) == status


@pytest.mark.parametrize(
    ("authorization", "status"),
    [("Bearer s3cret", None), ("bearer s3cret", None), ("Bearer s3cre", 401), ("Basic s3cret", 401), ("", 401)],
)
def test_token(authorization, status):
    guard = Guard(5000, token="s3cret")
    assert _status(guard, HTTP_HOST="localhost:5000", HTTP_AUTHORIZATION=authorization) == status


def test_a_token_never_shows_in_the_configuration_as_text():
    assert "s3cret" not in repr(Config.from_env({"PUMAS_TOKEN": "s3cret"}))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("example", False)],
)
def test_loopback_addresses(host, expected):
    assert is_loopback_address(host) is expected
