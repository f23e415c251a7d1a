"""Whole programs killed and racing on one root: real servers, real commands, real kills."""

from __future__ import annotations

import http.client
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import pytest
from support.process import server_process
from support.roots import write_model

from pumas import PumasApi
from pumas.config import Config
from pumas.rpc import wrapping

_ROUNDS = int(os.environ.get("PUMAS_FAULT_ROUNDS") or 15)
_MODELS = 60
_HEALTHY_S = 5  # by far less on an idle machine; others may be at work on this one


def _id(n: int) -> str:
    return f"llm/f{n % 5}/M{n}"


def _write(library: Path, n: int, number: int) -> None:
    """Replace one document whole, as every program that knows its trade does."""
    path = library / _id(n) / "metadata.json"
    document = json.loads(path.read_text("utf-8"))
    document.update(official_name=f"M{n} v{number}", description=f"shared words v{number} " + "x" * (number % 7 * 900))
    beside = path.with_name("metadata.json.new")
    beside.write_text(json.dumps(document, indent=2), encoding="utf-8")
    beside.replace(path)


def _on_disk(library: Path) -> dict[str, Any]:
    return {
        str(path.parent.relative_to(library)): json.loads(path.read_text("utf-8"))
        for path in library.glob("llm/*/*/metadata.json")
    }


def _check_integrity(library: Path) -> None:
    with closing(sqlite3.connect(library / "models.db", timeout=30)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.execute("INSERT INTO model_search(model_search) VALUES ('integrity-check')")
        sql = "SELECT count(*) FROM models JOIN model_search ON model_search.rowid = models.rowid"
        found = db.execute(f"{sql} WHERE model_search.id = models.id").fetchone()
        assert found == db.execute("SELECT count(*) FROM models").fetchone()


def _check_served(client: Any, library: Path) -> None:
    """List and search say what the disk says; both ways of making an answer are likely to be met."""
    assert client.call("refresh_model_index")["success"] is True
    documents = _on_disk(library)
    for _ in range(2):
        listed = client.call("get_models")["models"]
        assert {one: model["officialName"] for one, model in listed.items()} == {
            one: document["official_name"] for one, document in documents.items()
        }
        page = client.call("search_models_fts", {"query": "shared", "limit": 1000})
        assert page["total_count"] == len(page["models"])
        assert {hit["id"]: json.loads(hit["metadata_json"]) for hit in page["models"]} == documents


def _until_killed(work: Callable[[int], None]) -> None:
    """Repeat; a connection that ends is the kill, whatever else happens is a fault."""
    number = 0
    with suppress(OSError, http.client.HTTPException):
        while True:
            number += 1
            work(number)


class _Load:
    """Everything that writes, at once, on one server."""

    def __init__(self, client: Any, library: Path, acknowledged: dict[str, int], number: int) -> None:
        self._client = client
        self._library = library
        self._number = number
        self.acknowledged = acknowledged
        self.kill_after = 0
        self.is_due = threading.Event()

    def overrides(self, turn: int) -> None:
        model_id = _id(turn % 3)
        n = self.acknowledged.get(model_id, 0) + 1
        overrides = {"n": n, "text": str(n) * (n * 997 % 9000)}
        answer = self._client.call("update_model_overrides", {"rel_path": model_id, "overrides": overrides})
        assert answer["success"] is True
        self.acknowledged[model_id] = n
        if turn >= self.kill_after:
            self.is_due.set()

    def refresh(self, turn: int) -> None:
        for n in range(turn % 2, _MODELS, 1 + turn % 5):
            _write(self._library, n, self._number + turn)
        assert self._client.call("refresh_model_index")["success"] is True

    def read(self, _turn: int) -> None:
        assert len(self._client.call("get_models")["models"]) == _MODELS
        page = self._client.call("search_models_fts", {"query": "shared", "limit": 1000})
        assert page["total_count"] == len(page["models"]) == _MODELS


@pytest.mark.slow
def test_a_server_is_killed_in_a_loop(library):
    for n in range(_MODELS):
        write_model(library, _id(n), description="shared words")
    acknowledged: dict[str, int] = {}
    chance = random.Random(7)
    for round_number in range(_ROUNDS + 1):
        begun = perf_counter()
        with server_process(library.parents[1]) as (process, client):
            assert len(client.call("get_models")["models"]) == _MODELS
            assert client.call("search_models_fts", {"query": "shared"})["total_count"] == _MODELS
            assert perf_counter() - begun < _HEALTHY_S
            for model_id, n in acknowledged.items():
                found = client.call("get_model_overrides", {"rel_path": model_id})["overrides"]
                assert found["n"] in (n, n + 1), "what was acknowledged is there"
                assert found["text"] == str(found["n"]) * (found["n"] * 997 % 9000)
                acknowledged[model_id] = found["n"]
            _check_served(client, library)
            _check_integrity(library)
            load = _Load(client, library, acknowledged, round_number * 1000)
            load.kill_after = chance.randrange(1, 40)
            with ThreadPoolExecutor(3) as pool:
                work = [pool.submit(_until_killed, one) for one in (load.overrides, load.refresh, load.read)]
                while not load.is_due.wait(0.1) and not any(one.done() for one in work):
                    pass
                process.kill()
                for one in work:
                    one.result()
    assert list(library.glob("models.db.damaged-*")) == []


# Lists and index are written in one process, one after the other and over each other.
_WRITING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from faults import test_process_faults as faults
from pumas import PumasApi

root, number = Path(sys.argv[1]), int(sys.argv[3])
with PumasApi(root) as api:
    api.prepare_answers()
    while True:
        number += 1
        for n in range(number % 3, faults._MODELS, 1 + number % 4 * 5):
            faults._write(api.library, n, number)
        jobs = [api.refresh_models()]
        if number % 3 == 0:
            jobs.append(api.rebuild_index())
        api.update_model_overrides(faults._id(number % 3), {"n": number})
        print(number, flush=True)
        for job in jobs:
            job.result()
"""


@pytest.mark.slow
def test_a_process_is_killed_while_it_rebuilds(library):
    for n in range(_MODELS):
        write_model(library, _id(n), description="shared words")
    root, number = library.parents[1], 0
    with PumasApi(root, config=Config()) as api:
        api.refresh_models().result(30)
    command = [sys.executable, "-c", _WRITING, str(root), str(Path(__file__).parents[1])]
    for turn in range(_ROUNDS):
        with subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(1 + turn % 7):
                number = int(writer.stdout.readline())
            # Without a sleep: each turn reads another number of lines, so the kill falls anywhere in what follows.
            writer.kill()
            number = max([number, *map(int, writer.stdout.read().split())])
        begun = perf_counter()
        with PumasApi(root, config=Config()) as api:
            api.prepare_answers()
            assert api.search_models_fts("shared").total_count == len(api.list_models()) == _MODELS
            assert perf_counter() - begun < _HEALTHY_S
            found: list[Any] = [api.get_model_overrides(_id((number + n) % 3)).get("n", 0) for n in (0, 1)]
            assert found[0] == number
            assert found[1] in (number + 1, max(0, number - 2)), "one more may have been written, but not told"
            api.refresh_models().result(30)
            for job in api._root.jobs.jobs():
                job.result(30)
            documents = _on_disk(library)
            assert {one.model_id: one.official_name for one in api.list_models()} == {
                one: document["official_name"] for one, document in documents.items()
            }
            page = api.search_models_fts("shared", limit=1000)
            assert {hit.model.model_id: json.loads(hit.metadata_json) for hit in page.hits} == documents
            assert page.total_count == _MODELS
            _check_ready(api)
        _check_integrity(library)
        number = max(found)


def _check_ready(api: PumasApi) -> None:
    """The ready answers are there, and those that are made from the rows say the same."""
    listing, page = api.ready_listing(), api.ready_search("shared", limit=1000)
    assert listing is not None
    assert page is not None
    slow = wrapping.models_response(api.list_models())
    assert json.loads(b"".join(listing)) == {one: _plain(model) for one, model in slow.models.items()}
    made = wrapping.search_response(api.search_models_fts("shared", limit=1000), api.library)
    assert json.loads(page.hits) == [_plain(hit) for hit in made.models]


def _plain(value: Any) -> Any:
    return json.loads(msgspec.json.encode(value))


_FIRST_FILL = """
import os, signal, sys
from pathlib import Path
from pumas import PumasApi
from pumas.search.take_up import TakeUp
TakeUp.run = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
with PumasApi(Path(sys.argv[1])) as api:
    api.opening_refresh.result()
"""


def test_a_first_fill_that_was_killed_is_begun_again(library):
    write_model(library, _id(1), description="shared words")
    killed = subprocess.run([sys.executable, "-c", _FIRST_FILL, str(library.parents[1])], check=False)
    assert killed.returncode == -9
    with PumasApi(library.parents[1], config=Config()) as api:
        for job in api._root.jobs.jobs():
            job.result(30)
        assert len(api.list_models()) == 1


def test_a_command_rebuilds_while_two_servers_work(library):
    for n in range(_MODELS):
        write_model(library, _id(n), description="shared words")
    root = library.parents[1]
    ended = threading.Event()
    seen: set[int] = set()

    def work(client: Any) -> int:
        turns = last = 0
        while not ended.is_set():
            turns += 1
            assert client.call("refresh_model_index")["success"] is True
            page = client.call("search_models_fts", {"query": "shared", "limit": 1000})
            assert page["success"] is True
            assert last <= page["total_count"] == len(page["models"]), "never fewer than before"
            last = len(client.call("get_models")["models"])
            assert page["total_count"] <= last
            seen.update((page["total_count"], last))
        return turns

    with server_process(root) as (_, one), server_process(root) as (_, two), ThreadPoolExecutor(2) as pool:
        work_of_both = [pool.submit(work, client) for client in (one, two)]
        try:
            for n in range(5):
                write_model(library, _id(_MODELS + n), description="shared words")
                done = subprocess.run(
                    [sys.executable, "-m", "pumas", "index", "rebuild", "--root", str(root), "--json"],
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=60,
                )
                assert done.returncode == 0, done.stderr
                assert json.loads(done.stdout)["model_count"] == _MODELS + n + 1
        finally:
            ended.set()
        assert all(one.result(30) > 3 for one in work_of_both)
        for client in (one, two):
            _check_served(client, library)
    assert seen <= set(range(_MODELS, _MODELS + 6))
    _check_integrity(library)
    assert list(library.glob("models.db.damaged-*")) == []
