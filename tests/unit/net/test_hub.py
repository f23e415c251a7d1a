"""The hub as we ask it: what it answers, what it refuses, and what happens when it can't be asked."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from fakes.hub import FakeHub, Repo
from fakes.server import body, cut, hang_up, html, json_body, latency, reset, stall, status

from pumas.config import Config
from pumas.errors import (
    BadAnswer,
    CircuitOpen,
    InvalidInput,
    NetworkError,
    Offline,
    RateLimited,
    RepoNotFound,
    RepoRefused,
)
from pumas.net import hub as hub_module
from pumas.net.breaker import CIRCUIT_RULE
from pumas.net.http import HttpClient
from pumas.net.hub import Hub
from pumas.net.hub_search import HubSearches
from pumas.net.hub_store import HubStore

LARGE = b"x" * 5000


@pytest.fixture
def server() -> Iterator[FakeHub]:
    repos = [
        Repo("a/Tiny-GGUF", {"tiny-Q4_0.gguf": LARGE, "config.json": b"{}"}, tags=("gguf",)),
        Repo("a/Tiny-fp16", {"tiny.fp16.safetensors": LARGE + b"x"}),
        Repo("b/tiny", {"tiny.bin": b"x" * 7}),
    ]
    with FakeHub(repos) as server:
        yield server


@pytest.fixture
def ask(server, cache) -> Iterator[Callable[..., Hub]]:
    """A hub as a process that was just started sees it; the cache stays."""
    with ExitStack() as stack:

        def start(**settings) -> Hub:
            config = Config(hub_base=server.url, retry_base_s=0.0, **settings)
            client = HttpClient(config)
            stack.callback(client.close)
            return Hub(client, HubStore(cache, config.hub_base), config)

        yield start


def later(monkeypatch, seconds: float) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)


def test_a_listing_is_asked_for_once_an_hour(server, ask, monkeypatch):
    assert [repo.repo_id for repo in ask().search("Tiny", limit=25)] == ["a/Tiny-GGUF", "a/Tiny-fp16", "b/tiny"]
    assert [repo.repo_id for repo in ask().search("  TINY ", limit=25)] == ["a/Tiny-GGUF", "a/Tiny-fp16", "b/tiny"]
    assert server.requests() == ["GET /api/models?search=Tiny&limit=25&full=True"]
    later(monkeypatch, 3601)
    ask().search("tiny", limit=25)
    assert len(server.calls) == 2


def test_a_clock_that_is_set_back_makes_nothing_young(server, ask, monkeypatch):
    ask().search("tiny", limit=25)
    later(monkeypatch, -1_000_000)
    ask().search("tiny", limit=25)
    assert len(server.calls) == 2


def test_long_listings_come_in_pages_of_the_same_server(server, ask):
    server.page = 2
    assert len(ask().search("", limit=3)) == 3
    assert server.requests() == ["GET /api/models?limit=3&full=True", "GET /api/models?limit=1&full=True&cursor=2"]
    server.fail(lambda answer: answer_with_link(answer, "https://elsewhere.example/api/models?cursor=2"))
    assert len(ask().search("tiny", limit=3)) == 3


def answer_with_link(answer, target):
    from dataclasses import replace

    return replace(answer, headers={**answer.headers, "Link": f'<{target}>; rel="next"'})


@pytest.mark.parametrize(
    "fault",
    [
        *map(json_body, (None, {}, "x", 5, {"models": []}, [5], [{"id": 5}], [[]])),
        *map(status, (400, 401, 403, 404, 500, 503)),
        status(429, retry_after="1000"),
        html(),
        html(200),
        body(b"["),
        body(b""),
        body(b"[" * 10_000 + b"]" * 10_000),
        body(b"\xff\xfe"),
        cut(10),
        reset(),
        hang_up(),
    ],
)
def test_a_bad_answer_replaces_no_good_one(server, ask, monkeypatch, fault):
    good = ask().listing("tiny", limit=25)
    later(monkeypatch, 3601)
    server.fail(fault, times=None)
    stale = ask().listing("tiny", limit=25)
    assert (stale.repos, stale.is_stale) == (good.repos, True)
    with pytest.raises(NetworkError):
        ask().listing("", limit=25)
    server.heal()
    assert ask().listing("tiny", limit=25).is_stale is False


def test_an_empty_answer_replaces_no_good_one(server, ask, monkeypatch):
    ask().listing("tiny", limit=25)
    later(monkeypatch, 3601)
    server.repos.clear()
    stale = ask().listing("tiny", limit=25)
    assert (len(stale.repos), stale.is_stale) == (3, True)
    assert ask().listing("never asked", limit=25).repos == ()


def test_offline_nothing_is_asked(server, ask):
    with pytest.raises(Offline):
        ask(offline=True).search("tiny", limit=25)
    ask().search("tiny", limit=25)
    assert len(ask(offline=True).search("tiny", limit=25)) == 3
    assert len(server.calls) == 1


def test_a_server_that_says_nothing_ends_a_search(server, ask, monkeypatch):
    monkeypatch.setattr(hub_module, "_ANSWER_S", 0.1)
    server.fail(stall(), times=None)
    hub = ask()
    for _ in range(CIRCUIT_RULE.failures):
        with pytest.raises(NetworkError, match="in time"):
            hub.search("tiny", limit=25)
    with pytest.raises(CircuitOpen):
        hub.search("tiny", limit=25)


def test_pages_that_come_slowly_end_with_their_time(server, ask, monkeypatch):
    monkeypatch.setattr(hub_module, "_FILES_S", 0.5)
    server.page = 1
    server.repos["a/Tiny-GGUF"].files = {f"{n}.gguf": b"x" for n in range(15)}
    server.fail(latency(0.1), path="/a/Tiny-GGUF/tree/", times=None)
    assert HubSearches(ask()).search("tiny").models[0].total_size_bytes is None
    assert len(server.requests("/a/Tiny-GGUF/tree/")) < 15


def test_files_with_what_the_hub_declares(server, ask):
    server.page = 1
    server.repos["a/Tiny-GGUF"].is_xet = True
    found = ask().repo_files("a/Tiny-GGUF")
    large, small = found.files
    assert (found.commit, found.is_stale) == (server.repos["a/Tiny-GGUF"].commit, False)
    assert (large.path, large.size_bytes, large.sha256) == ("tiny-Q4_0.gguf", 5000, hashlib.sha256(LARGE).hexdigest())
    assert (small.sha256, len(small.git_oid or ""), len(large.xet_hash or "")) == (None, 40, 64)


def test_large_files_that_a_mirror_lists_barely_are_asked_for_themselves(server, ask):
    large = b"x" * (10 << 20)
    server.add(
        Repo("a/bare", {"a.gguf": large, "b.gguf": large + b"y", "c.json": b"{}"}, has_bare_tree=True, is_xet=True)
    )
    server.fail(status(404), path="/resolve/", method="HEAD")
    before = ask().repo_files("a/bare").files
    assert sorted(file.path for file in before if file.sha256) in (["a.gguf"], ["b.gguf"])
    first, second, third = ask().repo_files("a/bare").files
    assert (first.sha256, first.size_bytes) == (hashlib.sha256(large).hexdigest(), 10 << 20)
    assert (second.sha256, second.size_bytes) == (hashlib.sha256(large + b"y").hexdigest(), (10 << 20) + 1)
    assert (third.sha256, third.size_bytes, len(second.xet_hash or "")) == (None, 2, 64)
    heads = len(server.requests("HEAD "))
    assert ask().repo_files("a/bare").files == (first, second, third)
    assert (heads, len(server.requests("HEAD ")), len(server.cdn.calls)) == (3, 3, 0)


def test_the_files_of_a_commit_are_asked_for_once(server, ask):
    repo = server.repos["a/Tiny-GGUF"]
    before, commit = ask().repo_files("a/Tiny-GGUF"), repo.commit
    assert ask().repo_files("a/Tiny-GGUF", commit) == before
    assert len(server.requests("/tree/")) == 1
    repo.revisions["old"] = repo.files
    repo.files = {"new.bin": b"x"}
    assert [file.path for file in ask().repo_files("a/Tiny-GGUF").files] == ["new.bin"]
    assert ask().repo_files("a/Tiny-GGUF", "old") == before
    server.fail(hang_up(), times=None)
    after = ask().repo_files("a/Tiny-GGUF")
    assert ([file.path for file in after.files], after.is_stale) == (["new.bin"], True)


def test_files_of_several_repos_need_no_commits_when_they_were_listed(server, ask):
    hub = ask()
    hub.search("tiny", limit=25)
    server.fail(status(500), path="/api/models/a/Tiny-fp16/tree", times=None)
    first, second, third = hub.files(["a/Tiny-GGUF", "a/Tiny-fp16", "b/tiny"])
    assert first is not None
    assert third is not None
    assert (first.commit, second, third.files[0].size_bytes) == (server.repos["a/Tiny-GGUF"].commit, None, 7)
    assert not server.requests("/revision/")


def test_for_a_commit_that_is_gone_the_main_branch_stands_in(server, ask):
    ask().search("tiny", limit=25)
    server.repos["a/Tiny-GGUF"].files = {"new-Q8_0.gguf": LARGE}
    found = HubSearches(ask()).search("tiny").models[0]
    assert [(option.quantization, option.size_bytes) for option in found.options] == [("q8_0", 5000)]
    (files,) = ask().files(["a/Tiny-GGUF"])
    assert files is not None
    assert (files.commit, files.files[0].path) == ("main", "new-Q8_0.gguf")
    with pytest.raises(RepoNotFound, match="at revision 0000"):
        ask().repo_files("a/Tiny-GGUF", "0" * 40)


def test_a_repo_that_is_too_large_is_refused(server, ask, monkeypatch):
    monkeypatch.setattr(hub_module, "_MOST_PAGES", 1)
    server.page = 1
    with pytest.raises(BadAnswer, match="more files"):
        ask().repo_files("a/Tiny-GGUF")


@pytest.mark.parametrize(
    ("repo_id", "revision"),
    [("../x", "main"), ("a/b?c", "main"), ("", "main"), ("a/b", ""), ("a/b", ".."), ("a/b", "x\n"), ("a/b", "x" * 300)],
)
def test_what_is_no_repo_is_not_asked_for(server, ask, repo_id, revision):
    with pytest.raises(InvalidInput):
        ask().repo_files(repo_id, revision)
    assert server.calls == []


def test_refusals_say_what_to_do(server, ask):
    with pytest.raises(RepoNotFound, match="or it is private: check the name, set HF_TOKEN"):
        ask().repo("a/none")
    with pytest.raises(RepoNotFound, match="at revision none"):
        ask().repo("b/tiny", "none")
    server.fail(status(403, headers={"X-Error-Code": "GatedRepo"}), path="/api/models/b/tiny")
    with pytest.raises(RepoRefused, match=r"accept its terms at https://huggingface\.co/b/tiny"):
        ask().repo("b/tiny")
    with pytest.raises(RepoRefused, match="HF_TOKEN is wrong"):
        ask(hub_token="hf_wrong").repo("b/tiny")
    with pytest.raises(BadAnswer, match="check the token"):
        ask(hub_token="hf_wrong").search("tiny", limit=25)
    server.fail(status(429, retry_after="90"), path="/api/models/b/tiny")
    with pytest.raises(RateLimited, match="in 90 seconds"):
        ask().repo("b/tiny")


def test_private_repos_are_found_with_the_token(server, ask, caplog):
    caplog.set_level("DEBUG")
    server.tokens = {"hf_secret": "reader"}
    server.add(Repo("own/model", {"a.gguf": LARGE}, is_private=True, readers=frozenset({"reader"})))
    hub = ask(hub_token="hf_secret")
    assert hub.repo_files("own/model").files[0].size_bytes == 5000
    assert [repo.is_private for repo in hub.search("own", limit=5)] == [True]
    assert hub.file_request("own/model", "main", "a b.gguf").url == f"{server.url}/own/model/resolve/main/a%20b.gguf"
    assert "hf_secret" not in caplog.text
    assert "hf_secret" not in repr(hub.file_request("own/model", "main", "a.gguf"))


def test_one_repo_that_cant_be_read_has_no_sizes(server, ask):
    searches = HubSearches(ask())
    server.fail(status(500), path="/api/models/a/Tiny-GGUF/tree", times=None)
    first, second, third = searches.search("tiny").models
    server.heal()
    assert ([(o.quantization, o.size_bytes) for o in first.options], first.total_size_bytes) == ([("q4_0", None)], None)
    assert ([(o.quantization, o.size_bytes) for o in second.options], third.total_size_bytes) == ([("fp16", 5001)], 7)
    before = len(server.calls)
    assert searches.search("tiny").models[0].total_size_bytes == 5002, "what is missing is asked for again"
    assert [str(call).partition("/tree/")[0] for call in server.calls[before:]] == ["GET /api/models/a/Tiny-GGUF"]
    assert searches.search("tiny").models[0].total_size_bytes == 5002
    assert len(server.calls) == before + 1


def test_what_never_can_be_read_is_not_asked_for_again(server, ask):
    searches = HubSearches(ask())
    server.fail(status(403, headers={"X-Error-Code": "GatedRepo"}), path="/api/models/a/Tiny-GGUF/tree", times=None)
    assert searches.search("tiny") == searches.search("tiny")
    assert len(server.calls) == 4


def test_sizes_are_asked_for_at_once(server, ask):
    server.add(*(Repo(f"many/tiny-{n}", {"a-Q8_0.gguf": LARGE}) for n in range(22)))
    all_are_asked = threading.Barrier(25)

    def wait_for_others(answer):
        all_are_asked.wait(60)  # broken if they came one after the other
        return answer

    server.fail(wait_for_others, path="/tree/", times=25)
    found = HubSearches(ask()).search("tiny")
    assert len(found.models) == 25
    assert all(model.total_size_bytes for model in found.models)
    assert len(server.calls) == 26


def test_an_answer_in_memory_lasts_as_long_as_its_listing(server, ask):
    now = [0.0]
    searches = HubSearches(ask(), clock=lambda: now[0])
    assert searches.search("tiny") is searches.search(" TINY", limit=25)
    assert searches.search("tiny", kind="gguf") is not searches.search("tiny")
    now[0] = 3599.0
    first = searches.search("tiny")
    now[0] = 3601.0
    assert searches.search("tiny") is not first


@pytest.mark.parametrize(("query", "limit"), [("x" * 1001, 25), ("\ud800", 25), ("x", -1), ("x", 1001)])
def test_a_search_out_of_bounds_is_refused(server, ask, query, limit):
    with pytest.raises(InvalidInput):
        HubSearches(ask()).search(query, limit=limit)
    assert server.calls == []


@pytest.mark.parametrize("kind", ["k" * 1001, "\udfff"])
def test_a_kind_that_cannot_be_one_is_refused(server, ask, kind):
    with pytest.raises(InvalidInput, match="`kind`"):
        HubSearches(ask()).search("x", kind=kind)
    assert not server.calls


def test_the_longest_query_can_be_asked(server, ask):
    assert HubSearches(ask()).search("\u5b57" * 1000).models == ()


def test_a_query_with_a_colon_is_not_taken_for_one_with_a_kind(server, ask):
    searches = HubSearches(ask())
    assert searches.search("a", kind="gguf").models
    assert not searches.search("a:gguf").models
    assert len(server.requests("/api/models?")) == 2


@pytest.mark.parametrize("field", [{"downloads": 10**30}, {"cardData": {"x": 10**30}}, {"downloads": -1}])
def test_a_number_of_any_size_does_not_fail_a_search(server, ask, field):
    server.fail(json_body([{"id": "a/Tiny-GGUF", **field}]), path="/api/models?")
    (model,) = HubSearches(ask()).search("Tiny").models
    assert (model.repo_id, model.downloads) == ("a/Tiny-GGUF", None)


@pytest.mark.parametrize("wrong", [[], [{}], [1, "a"], [{"type": "file", "path": 1}]])
def test_a_tree_that_holds_no_file_is_not_kept_for_ever(server, ask, wrong):
    server.fail(json_body(wrong), path="/tree/")
    (model,) = HubSearches(ask()).search("Tiny", limit=1).models
    assert model.total_size_bytes is None
    (model,) = HubSearches(ask()).search("Tiny", limit=1).models
    assert model.total_size_bytes == 5002
