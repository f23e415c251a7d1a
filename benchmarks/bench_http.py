"""What does the empty call cost over HTTP, beyond what Falcon and Waitress cost anyway?

Both servers are children on the last core, the client is here on the first; it keeps one connection to each, sends the
same bytes to both and takes turns between them every few calls, so that a busy moment of the machine hits both alike.
A figure is the median (p50) of one round's calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Any

import pytest

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("first_core")]

TARGET_RATIO = 1.3
CALLS = {"small": 300, "full": 3000}  # of one round
_TURN = 20  # calls to one server before the other has its turn
LARGE_CALLS = {"small": 3, "full": 10}

Serve = Callable[[Sequence[str]], AbstractContextManager[Any]]

_ANSWER = '{"jsonrpc":"2.0","result":{"status":"ok"},"id":1}'
_BARE_SERVER = Path(__file__).with_name("bare_server.py")


@pytest.fixture(scope="module")
def ours(serve: Serve, indexed_root: Any) -> Iterator[Any]:
    with serve(["-m", "pumas.rpc", "--port", "0", "--launcher-root", str(indexed_root.path)]) as connection:
        yield connection


@pytest.fixture(scope="module")
def bare(serve: Serve) -> Iterator[Any]:
    with serve([str(_BARE_SERVER), _ANSWER]) as connection:
        yield connection


def test_empty_call(
    alternate: Callable[..., tuple[float, float]],
    judge: Callable[[str, float, float], None],
    ours: Any,
    bare: Any,
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
    ours: Any,
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
