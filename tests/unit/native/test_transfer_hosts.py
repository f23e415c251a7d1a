"""Whom a transfer believes, and through whom it asks: certificates, proxies, tunnels."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fakes.files import FileServer, redirect
from fakes.proxy import Proxy
from pumas_native import TransferFile, TransferOptions, TransferResult, transfer
from pumas_native.errors import HostUnreachable, RedirectRefused

MIB = 1 << 20

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@pytest.fixture(scope="module")
def content() -> bytes:
    return Random(12).randbytes(3 * MIB + 99)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that signs itself, its key in the same folder."""
    folder = tmp_path_factory.mktemp("certificate")
    (folder / "made.cnf").write_text(
        "[req]\ndistinguished_name=name\nx509_extensions=more\n[name]\n"
        "[more]\nbasicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,DNS:model.example,IP:127.0.0.1\n"
    )
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = "-config made.cnf -keyout key.pem -out cert.pem"
    subprocess.run([*command.split(), *files.split()], cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem"


@pytest.fixture
def server(tmp_path: Path, content: bytes, certificate: Path) -> Iterator[FileServer]:
    (tmp_path / "served").write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with FileServer(tmp_path / "served", tls=context) as server:
        yield server


def fetch(url: str, target: Path, headers: tuple[tuple[str, str], ...] = (), **options: Any) -> TransferResult:
    chosen = TransferOptions(piece_bytes=MIB, retries=1, retry_wait_s=0.01, **options)
    return transfer([TransferFile(url, target, headers=headers)], options=chosen)[0]


def check(result: TransferResult, target: Path, content: bytes) -> None:
    assert result.error is None
    assert target.read_bytes() == content
    assert result.sha256 == hashlib.sha256(content).hexdigest()


def test_a_file_of_certificates_is_believed(tmp_path, server, certificate, content):
    check(fetch(server.url, tmp_path / "got", ca_file=certificate), tmp_path / "got", content)


def test_a_certificate_that_nobody_vouches_for_is_not(tmp_path, server):
    result = fetch(server.url, tmp_path / "got")
    assert isinstance(result.error, HostUnreachable)
    assert "TLS" in str(result.error)
    assert server.requests == []


def test_a_certificate_of_another_name_is_not(tmp_path, server, certificate):
    with Proxy() as proxy:
        url = f"https://other.example:{server.port}/file"
        result = fetch(url, tmp_path / "got", ca_file=certificate, https_proxy=proxy.url)
    assert isinstance(result.error, HostUnreachable)
    assert server.requests == []


def test_a_tunnel_leads_through_a_proxy(tmp_path, server, certificate, content):
    with Proxy() as proxy:
        address = proxy.url.replace("//", "//me:p%40ss@")
        url = f"https://model.example:{server.port}/file"
        secret = (("Authorization", "Bearer secret"),)
        result = fetch(url, tmp_path / "got", secret, ca_file=certificate, https_proxy=address)
        check(result, tmp_path / "got", content)
        assert proxy.heads[0].startswith(f"CONNECT model.example:{server.port} HTTP/1.1\r\n")
        assert "Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in proxy.heads[0]
        assert not any("Bearer" in head for head in proxy.heads)
    assert not any("proxy-authorization" in request.headers for request in server.requests)


def test_plain_requests_go_through_a_proxy_unless_a_host_is_exempt(tmp_path, content):
    (tmp_path / "served").write_bytes(content)
    with FileServer(tmp_path / "served") as server, Proxy() as proxy:
        url = f"http://model.example:{server.port}/file"
        check(fetch(url, tmp_path / "got", http_proxy=proxy.url), tmp_path / "got", content)
        assert proxy.heads[0].startswith(f"GET {url} HTTP/1.1\r\nHost: model.example:{server.port}\r\n")
        asked = len(proxy.heads)
        check(
            fetch(server.url, tmp_path / "two", http_proxy=proxy.url, no_proxy=["127.0.0.1"]), tmp_path / "two", content
        )
        assert len(proxy.heads) == asked


def test_no_redirect_leads_out_of_tls(tmp_path, server, certificate):
    server.fail(redirect("http://127.0.0.1:9/file"), times=None)
    assert isinstance(fetch(server.url, tmp_path / "got", ca_file=certificate).error, RedirectRefused)
