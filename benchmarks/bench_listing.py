"""What do the list of all models and a page of hits cost the server, in time and in memory?

The server is a child on the last core, the client is here on the first. Its answers are asserted equal to those made
from records (`list_models`), which is the way that the ready bytes replace. Memory is the server's resident memory as
Linux tells it, mapped files included; its peak is reset before the calls, and after a refresh.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any

import msgspec
import pytest

from pumas import PumasApi
from pumas.config import Config
from pumas.rpc import wrapping

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("first_core")]

COUNTS = {"small": (50, 200), "full": (1_000, 10_000)}
TARGETS_MS = (3.0, 15.0)
CALLS = 50  # of one round
MEMORY_CALLS = 40
TARGET_GROWTH = 2.5  # of the answer's size
TARGET_IDLE_MIB = 70
TARGET_USED_MIB = 120
_SEARCH: dict[str, object] = {"query": "llama", "limit": 100}

Serve = Callable[[Sequence[str]], AbstractContextManager[Any]]
_needs_proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux's /proc tells the peak")


@pytest.fixture(scope="module")
def roots(make_indexed_root: Callable[[int], Any], size: str) -> list[Any]:
    """A root of a tenth of the models, and one of all."""
    return [make_indexed_root(count) for count in COUNTS[size]]


@contextmanager
def _served(serve: Serve, root: Any) -> Iterator[Any]:
    """The server of a root, once its first jobs have ended."""
    with serve(["-m", "pumas.rpc", "--port", "0", "--launcher-root", str(root.path)]) as server:
        _wait_for_jobs(server)
        yield server


def _wait_for_jobs(server: Any) -> None:
    give_up_at = monotonic() + 60
    while True:
        jobs = _result(server, "list_jobs")["jobs"]
        if jobs and all(job["status"] == "completed" for job in jobs):
            return
        assert monotonic() < give_up_at, jobs
        sleep(0.02)


def _result(server: Any, method: str, params: dict[str, object] | None = None) -> Any:
    return msgspec.json.decode(server.send(server.request(method, params)))["result"]


def _refreshed(server: Any) -> bytes:
    """The list after a refresh of the server; a call begins it and the next one after it is answered from it."""
    request: bytes = server.request("get_models")
    server.send(request)
    _wait_for_jobs(server)
    return bytes(server.send(request))


def _memory_mib(server: Any, name: str) -> float:
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:")) / 1024


@pytest.mark.parametrize("which", [0, 1])
def test_get_models(
    alternate: Callable[..., tuple[float, float]],
    judge: Callable[..., None],
    serve: Serve,
    roots: Sequence[Any],
    which: int,
) -> None:
    root = roots[which]
    with _served(serve, root) as server, PumasApi(root.path, config=Config()) as api:
        request = server.request("get_models")
        listed = msgspec.json.decode(_refreshed(server))["result"]["models"]
        made = wrapping.models_response(api.list_models())
        assert listed == msgspec.json.decode(msgspec.json.encode(made))["models"]
        assert len(listed) == root.count

        def make_from_records() -> float:
            begun = perf_counter()
            msgspec.json.encode(wrapping.models_response(api.list_models()))
            return perf_counter() - begun

        best, _ = alternate(
            f"get_models-{root.count}",
            lambda: server.p50(request, CALLS),
            make_from_records,
            names=("p50", "from_records_without_http"),
        )
    judge(f"get_models_{root.count}_p50_ms", best * 1000, TARGETS_MS[which])


@pytest.fixture(params=["kept", "made"])
def cached_root(request: pytest.FixtureRequest, roots: Sequence[Any], serve: Serve) -> tuple[str, Any]:
    """`made`: the server begins without a cache, so that it makes all ready answers first."""
    if request.param == "made":
        shutil.rmtree(roots[1].library / ".pumas" / "cache")
    else:
        with _served(serve, roots[1]):  # a server makes it, if none has
            pass
    return request.param, roots[1]


@_needs_proc
def test_memory(
    benchmark: Any,
    judge: Callable[..., None],
    inform: Callable[[str, float], None],
    serve: Serve,
    cached_root: tuple[str, Any],
) -> None:
    cache, root = cached_root
    with _served(serve, root) as server:
        idle_mib = _memory_mib(server, "VmRSS")
        assert _result(server, "refresh_model_index")["success"]
        before_mib = _memory_mib(server, "VmRSS")
        Path(f"/proc/{server.pid}/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        request = server.request("get_models")
        answer = benchmark.pedantic(lambda: server.send(request), rounds=1)
        first_mib = _memory_mib(server, "VmHWM")
        for _ in range(MEMORY_CALLS):
            assert server.send(request) == answer
        peak_mib = _memory_mib(server, "VmHWM")
        found = _result(server, "search_models_fts", _SEARCH)
        assert 0 < len(found["models"]) <= root.count
        used_mib = _memory_mib(server, "VmRSS")
        inform(f"anonymous_{cache}_mib", _memory_mib(server, "RssAnon"))
        inform(f"mapped_files_{cache}_mib", _memory_mib(server, "RssFile"))
    answer_mib = len(answer) / 1024**2
    inform("answer_mib", answer_mib)
    judge(f"idle_cache_{cache}_mib", idle_mib, TARGET_IDLE_MIB)
    judge(f"after_list_and_search_cache_{cache}_mib", used_mib, TARGET_USED_MIB)
    judge(f"growth_first_list_cache_{cache}_per_answer", (first_mib - before_mib) / answer_mib, TARGET_GROWTH)
    judge(f"growth_all_calls_cache_{cache}_per_answer", (peak_mib - before_mib) / answer_mib, TARGET_GROWTH)
