"""Searches on the hub as the desktop app and the command line ask for them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator

import pytest
from fakes.hub import FakeHub, Repo
from fakes.server import hang_up, stall, status
from support.roots import write_model

from pumas import PumasApi
from pumas.cli import main
from pumas.config import Config
from pumas.rpc.dispatch import handle
from pumas.rpc.session import Session

LLAMA = "llm/llama/Mine"


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    repos = [
        Repo(
            "owner/Llama-GGUF", {"a-Q4_K_M.gguf": b"x" * 5000, "a-Q8_0.gguf": b"x" * 9000}, tags=("gguf",), downloads=3
        ),
        *(Repo(f"owner/other-{n}", {"x.bin": b"x" * 500}) for n in range(30)),
        Repo("owner/Llama-new", {"b.safetensors": b"x" * 500}),
        Repo("someone/owner-llama", {"b.safetensors": b"x" * 500}),
    ]
    with FakeHub(repos) as hub:
        yield hub


@pytest.fixture
def config(hub) -> Config:
    return Config(hub_base=hub.url, retry_base_s=0.0)


@pytest.fixture
def root(library):
    write_model(library, LLAMA, base_model="owner/Llama-GGUF", download_url="https://huggingface.co/owner/Llama-GGUF")
    write_model(library, "llm/llama/Lone")
    return library.parents[1]


def call(session, method, **params):
    body = handle(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode(), session)
    assert isinstance(body, bytes)
    return json.loads(body)["result"]


def test_what_the_hub_said_before_stands_in_and_is_marked(hub, config, root, monkeypatch):
    import time

    with PumasApi(root, config=config) as api:
        fresh = call(Session(api), "search_hf_models", query="gguf")
    assert "stale" not in fresh
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3601)
    hub.fail(hang_up(), times=None)
    with PumasApi(root, config=config) as api:
        stale = call(Session(api), "search_hf_models", query="gguf")
        assert stale == {**fresh, "stale": True}
        answer = call(Session(api), "search_hf_models", query="never asked")
    assert (answer["success"], answer["models"], "rate_limited" in answer) == (False, [], False)


def test_a_rate_limit_says_when_to_ask_again(hub, config, root):
    hub.fail(status(429, retry_after="77"))
    with PumasApi(root, config=config) as api:
        api.refresh_models().result(30)
        answer = call(Session(api), "search_hf_models", query="gguf")
        again = call(Session(api), "get_related_models", model_id=LLAMA)
    assert (answer["success"], answer["models"]) == (False, [])
    assert (answer["rate_limited"], answer["retry_after_secs"]) == (True, 77)
    assert "in 77 seconds" in answer["error"]
    assert again["rate_limited"] is True
    assert len(hub.calls) == 1, "it is left alone until then"


def test_related_models_are_looked_for_among_all_of_the_owner(hub, config, root):
    with PumasApi(root, config=config) as api:
        api.refresh_models().result(30)
        found = api.get_related_models(LLAMA, limit=1)
        assert [(model.repo_id, model.total_size_bytes) for model in found.models] == [("owner/Llama-new", 500)]
        assert len(hub.requests("/tree/")) == 1, "sizes of those only that are answered"
        assert api.get_related_models("llm/llama/Lone").models == ()
        assert api.get_related_models("../..").models == ()


def test_closing_ends_a_search_at_once(hub, config, root):
    hub.fail(stall(), times=None)
    ended = []
    api = PumasApi(root, config=config)
    thread = threading.Thread(target=lambda: ended.append(call(Session(api), "search_hf_models", query="x")))
    thread.start()
    while not hub.calls:
        thread.join(0.01)
    assert api.close(60)
    thread.join()
    assert [answer["success"] for answer in ended] == [False]


def test_long_calls_leave_threads_for_others(hub, config, root, monkeypatch):
    monkeypatch.setattr("pumas.rpc.session.LONG_CALL_WAIT_S", 0.01)
    with PumasApi(root, config=config) as api:
        session = Session(api, long_calls=threading.BoundedSemaphore(1))
        with session.long_call():
            answer = call(session, "search_hf_models", query="gguf")
            assert (answer["success"], answer["models"]) == (False, [])
        assert call(session, "search_hf_models", query="gguf")["success"]
        late = Session(api, wait_until=0.0)
        assert "in a moment" in call(late, "search_hf_models", query="gguf")["error"]


def test_long_calls_that_wait_leave_threads_for_others_too(hub, config, root, monkeypatch):
    monkeypatch.setattr("pumas.rpc.session.LONG_CALL_WAIT_S", 1000.0)
    with PumasApi(root, config=config) as api:
        session = Session(api, long_calls=threading.BoundedSemaphore(1), waiting_calls=threading.BoundedSemaphore(1))
        answers = []
        with session.long_call():
            waiting = threading.Thread(target=lambda: answers.append(call(session, "search_hf_models", query="gguf")))
            waiting.start()
            while session.waiting_calls.acquire(blocking=False):
                session.waiting_calls.release()
                waiting.join(0.01)
            assert "in a moment" in call(session, "search_hf_models", query="gguf")["error"]
        waiting.join()
        assert answers[0]["success"]


@pytest.fixture
def pumas(hub, root, monkeypatch, capfd):
    """Run a command on the root in this process; exit code, standard output, standard error."""
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("PUMAS_RETRY_BASE", "0")

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--root", str(root)])
        streams = capfd.readouterr()
        return int(ended.value.code or 0), str(streams.out), str(streams.err)

    return run


def test_the_command_shows_what_can_be_downloaded(pumas):
    code, out, err = pumas("hub", "search", "llama", "gguf", "--limit", "5")
    assert (code, out.splitlines()[1:], err) == (0, [], "0 hits\n")
    code, out, err = pumas("hub", "search", "gguf")
    assert (code, err) == (0, "1 hit\n")
    assert out.splitlines()[1].split(maxsplit=5) == [
        *("owner/Llama-GGUF", "unknown", "13.7", "KiB", "2024-05-01"),
        "q4_k_m 4.9 KiB, q8_0 8.8 KiB",
    ]
    code, out, _ = pumas("hub", "search", "gguf", "--json")
    (model,) = json.loads(out)["models"]
    assert (code, model["repo_id"], model["options"][0]["size_bytes"]) == (0, "owner/Llama-GGUF", 5000)


def test_the_command_lists_files(pumas, hub):
    code, out, err = pumas("hub", "files", "owner/Llama-GGUF")
    commit = hub.repos["owner/Llama-GGUF"].commit
    assert (code, err) == (0, f"2 files, 13.7 KiB, commit {commit}\n")
    assert out.splitlines()[1].split() == ["a-Q4_K_M.gguf", "4.9", "KiB", hashlib.sha256(b"x" * 5000).hexdigest()]
    hub.fail(hang_up(), times=None)
    code, out, err = pumas("hub", "files", "owner/Llama-GGUF", "--json")
    assert (code, json.loads(out)["is_stale"], json.loads(out)["commit"]) == (0, True, commit)
    assert err == "The hub can't be asked now; this is what it answered before\n"
    code, out, err = pumas("hub", "files", "../..")
    assert (code, out, err) == (2, "", "pumas: `../..` is no repo of the hub; name one as owner/name\n")


def test_the_command_finds_related_models(pumas):
    code, out, err = pumas("hub", "related", LLAMA)
    assert (code, err) == (0, "1 hit\n")
    assert out.splitlines()[1].split()[0] == "owner/Llama-new"
    code, _, err = pumas("hub", "related", "llm/none")
    assert (code, err) == (3, "pumas: There is no model llm/none; `pumas list` shows the ids of all\n")


def test_the_command_says_that_the_hub_is_away(pumas, hub, monkeypatch):
    assert pumas("hub", "search", "gguf")[0] == 0
    hub.fail(hang_up(), times=None)
    code, out, err = pumas("hub", "search", "never asked")
    assert (code, out) == (6, "")
    assert err.startswith("pumas: 127.0.0.1 ended the connection")
    monkeypatch.setenv("PUMAS_OFFLINE", "1")
    code, out, err = pumas("hub", "search", "gguf")
    assert (code, err) == (0, "1 hit\n")
