"""What does a search cost over HTTP, beyond the empty call, and how many does a server answer with eight clients?

The server is a child on the last core, the clients are here on the first: one thread that sends the next request on
each of eight connections as soon as its answer is whole; the rate is also measured with the server's threads free to
run on any core, as they are for a user. Pages hold up to 100 whole records. The first answers of each
query are asserted equal to those made from records (`search_models_fts`).
"""

from __future__ import annotations

import json
import selectors
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from itertools import cycle
from statistics import median
from time import monotonic, perf_counter, sleep
from typing import Any

import pytest

from pumas import PumasApi
from pumas.config import Config

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("first_core")]

COUNTS = {"small": (200,), "full": (10_000, 100_000)}
QUERIES = ("llama", "instruct", "qwen chat", "flux anime q4", "model for short answers")
CLIENTS = 8
CALLS = {"small": 20, "full": 400}  # of one round and query
LOAD_CALLS = {"small": 100, "full": 3000}
TARGET_MS = 0.5
TARGET_RATE = 1500.0

Serve = Callable[[Sequence[str]], AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def root(request: pytest.FixtureRequest, make_indexed_root: Callable[[int], Any]) -> Any:
    return make_indexed_root(request.param)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("root", COUNTS[metafunc.config.getoption("--size")], indirect=True)


def _search(server: Any, query: str) -> bytes:
    return bytes(server.request("search_models_fts", {"query": query, "limit": 100}))


def _result(server: Any, request: bytes) -> dict[str, Any]:
    return dict(json.loads(server.send(request))["result"])


@contextmanager
def _ranking(serve: Serve, root: Any) -> Iterator[Any]:
    """The server of a root, once it ranks by itself and has its records ready."""
    with serve(["-m", "pumas.rpc", "--port", "0", "--launcher-root", str(root.path)]) as server:
        for _ in range(2):  # the second search of a process has the ranking made
            _result(server, _search(server, QUERIES[0]))
        give_up_at = monotonic() + 120
        while True:
            jobs = _result(server, server.request("list_jobs"))["jobs"]
            if "prepare_ranking" in {job["kind"] for job in jobs} and {job["status"] for job in jobs} == {"completed"}:
                break
            assert monotonic() < give_up_at, jobs
            sleep(0.05)
        yield server


@pytest.fixture(scope="module")
def served(serve: Serve, root: Any) -> Iterator[tuple[Any, int]]:
    """A server, and how many models it has."""
    with _ranking(serve, root) as server, PumasApi(root.path, config=Config()) as api:
        for query in QUERIES:
            page = api.search_models_fts(query, limit=100)
            answer = _result(server, _search(server, query))
            assert [hit["id"] for hit in answer["models"]] == [hit.model.model_id for hit in page.hits]
            assert answer["total_count"] == page.total_count > 0
        yield server, root.count


@pytest.fixture
def calls(size: str, rounds: int) -> tuple[int, range]:
    """Calls of one round to each, and the rounds."""
    return CALLS[size], range(rounds)


def test_one_client(served: tuple[Any, int], benchmark: Any, judge: Any, inform: Any, calls: tuple[int, range]) -> None:
    (server, models), (count, rounds) = served, calls
    empty = server.request("health_check")
    for query in QUERIES:
        search = _search(server, query)
        beyond, whole = [], []
        for _ in rounds:
            empty_s, search_s = [], []
            for _ in range(count // 20):  # in turns, so that a busy moment of the machine hits both
                empty_s += server.times(empty, 20)
                search_s += server.times(search, 20)
            whole.append(median(search_s) * 1000)
            beyond.append(whole[-1] - median(empty_s) * 1000)
        inform(f"{models} {query!r} p50 ms", min(whole))
        judge(f"{models} {query!r} p50 beyond the empty call ms", min(beyond), TARGET_MS)
    benchmark(lambda: server.send(_search(server, QUERIES[0])))


@pytest.mark.parametrize("cores", ["one core", "all cores"])
def test_eight_clients(
    served: tuple[Any, int], benchmark: Any, judge: Any, *, rounds: int, size: str, set_cores: Any, cores: str
) -> None:
    server, models = served
    requests = [_search(server, query) for query in QUERIES]
    set_cores(server.pid, slice(-1, None) if cores == "one core" else slice(None))
    rate = max(_rate(server, requests, LOAD_CALLS[size]) for _ in range(rounds))
    # A rate of at least 1,500 a second is one of at most 1/1,500 s a search.
    judge(f"{models} us a search, {CLIENTS} clients, server on {cores}", 1e6 / rate, 1e6 / TARGET_RATE)
    benchmark(lambda: server.send(requests[0]))


def _rate(server: Any, requests: Sequence[bytes], calls: int) -> float:
    """Searches a second of `calls`, asked for on several connections at once."""
    queued = cycle(requests)
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        begun = perf_counter()
        for _ in range(CLIENTS):
            client = stack.enter_context(closing(server.another()))
            selector.register(client, selectors.EVENT_READ)
            client.ask(next(queued))
        done = 0
        while done < calls:
            for key, _ in selector.select():
                asked: Any = key.fileobj
                if asked.take():
                    done += 1
                    asked.ask(next(queued))
        return done / (perf_counter() - begun)
