"""What does a refresh cost when nothing changed, what does a search cost right after one, and opening the cache?

The root is opened as the server opens it, with its ready answers made. Baselines of the unchanged refresh: bare walks
of the same tree with a stat of every entry, by `scan_tree` on all cores and by `os.scandir` in two threads. All find
the tree in the caches of the kernel. Not pinned to one core: walking on all cores is a part of what is asked.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any

import lmdb
import pumas_native
import pytest

from pumas import PumasApi
from pumas.config import Config
from pumas.store.cache import Table, open_cache, row_key

pytestmark = pytest.mark.timeout(600)

TARGET_REFRESH_RATIO = 1.5
TARGET_SEARCH_MS = 50.0
TARGET_OPEN_MS = 5.0
MANY = 100_000  # models that the targets of refresh and search are meant for
OPENINGS = 20
_YOUNG_S = 2.1  # documents younger than that are read again

Alternate = Callable[..., tuple[float, float]]


@pytest.fixture
def api(indexed_root: Any, rounds: int) -> Iterator[PumasApi]:
    """The root, its index and ready answers in line with the disk."""
    if rounds > 1:
        sleep(_YOUNG_S)
    with PumasApi(indexed_root.path, config=Config()) as opened:
        opened.prepare_answers()
        opened.refresh_models().result(300)
        _wait_for_jobs(opened)
        yield opened


def _wait_for_jobs(api: PumasApi) -> None:
    give_up_at = monotonic() + 300
    while any(job.status in ("queued", "running") for job in api.list_jobs()):
        assert monotonic() < give_up_at
        sleep(0.01)


def _timed(work: Callable[[], object]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


def _scan(library: Path) -> int:
    """Entries that a walk by `scan_tree` finds."""
    return len(pumas_native.scan_tree(library))


def _walk_in_two_threads(library: Path) -> int:
    tops = [[library], *([Path(entry.path)] for entry in os.scandir(library) if entry.is_dir(follow_symlinks=False))]
    families = [entry.path for top in tops[1:] for entry in os.scandir(top[0]) if entry.is_dir(follow_symlinks=False)]
    above = sum(1 for top in tops for entry in os.scandir(top[0]) if entry.stat(follow_symlinks=False))
    counts = [0, 0]

    def walk(which: int) -> None:
        left = families[which::2]
        while left:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    counts[which] += 1
                    if stat.S_ISDIR(entry.stat(follow_symlinks=False).st_mode):
                        left.append(entry.path)

    threads = [threading.Thread(target=walk, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return above + sum(counts)


_WALKS = {"scan_tree": _scan, "scandir": _walk_in_two_threads}


@pytest.mark.parametrize("name", ["scan_tree", "scandir"])
def test_refresh_of_nothing(
    alternate: Alternate,
    judge: Callable[..., None],
    api: PumasApi,
    indexed_root: Any,
    name: str,
) -> None:
    walk = _WALKS[name]
    best, best_baseline = alternate(
        f"refresh-{name}",
        lambda: _timed(lambda: api.refresh_models().result(300)),
        lambda: _timed(lambda: walk(indexed_root.library)),
    )
    report = api.refresh_models().result(300)
    assert (report.model_count, report.added + report.changed + report.moved + report.removed) == (
        indexed_root.count,
        0,
    )
    # Each model is a folder of three files.
    assert walk(indexed_root.library) > 4 * indexed_root.count
    judge(f"refresh_ratio_to_{name}", best / best_baseline, TARGET_REFRESH_RATIO, at=MANY)


def test_search_after_a_change(
    alternate: Alternate, judge: Callable[..., None], api: PumasApi, indexed_root: Any
) -> None:
    """One document is changed, a refresh sees it; then the first search, as the server makes it, has to find it."""
    path = min(indexed_root.library.glob("llm/*/*/metadata.json"))
    model_id = str(path.parent.relative_to(indexed_root.library))
    text = path.read_text(encoding="utf-8")
    words: list[str] = []
    searches: list[float] = []

    def change() -> float:
        words.append(f"zebra{len(words)}quagga")
        path.write_text(text.replace('"official_name": "', f'"official_name": "{words[-1]} '), encoding="utf-8")
        begun = perf_counter()
        assert api.refresh_models().result(300).changed == 1
        return perf_counter() - begun

    def search() -> float:
        begun = perf_counter()
        page = api.ready_search(words[-1])
        hits = None if page is None else page.hits
        searches.append(perf_counter() - begun)
        assert hits is not None, "the ready answers were not in line with the index"
        assert words[-1].encode() in hits
        found = api.search_models_fts(words[-1])
        assert [hit.model.model_id for hit in found.hits] == [model_id]
        return searches[-1]

    try:
        alternate("search-after-change", search, change, names=("search", "refresh_of_one"))
    finally:
        path.write_text(text, encoding="utf-8")
        api.refresh_models().result(300)
    # The slowest: it has to be visible in time each time.
    judge("search_after_change_worst_ms", max(searches) * 1000, TARGET_SEARCH_MS, at=MANY)


def test_opening_the_cache(alternate: Alternate, judge: Callable[..., None], api: PumasApi, indexed_root: Any) -> None:
    """Opened, one value read, closed; compared with the same by LMDB alone, for scale."""
    api.close()  # a process has one environment for a cache: while it is open, opening costs nothing

    def open_ours() -> int:
        cache = open_cache(indexed_root.library, is_writable=True, fallback=None)
        value = cache.get(Table.RECORDS, row_key(1))
        cache.close()
        return len(value or b"")

    cache = open_cache(indexed_root.library, is_writable=True, fallback=None)
    info = cache.info()
    cache.close()
    assert info.path is not None
    folder = str(info.path)
    assert info.entries["records"] >= indexed_root.count

    def open_plainly() -> int:
        with lmdb.open(folder, max_dbs=16, map_size=info.map_size_bytes, readonly=True) as env:
            db = env.open_db(b"records", create=False, integerkey=True)
            with env.begin(db) as txn:
                return len(txn.get(row_key(1)) or b"") - 8  # without the checksum

    assert open_ours() == open_plainly() > 0
    best, _ = alternate(
        "open-cache",
        lambda: min(_timed(open_ours) for _ in range(OPENINGS)),
        lambda: min(_timed(open_plainly) for _ in range(OPENINGS)),
        names=("ours", "lmdb"),
    )
    judge("open_cache_ms", best * 1000, TARGET_OPEN_MS)
