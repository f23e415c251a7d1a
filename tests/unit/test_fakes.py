"""The fake servers do what they claim: seen by the hub's own client, and by a client that knows nothing of them."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fakes.hub import FakeHub, Repo
from fakes.server import (
    Answer,
    FakeServer,
    chunked,
    cut,
    document,
    gzipped,
    hang_up,
    html,
    json_body,
    latency,
    redirect,
    reset,
    slow,
    stall,
    status,
    wrong_length,
)

LARGE = bytes(range(256)) * 100


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(lambda call: document({"path": call.path, "q": call.first("q")})) as server:
        yield server


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    repo = Repo("owner/large", files={"a/b/large.bin": LARGE, "config.json": b"{}", "a/c.txt": b"c"}, tags=("gguf",))
    repo.revisions["v1"] = {"config.json": b"{ }"}
    with FakeHub([repo]) as hub:
        yield hub


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, trust_env=False, timeout=5)


def test_one_connection_serves_many_requests(server):
    with httpx.Client(trust_env=False) as client:
        answers = [client.get(f"{server.url}/a%20b?q={n}").json() for n in range(3)]
    assert answers == [{"path": "/a b", "q": str(n)} for n in range(3)]
    assert server.connections == 1
    assert server.requests("q=1") == ["GET /a%20b?q=1"]


def test_faults_come_in_order_and_end(server):
    server.fail(status(503, retry_after="7"), path="/x")
    server.fail(html(429), path="/x", method="HEAD", times=None)
    assert get(f"{server.url}/y").status_code == 200
    answer = get(f"{server.url}/x")
    assert (answer.status_code, answer.headers["retry-after"], answer.content) == (503, "7", b"")
    assert get(f"{server.url}/x").status_code == 200
    assert httpx.head(f"{server.url}/x", trust_env=False).headers["content-type"].startswith("text/html")
    server.heal()
    assert httpx.head(f"{server.url}/x", trust_env=False).status_code == 200


def test_bodies_of_another_kind(server):
    server.fail(json_body([1]))
    assert get(server.url).json() == [1]
    server.fail(redirect("/elsewhere", 307))
    assert get(server.url).headers["location"] == "/elsewhere"
    server.fail(gzipped())
    server.fail(chunked())
    answer = get(server.url)
    assert (answer.headers["content-encoding"], answer.headers["transfer-encoding"]) == ("gzip", "chunked")
    assert answer.json()["path"] == "/"
    server.fail(gzipped(cut=12))
    with httpx.stream("GET", server.url, trust_env=False) as cut_short:
        raw = b"".join(cut_short.iter_raw())
    with pytest.raises(EOFError):
        gzip.decompress(raw)


@pytest.mark.parametrize("fault", [reset(), reset(5), hang_up(), cut(5), wrong_length(3)])
def test_connections_that_break(server, fault):
    server.fail(fault)
    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        get(server.url)
    assert get(server.url).status_code == 200


def test_a_reset_is_one(server):
    server.fail(reset())
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", "/")
    with pytest.raises(ConnectionResetError):
        connection.getresponse()
    connection.close()


@pytest.mark.parametrize("after", [None, 5])
def test_a_stall_lasts_until_the_server_ends(server, after):
    server.fail(stall(after))
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(server.url, trust_env=False, timeout=0.2)


def test_waits(server):
    server.fail(latency(0.1))
    server.fail(slow(200))
    began = time.monotonic()
    assert get(server.url).json()["path"] == "/"
    assert time.monotonic() - began >= 0.15


def test_what_goes_wrong_in_the_fake_is_told():
    def broken(_) -> Answer:
        raise KeyError("mistake")

    server = FakeServer(broken)
    with pytest.raises(httpx.RemoteProtocolError):
        get(server.url)
    with pytest.raises(KeyError, match="mistake"):
        server.close()


def test_the_hubs_own_client_reads_it(hub):
    from huggingface_hub import HfApi

    hub.page = 2
    api = HfApi(endpoint=hub.url, token=False)
    (listed,) = api.list_models(search="LARGE", full=True)
    assert (listed.id, listed.sha, listed.tags) == ("owner/large", hub.repos["owner/large"].commit, ["gguf"])
    tree: dict[str, Any] = {entry.path: entry for entry in api.list_repo_tree("owner/large", recursive=True)}
    assert list(tree) == ["a", "a/b", "a/b/large.bin", "config.json", "a/c.txt"]
    assert tree["a/b/large.bin"].lfs.sha256 == hashlib.sha256(LARGE).hexdigest()
    assert [entry.path for entry in api.list_repo_tree("owner/large", "a")] == ["a/b", "a/c.txt"]
    info = api.model_info("owner/large", files_metadata=True, revision="v1")
    assert [(one.rfilename, one.size) for one in info.siblings or ()] == [("config.json", 3)]


def test_the_hubs_own_client_downloads_from_it(hub, tmp_path):
    from huggingface_hub import HfApi, get_hf_file_metadata
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    api = HfApi(endpoint=hub.url, token=False)
    path = api.hf_hub_download("owner/large", "a/b/large.bin", cache_dir=tmp_path)
    with open(path, "rb") as file:
        assert file.read() == LARGE
    about = get_hf_file_metadata(f"{hub.url}/owner/large/resolve/main/a/b/large.bin", endpoint=hub.url, token=False)
    assert (about.etag, about.size) == (hashlib.sha256(LARGE).hexdigest(), len(LARGE))
    for name, revision, error in (("no", "main", EntryNotFoundError), ("config.json", "no", RevisionNotFoundError)):
        with pytest.raises(error):
            api.hf_hub_download("owner/large", name, revision=revision, cache_dir=tmp_path)
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("owner/no")
    hub.repos["owner/large"].gated = "manual"
    with pytest.raises(GatedRepoError):
        api.hf_hub_download("owner/large", "config.json", revision="v1", cache_dir=tmp_path)


def test_gated_and_private_repos_are_read_with_their_token(hub):
    hub.tokens = {"hf_reader": "reader", "hf_other": "other"}
    hub.add(Repo("owner/own", files={"x": b"x"}, is_private=True, readers=frozenset({"reader"})))
    address = f"{hub.url}/owner/own/resolve/main/x"
    assert get(address).status_code == 401
    assert get(address, authorization="Bearer hf_other").headers["x-error-code"] == "RepoNotFound"
    assert get(address, authorization="Bearer hf_wrong").status_code == 401
    assert get(address, authorization="Bearer hf_reader").content == b"x"
    assert get(f"{hub.url}/api/whoami-v2", authorization="Bearer hf_reader").json()["name"] == "reader"
    assert get(f"{hub.url}/api/whoami-v2").status_code == 401


@pytest.mark.parametrize(
    ("wanted", "code", "first", "last"),
    [
        ("bytes=0-9", 206, 0, 9),
        ("bytes=-5", 206, 25595, 25599),
        ("bytes=25590-", 206, 25590, 25599),
        ("bytes=25600-", 416, 0, -1),
    ],
)
def test_the_content_network_knows_ranges_and_no_tokens(hub, wanted, code, first, last):
    location = get(f"{hub.url}/owner/large/resolve/main/a/b/large.bin").headers["location"]
    assert location.startswith(hub.cdn.url)
    answer = get(location, Range=wanted)
    assert (answer.status_code, answer.content) == (code, LARGE[first : last + 1])
    assert answer.headers["content-range"].endswith("/25600")
    assert get(location, authorization="Bearer hf_reader").status_code == 400
