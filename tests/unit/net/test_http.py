from __future__ import annotations

import asyncio
import gzip
import ssl
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path

import pumas_native
import pytest
from fakes import server as fakes
from fakes.http2 import FakeHttp2Server
from fakes.server import Answer, FakeServer, document
from fakes.tunnel import FakeTunnel

from pumas.config import Config
from pumas.errors import (
    AccessRefused,
    BadAnswer,
    Cancelled,
    CircuitOpen,
    InvalidInput,
    NetworkError,
    NotOnServer,
    Offline,
    RateLimited,
)
from pumas.net.addresses import is_private
from pumas.net.breaker import CircuitRule
from pumas.net.http import HttpClient, Reply, Request, json_of

TLS = Path(__file__).parents[2] / "data" / "tls"
QUICK = Config(retry_base_s=0.001)
NAMES = {"public.test": "127.0.0.2", "inner.test": "127.0.0.1", "right.test": "127.0.0.1", "wrong.test": "127.0.0.1"}


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def resolve(host):
    if host not in NAMES:
        raise OSError(f"no {host}")
    return [NAMES[host]]


def is_private_here(address):
    """As the real one, but 127.0.0.2 plays a public machine."""
    return address != "127.0.0.2" and is_private(address)


def hello(call):
    return document({"path": call.path})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server():
    with FakeServer(hello) as fake:
        yield fake


@pytest.fixture
def client(clock):
    made = HttpClient(QUICK, resolve=resolve, is_private=is_private_here, clock=clock)
    yield made
    made.close()


def ask(client, server, path="/a", **more):
    return client.fetch(Request(url=f"{server.url}{path}", **more))


def test_an_answer_comes_with_lower_case_headers_and_its_last_address(client, server):
    server.fail(fakes.redirect("/b"))
    reply = ask(client, server)
    assert (reply.status, reply.url, json_of(reply)) == (200, f"{server.url}/b", {"path": "/b"})
    assert reply.headers["content-type"].startswith("application/json")


def ours():
    return [thread for thread in threading.enumerate() if "process_request_thread" not in thread.name]


def test_many_threads_may_ask_at_once(client, server):
    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(lambda n: ask(client, server, f"/{n}"), range(100)))
    assert [json_of(reply) for reply in replies] == [{"path": f"/{n}"} for n in range(100)]
    assert client.status().total_requests == 100
    assert [thread.name for thread in threading.enumerate()].count("network") == 1


def test_many_requests_share_one_pool_and_one_thread(client, server):
    ask(client, server)
    before = len(ours())
    server.fail(fakes.latency(0.05), times=None)
    seen = []
    watch = threading.Event()

    def look():
        while not watch.wait(0.005):
            seen.append(len(ours()))

    looking = threading.Thread(target=look)
    looking.start()
    replies = client.fetch_all([Request(url=f"{server.url}/{n}") for n in range(64)], concurrent=16)
    watch.set()
    looking.join()
    assert [json_of(reply) for reply in replies] == [{"path": f"/{n}"} for n in range(64)]
    assert server.connections <= 17
    assert max(seen) <= before + 1  # the one that looks
    assert [t.name for t in threading.enumerate()].count("network") == 1


def test_one_request_that_fails_does_not_fail_the_others(client, server):
    server.fail(fakes.status(404), path="/1")
    first, second, third = client.fetch_all([Request(url=f"{server.url}/{n}") for n in range(3)])
    assert isinstance(second, NotOnServer)
    assert [json_of(first), json_of(third)] == [{"path": "/0"}, {"path": "/2"}]


@pytest.mark.parametrize(
    "fault",
    [
        fakes.status(503),
        fakes.status(500),
        fakes.status(408),
        fakes.status(429, retry_after="0"),
        fakes.reset(),
        fakes.reset(3),
        fakes.hang_up(),
        fakes.cut(4),
        fakes.wrong_length(3),
        fakes.gzipped(cut=20),
    ],
)
def test_a_passing_fault_is_not_noticed(client, server, fault):
    server.fail(fault, times=2)
    assert json_of(ask(client, server)) == {"path": "/a"}
    status = client.status()
    assert (status.total_requests, status.successful_requests, status.retries) == (1, 1, 2)


@pytest.mark.parametrize(
    ("fault", "kind", "tries"),
    [
        (fakes.status(503), NetworkError, 3),
        (fakes.status(501), NetworkError, 1),
        (fakes.hang_up(), NetworkError, 3),
        (fakes.status(429), RateLimited, 1),
        (fakes.status(429, retry_after="60"), RateLimited, 1),
        (fakes.status(403, headers={"X-RateLimit-Remaining": "0"}), RateLimited, 1),
        (fakes.status(401), AccessRefused, 1),
        (fakes.status(403), AccessRefused, 1),
        (fakes.status(404), NotOnServer, 1),
        (fakes.status(400), BadAnswer, 1),
        (fakes.status(304), BadAnswer, 1),
    ],
)
def test_what_lasts_is_told_after_as_many_tries_as_make_sense(client, server, fault, kind, tries):
    server.fail(fault, times=None)
    with pytest.raises(kind) as caught:
        ask(client, server)
    assert type(caught.value) is kind
    assert len(server.calls) == tries


@pytest.mark.parametrize("ending", ["close", "reset", "stall"])
def test_a_status_counts_even_if_its_text_does_not_come(client, server, ending):
    server.fail(lambda answer: Answer(429, b"slow down", {"Retry-After": "60"}, length=99, ending=ending), times=None)
    with pytest.raises(RateLimited, match="in 60 seconds"):
        ask(client, server)
    assert len(server.calls) == 1


def test_a_status_that_was_asked_for_is_an_answer(client, server):
    server.fail(fakes.status(304))
    assert ask(client, server, accept=frozenset({200, 304})).status == 304
    server.fail(fakes.redirect("/b"))
    assert ask(client, server, accept=frozenset({302})).headers["location"] == "/b"


def test_retry_after_is_understood_as_a_date_by_the_clock_of_the_server(client, server):
    there = 1_700_000_000  # our own clock is years ahead
    server.fail(
        fakes.status(
            429, headers={"Date": formatdate(there, usegmt=True), "Retry-After": formatdate(there + 90, usegmt=True)}
        )
    )
    with pytest.raises(RateLimited, match="in 90 seconds") as caught:
        ask(client, server)
    assert caught.value.retry_after_s == 90


def test_a_limited_server_is_left_alone_as_long_as_it_wants(client, server, clock):
    server.fail(fakes.status(429, retry_after="60"))
    with pytest.raises(RateLimited):
        ask(client, server)
    clock.now += 59
    with pytest.raises(RateLimited, match="in 1 second"):
        ask(client, server)
    assert len(server.calls) == 1
    clock.now += 1
    assert json_of(ask(client, server)) == {"path": "/a"}


def test_a_server_that_fails_is_left_alone_then_tried_again(server, clock):
    client = HttpClient(QUICK, clock=clock, rule=CircuitRule(failures=2, recovery_s=60))
    server.fail(fakes.status(501), times=2)
    for _ in range(2):
        with pytest.raises(NetworkError):
            ask(client, server)
    assert client.status().circuit_states == {"127.0.0.1": "open"}
    assert client.status().is_offline
    clock.now += 55
    with pytest.raises(CircuitOpen, match="in 5 seconds"):
        ask(client, server)
    assert len(server.calls) == 2
    clock.now += 5
    ask(client, server)
    status = client.status()
    assert status.circuit_states == {"127.0.0.1": "closed"}
    assert (status.is_offline, status.circuit_breaker_rejections, status.total_requests) == (False, 1, 3)
    client.close()


def test_a_refusal_is_no_failure_of_the_server(client, server):
    server.fail(fakes.status(404), times=5)
    for _ in range(5):
        with pytest.raises(NotOnServer):
            ask(client, server)
    assert client.status().circuit_states == {"127.0.0.1": "closed"}


def test_a_cancelled_trial_leaves_room_for_the_next_one(server, clock):
    client = HttpClient(QUICK, clock=clock, rule=CircuitRule(failures=1, recovery_s=60))
    server.fail(fakes.status(501))
    with pytest.raises(NetworkError):
        ask(client, server)
    clock.now += 60
    server.fail(fakes.stall())
    cancel = pumas_native.CancelToken()
    threading.Timer(0.1, cancel.cancel).start()
    with pytest.raises(Cancelled):
        client.fetch(Request(url=server.url), cancel=cancel)
    assert json_of(ask(client, server)) == {"path": "/a"}
    client.close()


def test_offline_asks_nothing(server):
    client = HttpClient(Config(offline=True))
    with pytest.raises(Offline, match="PUMAS_OFFLINE"):
        ask(client, server)
    assert client.status().is_offline
    assert not server.calls
    client.close()


def test_a_closed_client_refuses_and_gives_up_what_is_under_way(client, server):
    server.fail(fakes.stall())
    failures = []

    def wait():
        with pytest.raises(Cancelled) as caught:
            ask(client, server)
        failures.append(caught.value)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not server.calls:
        waiting.join(0.01)
    client.close()
    waiting.join()
    assert failures
    with pytest.raises(Cancelled):
        ask(client, server)


def test_a_request_that_begins_while_the_client_closes_is_given_up(client, server, monkeypatch):
    ask(client, server)
    hand_in = asyncio.run_coroutine_threadsafe
    closing = threading.Thread(target=client.close)

    def late(work, loop):
        monkeypatch.undo()
        closing.start()
        closing.join(0.2)  # it waits for us, or is done with all that it knows of
        return hand_in(work, loop)

    server.fail(fakes.stall())
    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", late)
    with pytest.raises(Cancelled):
        ask(client, server)
    closing.join()


@pytest.mark.parametrize(
    "url", ["", "huggingface.co/a", "ftp://a/b", "http://", "http://[", "file:///etc/passwd", "x" * 99999]
)
def test_what_is_no_web_address_is_not_asked(client, url):
    with pytest.raises(BadAnswer, match="is no address that can be asked; HF_ENDPOINT"):
        client.fetch(Request(url=url))


def test_what_is_no_web_address_is_told_without_its_password(client):
    with pytest.raises(BadAnswer, match=r"^hub/api is no address") as caught:
        client.fetch(Request(url="htps://user:secret@hub/api?search=x"))
    assert "secret" not in str(caught.value)


# Redirects


def test_redirects_in_a_circle_end(client, server):
    server.fail(fakes.redirect("/b"), path="/a", times=None)
    server.fail(fakes.redirect("/a"), path="/b", times=None)
    with pytest.raises(BadAnswer, match="circle"):
        ask(client, server)
    assert len(server.calls) == 2


def test_redirects_without_end_end(client):
    with FakeServer(lambda call: Answer(302, headers={"Location": f"{call.path}a"})) as server:
        with pytest.raises(BadAnswer, match="too often"):
            ask(client, server)
        assert len(server.calls) == 11


def test_a_redirect_to_nowhere_is_told(client, server):
    server.fail(fakes.status(302))
    with pytest.raises(BadAnswer, match="redirects to nowhere"):
        ask(client, server)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://a/", "http://", "http://[", "data:,x"])
def test_redirects_go_to_the_web_only(client, server, target):
    server.fail(lambda answer: Answer(302, headers={"Location": target}))
    with pytest.raises(BadAnswer, match="redirects"):
        ask(client, server)
    assert len(server.calls) == 1


def test_a_token_goes_to_the_first_host_only(client, server):
    with FakeServer(hello) as other:
        server.fail(fakes.redirect("/b"), path="/a")
        server.fail(fakes.redirect(f"{other.url}/c"), path="/b")
        request = Request(url=f"{server.url}/a", token="hf_secret")
        assert json_of(client.fetch(request)) == {"path": "/c"}
        assert [call.headers.get("authorization") for call in server.calls] == ["Bearer hf_secret"] * 2
        assert "authorization" not in other.calls[0].headers
    assert "hf_secret" not in repr(request)


def test_a_public_server_cannot_send_us_to_a_private_one(client, server):
    with FakeServer(hello, address="127.0.0.2") as public:
        ask(client, server)  # a connection to the private one is open already
        for target in (server.url, f"http://inner.test:{server.port}", f"http://[::ffff:127.0.0.1]:{server.port}"):
            public.fail(fakes.redirect(target))
            with pytest.raises(BadAnswer, match="private address"):
                client.fetch(Request(url=f"http://public.test:{public.port}/"))
        assert len(server.calls) == 1


def test_a_private_base_may_send_us_anywhere(client, server):
    with FakeServer(hello, address="127.0.0.2") as public, FakeServer(hello) as inner:
        server.fail(fakes.redirect(f"http://inner.test:{inner.port}/b"))
        assert json_of(ask(client, server)) == {"path": "/b"}
        server.fail(fakes.redirect(f"http://public.test:{public.port}/c"))
        assert json_of(ask(client, server)) == {"path": "/c"}


# Bodies


def test_an_answer_has_a_bound_whatever_it_says(client, server):
    huge = gzip.compress(bytes(100 * 1024 * 1024), 1)
    for fault in (
        lambda answer: Answer(200, b"[" * 2000),
        lambda answer: Answer(200, b"[" * 2000, is_chunked=True),
        lambda answer: Answer(200, b"", length=10**12, ending="close"),
        lambda answer: Answer(200, huge, headers={"Content-Encoding": "gzip"}),
    ):
        server.fail(fault)
        with pytest.raises(BadAnswer, match="more than the 1000 bytes"):
            ask(client, server, max_bytes=1000)


@pytest.mark.parametrize(
    "more", [bytes(5_000_000), b"\0\0\0\xff\xff" * 1_000_000], ids=["after the end", "empty blocks"]
)
def test_gzip_that_goes_on_without_holding_anything_ends(client, server, more):
    packer = zlib.compressobj(wbits=31)
    begin = packer.compress(b"{}") + packer.flush(zlib.Z_FINISH if more[:5] == bytes(5) else zlib.Z_SYNC_FLUSH)
    sent = Answer(200, begin + more, headers={"Content-Encoding": "gzip"}, is_chunked=True)
    server.fail(lambda answer: sent)
    with pytest.raises(BadAnswer, match="more than the 100000 bytes"):
        ask(client, server, max_bytes=100_000)


def test_gzip_is_understood_and_other_encodings_are_not(client, server):
    server.fail(fakes.gzipped())
    assert json_of(ask(client, server)) == {"path": "/a"}
    server.fail(lambda answer: Answer(200, b"x", headers={"Content-Encoding": "br"}))
    with pytest.raises(BadAnswer, match="encoding"):
        ask(client, server)
    server.fail(lambda answer: Answer(200, b"no gzip", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(BadAnswer, match="damaged gzip"):
        ask(client, server)


def test_parts_and_heads_are_asked_for_as_they_are(client, server):
    ask(client, server, headers={"Range": "bytes=0-9"})
    ask(client, server, method="HEAD")
    assert [call.headers["accept-encoding"] for call in server.calls] == ["identity", "identity"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "can't be read as JSON"),
        (b"{", "can't be read as JSON"),
        (b"NaN", "can't be read as JSON"),
        (b'"\xff"', "can't be read as JSON"),
        (b"[" * 10_000 + b"]" * 10_000, "as JSON|levels"),
        (b"[" * 101 + b"]" * 101, "100 levels"),
    ],
)
def test_wrong_json_is_told(client, server, content, words):
    server.fail(fakes.body(content))
    with pytest.raises(BadAnswer, match=words):
        json_of(ask(client, server))


def test_a_page_for_people_is_named(client, server):
    server.fail(fakes.html())
    with pytest.raises(BadAnswer, match=r"127\.0\.0\.1 sends text/html"):
        json_of(ask(client, server))


def test_cookies_are_not_kept(client, server):
    server.fail(lambda answer: Answer(200, b"", headers={"Set-Cookie": "track=1; Path=/"}))
    ask(client, server)
    ask(client, server)
    assert "cookie" not in server.calls[1].headers


# Names, TLS, proxies


@pytest.mark.parametrize("host", ["nowhere.test", f"{'a' * 70}.test"])
def test_a_name_that_leads_nowhere_is_told(client, host):
    with pytest.raises(NetworkError, match=r"can't be reached|not known"):
        client.fetch(Request(url=f"http://{host}/"))


def test_the_system_does_not_know_a_name_that_cannot_be():
    client = HttpClient(QUICK)
    with pytest.raises(NetworkError, match="is not known"):
        client.fetch(Request(url=f"http://{'a' * 70}.invalid/"))
    client.close()


def test_the_next_address_is_tried_when_one_is_dead(server):
    client = HttpClient(QUICK, resolve=lambda host: ["127.0.0.3", "127.0.0.1"])
    assert client.fetch(Request(url=f"http://two.test:{server.port}/")).status == 200
    assert client.status().retries == 0
    client.close()


def test_a_certificate_must_be_trusted_and_bear_the_name():
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    trusting = Config(retry_base_s=0.001, ssl_cert_file=TLS / "cert.pem")
    with FakeServer(hello, tls=tls) as server:
        for config, host, words in (
            (trusting, "right.test", None),
            (trusting, "wrong.test", "no valid certificate.*wrong.test"),
            (QUICK, "right.test", "no valid certificate"),
        ):
            client = HttpClient(config, resolve=resolve)
            if words is None:
                assert client.fetch(Request(url=f"https://{host}:{server.port}/")).status == 200
            else:
                with pytest.raises(NetworkError, match=words):
                    client.fetch(Request(url=f"https://{host}:{server.port}/"))
                assert client.status().retries == 0
            client.close()


def test_http2_takes_all_questions_over_one_connection():
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    client = HttpClient(Config(ssl_cert_file=TLS / "cert.pem"), resolve=resolve)
    with FakeHttp2Server(tls) as server:
        base = f"https://right.test:{server.port}"
        client.fetch(Request(url=base))
        replies = client.fetch_all([Request(url=f"{base}/{n}") for n in range(50)])
        assert [json_of(reply) for reply in replies if isinstance(reply, Reply)] == [
            {"path": f"/{n}"} for n in range(50)
        ]
        assert server.connections == 1
        client.close()


def test_an_encrypted_connection_is_not_left_for_an_open_one(server):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    client = HttpClient(Config(ssl_cert_file=TLS / "cert.pem"), resolve=resolve)
    with FakeServer(hello, tls=tls) as secure:
        secure.fail(fakes.redirect(server.url))
        with pytest.raises(BadAnswer, match="encrypted"):
            client.fetch(Request(url=f"https://right.test:{secure.port}/"))
        client.close()
    assert not server.calls


def test_a_proxy_is_asked_except_for_hosts_without_one(server):
    with FakeServer(lambda call: document({"target": call.target})) as proxy:
        config = Config(retry_base_s=0.001, http_proxy=f"127.0.0.1:{proxy.port}", no_proxy=("inner.test",))
        client = HttpClient(config, resolve=resolve, is_private=is_private_here)
        target = "http://somewhere.test/a"
        assert json_of(client.fetch(Request(url=target))) == {"target": target}
        assert json_of(client.fetch(Request(url=f"http://inner.test:{server.port}/b"))) == {"path": "/b"}
        assert json_of(client.fetch(Request(url=f"{server.url}/c"))) == {"path": "/c"}
        proxy.fail(fakes.redirect("http://192.168.1.1/"))
        with pytest.raises(BadAnswer, match="private address"):
            client.fetch(Request(url=target))
        client.close()
        assert len(proxy.calls) == 2


def test_encrypted_connections_go_through_a_proxy_and_check_the_name():
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    with FakeServer(hello, tls=tls) as server, FakeTunnel(server.port) as proxy:
        config = Config(retry_base_s=0, https_proxy=proxy.url, ssl_cert_file=TLS / "cert.pem")
        client = HttpClient(config)
        assert json_of(client.fetch(Request(url="https://right.test/a"))) == {"path": "/a"}
        with pytest.raises(NetworkError, match="no valid certificate"):
            client.fetch(Request(url="https://wrong.test/"))
        client.close()
    assert proxy.targets == ["right.test:443", "wrong.test:443"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (Config(http_proxy="socks5://127.0.0.1:1"), "proxy for http"),
        (Config(http_proxy="http://user:secret@proxy:port"), "proxy for http is no address"),
        (Config(http_proxy="http://[::1"), "http_proxy"),
        (Config(http_proxy="http://"), "http_proxy"),
        (Config(ssl_cert_file=Path("/nowhere/ca.pem")), "SSL_CERT_FILE"),
        (Config(ssl_cert_file=Path(__file__)), "SSL_CERT_FILE"),
    ],
)
def test_settings_that_cannot_be_used_are_named(config, words):
    client = HttpClient(config)
    with pytest.raises(InvalidInput, match=words) as caught:
        client.fetch(Request(url="http://127.0.0.1:9/"))
    assert "secret" not in str(caught.value)
    client.close()


def test_importing_and_making_a_client_loads_nothing():
    program = (
        "import sys; from pumas.config import Config; from pumas.net.http import HttpClient; "
        "client = HttpClient(Config()); client.status(); client.close(); "
        "heavy = {'httpx', 'httpcore', 'asyncio', 'tenacity', 'h2', 'huggingface_hub', 'ssl'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_resolver_that_hangs_does_not_keep_the_process():
    program = (
        "import sys, threading\n"
        "from pumas.config import Config\n"
        "from pumas.net.http import HttpClient, Request\n"
        "asked, never = threading.Event(), threading.Event()\n"
        "client = HttpClient(Config(), resolve=lambda host: (asked.set(), never.wait()))\n"
        "ask = lambda: client.fetch(Request(url='http://a.test/'))\n"
        "threading.Thread(target=ask, daemon=True).start()\n"
        "asked.wait()\n"
        "client.close()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, stderr=subprocess.DEVNULL)


def test_a_server_that_falls_silent_is_given_up(server):
    client = HttpClient(Config(retry_base_s=0), idle_s=0.1)
    server.fail(fakes.stall(5), times=None)
    with pytest.raises(NetworkError, match="does not answer in time"):
        ask(client, server)
    assert len(server.calls) == 3
    client.close()


def test_a_slow_answer_that_goes_on_is_waited_for(server):
    client = HttpClient(Config(retry_base_s=0), idle_s=1.0)
    server.fail(lambda answer: Answer(200, b"x" * 200, rate_bytes_s=125), times=None)
    assert ask(client, server).body == b"x" * 200
    client.close()
