"""A search on a hub that takes its time: everything asked for at once, against one request after the other.

The baseline is what the original sends: the listing, then two requests for the files of each hit, one at a time, over
one kept connection. Ours is a search of which nothing is known, in a child that has searched for something else
before; told too: as the first one of a process, which loads the client. The hub is a fake in this process. In small
size nothing is judged, and the hub is quick.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter

import httpx
import pytest
from fakes.hub import FakeHub, Repo
from fakes.server import latency

from pumas import PumasApi
from pumas.config import Config
from pumas.repos import HubSearch

Start = Callable[[Sequence[str]], "subprocess.Popen[str]"]

HITS = 25
LATENCY_S = {"small": 0.005, "full": 0.1}
FILES = 12  # of a repo of GGUF files

_SEARCH = """
import sys
from time import perf_counter
from pumas import PumasApi
from pumas.config import Config
with PumasApi(sys.argv[1], config=Config(hub_base=sys.argv[2])) as api:
    if sys.argv[3] == "later":
        api.search_hf_models("nothing")
    begun = perf_counter()
    found = api.search_hf_models("llama")
    print(perf_counter() - begun, sum(model.total_size_bytes for model in found.models))
"""


@pytest.fixture
def hub(size: str) -> Iterator[FakeHub]:
    repos = [
        Repo(f"owner-{n}/llama-{n}-GGUF", {f"llama-{n}-Q{k}_0.gguf": b"x" * (500 + n) for k in range(FILES)})
        for n in range(HITS)
    ]
    with FakeHub(repos) as hub:
        hub.fail(latency(LATENCY_S[size]), times=None)
        yield hub


@pytest.fixture
def search(start: Start, hub: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[float, int]]:
    """Search in a child with a root of its own, `first` or `later` in its life; seconds, and bytes that were found."""

    def run(when: str) -> tuple[float, int]:
        with start(["-c", _SEARCH, str(tmp_path_factory.mktemp("root")), hub.url, when]) as child:
            taken_s, total = child.communicate()[0].split()
        return float(taken_s), int(total)

    return run


def test_search(
    alternate: Callable[..., tuple[float, float]],
    judge: Callable[..., None],
    inform: Callable[[str, float], None],
    search: Callable[[str], tuple[float, int]],
    hub: FakeHub,
) -> None:
    """A search of which nothing is known, with 25 hits: 0.5 s when each answer takes 0.1."""
    totals: set[int] = set()

    def timed(found: tuple[float, int]) -> float:
        totals.add(found[1])
        return found[0]

    ours_s, _ = alternate(
        "hub_search_cold", lambda: timed(search("later")), lambda: timed(_one_after_the_other(hub.url))
    )
    judge("hub_search_cold_s", ours_s, 0.5)
    inform("hub_search_first_of_process_s", timed(search("first")))
    assert len(totals) == 1


def test_search_again(
    alternate: Callable[..., tuple[float, float]],
    judge: Callable[..., None],
    hub: FakeHub,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The same search again, within the hour: 5 ms in the same process; told too: in another one, from its disk."""
    root = tmp_path_factory.mktemp("root")
    config = Config(hub_base=hub.url)
    with PumasApi(root, config=config) as api:
        first = api.search_hf_models("llama")

        def again() -> float:
            return _timed(lambda: api.search_hf_models("llama"), first)

        def from_disk() -> float:
            with PumasApi(root, config=config) as other:
                return _timed(lambda: other.search_hf_models("llama"), first)

        asked = len(hub.calls)
        ours_s, _ = alternate("hub_search_warm", again, from_disk, names=("memory", "disk"))
        assert len(hub.calls) == asked
    judge("hub_search_warm_ms", ours_s * 1000, 5)


def _timed(search: Callable[[], HubSearch], expected: HubSearch) -> float:
    begun = perf_counter()
    found = search()
    taken_s = perf_counter() - begun
    assert found == expected
    return taken_s


def _one_after_the_other(url: str) -> tuple[float, int]:
    begun = perf_counter()
    total = 0
    with httpx.Client(base_url=url, trust_env=False) as client:
        for repo in client.get("/api/models?search=llama&limit=25&full=True").json():
            tree = f"/api/models/{repo['id']}/tree/main?recursive=True&expand=False"
            names = [entry["path"] for entry in client.get(tree).json()]
            sizes = {entry["path"]: entry["size"] for entry in client.get(tree).json()}
            total += sum(sizes[name] for name in names)
    return perf_counter() - begun, total
