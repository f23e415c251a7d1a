"""How fast are both digests of files, what does it cost to know them already, and to verify that nothing changed?

    hash-one-*     one file of 2 GiB        `openssl dgst -sha256`, one digest only; hashlib and blake3, a thread each
    hash-many-*    8 files of 256 MiB       the same `openssl`, one process a core; a pool of threads, both digests each
    hash-small     20,000 files of 4 KiB    one `openssl` over the whole list
    hash-known     the same, in the cache   `os.stat` of each, in a loop
    verify         100,000 unchanged files  `find -type f -printf '%s %T@'`, which stats each of them

Ours are `pumas_native.hash_file` and `hash_files` on all cores, `digest_files` with a cache that knows the files, and
`PumasApi.verify`. Files are in the caches of the kernel. Not pinned to one core: two are a part of what is asked.
Debian's `sha256sum` does not use the SHA instructions, so it is no baseline.

Limits of the processor, measured on a Zen 4: SHA-256 of one stream 1.81 GB/s (the instruction's latency), of two 3.62,
BLAKE3 6.5, reading out of the caches of the kernel 8. So one file can't be faster than 0.55 s/GB, and two threads in
Python are at 0.61: the target of 1.3 times theirs is out of reach. A core can't digest many files faster than 0.56 s/GB
without doing SHA-256 and BLAKE3 in one stream of instructions; in Python it is at 0.81, where 1.7 times would be 0.48.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from random import Random
from time import perf_counter

import blake3
import pumas_native
import pytest

from pumas import PumasApi
from pumas.config import Config
from pumas.library import inventory, known
from pumas.library.digests import digest_files
from pumas.models import VerifyReport
from pumas.store.cache import open_cache

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to compare with"),
]

Alternate = Callable[..., tuple[float, float]]
Judge = Callable[[str, float, float], None]
Digest = tuple[str, str]  # SHA-256 and BLAKE3

ONE_BYTES = {"small": 4 << 20, "full": 2 << 30}
MANY = 8
SMALL_FILES = {"small": 50, "full": 20_000}
SMALL_BYTES = 4096
VERIFIED_MODELS = {"small": 4, "full": 2_500}
FILES_PER_MODEL = 40
CHUNK = 1 << 20
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

TARGETS = {
    "hash-one-openssl": 1.10,
    "hash-one-threads": 1 / 1.3,
    "hash-many-openssl": 1.0,
    "hash-many-threads": 1 / 1.7,
    "hash-small": 1.3,
    "hash-known": 1.5,
    "verify": 1.5,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("hashed")
    yield made
    shutil.rmtree(made)  # 4 GiB, that pytest would keep for three runs


@pytest.fixture(scope="module")
def one(folder: Path, size: str) -> Path:
    return _write(folder / "one", ONE_BYTES[size], seed=0)


@pytest.fixture(scope="module")
def many(folder: Path, size: str) -> list[Path]:
    return [_write(folder / f"many-{number}", ONE_BYTES[size] // MANY, seed=number) for number in range(MANY)]


@pytest.fixture(scope="module")
def small(folder: Path, size: str) -> list[Path]:
    (folder / "small").mkdir()
    paths = [folder / "small" / f"{number:05d}" for number in range(SMALL_FILES[size])]
    random = Random(20261125)
    for path in paths:
        path.write_bytes(random.randbytes(SMALL_BYTES))
    return paths


def _write(path: Path, size_bytes: int, *, seed: int) -> Path:
    block = Random(seed).randbytes(CHUNK - 8)
    with path.open("wb") as file:
        for number in range(size_bytes // CHUNK):
            file.write(number.to_bytes(8, "little") + block)
        file.flush()
        os.fsync(file.fileno())  # or the writing of it goes on while others are measured
    return path


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the files be old enough to be kept, without waiting for it."""
    for module in (known, inventory):
        monkeypatch.setattr(module, "time_ns", lambda: time.time_ns() + 10_000_000_000)


def _timed(work: Callable[[], object]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


def _openssl(lists: Sequence[Sequence[Path]]) -> list[str]:
    """Digests by one `openssl` for each list, all at once, in the order of the lists."""
    folder = lists[0][0].parent
    children = [
        subprocess.Popen(
            ["openssl", "dgst", "-sha256", *(path.name for path in paths)],
            cwd=folder,  # so that 20,000 names fit into a command
            stdout=subprocess.PIPE,
            text=True,
        )
        for paths in lists
    ]
    lines = [line for child in children for line in child.communicate()[0].splitlines()]
    assert all(child.returncode == 0 for child in children)
    return [line.rpartition("= ")[2] for line in lines]


def _update(path: Path, *states: hashlib._Hash | blake3.blake3) -> list[str]:
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            for state in states:
                state.update(view[:count])
    return [state.hexdigest() for state in states]


def _by_two_threads(path: Path) -> Digest:
    with ThreadPoolExecutor(2) as pool:
        sha256, blake = pool.map(_update, (path, path), (hashlib.sha256(), blake3.blake3()))
    return sha256[0], blake[0]


def _by_pool(paths: Sequence[Path]) -> list[Digest]:
    with ThreadPoolExecutor(CORES) as pool:
        found = pool.map(lambda path: _update(path, hashlib.sha256(), blake3.blake3()), paths)
        return [(sha256, blake) for sha256, blake in found]


def _ours(paths: Sequence[Path]) -> list[Digest]:
    found = pumas_native.hash_files(paths)
    assert found.problems == []
    columns = [
        [column[at : at + 32].hex() for at in range(0, len(column), 32)] for column in (found.sha256, found.blake3)
    ]
    return list(zip(*columns, strict=True))


def _ours_of_one(path: Path) -> Digest:
    found = pumas_native.hash_file(path)
    return found["sha256"], found["blake3"]


def _judged(
    alternate: Alternate, judge: Judge, name: str, ours: Callable[[], object], theirs: Callable[[], object]
) -> None:
    best, best_baseline = alternate(name, lambda: _timed(ours), lambda: _timed(theirs))
    judge(f"{name.replace('-', '_')}_ratio", best / best_baseline, TARGETS[name])


def test_one_file(alternate: Alternate, judge: Judge, one: Path) -> None:
    assert [_ours_of_one(one)[0]] == _openssl([[one]])
    _judged(alternate, judge, "hash-one-openssl", lambda: pumas_native.hash_file(one), lambda: _openssl([[one]]))


def test_one_file_by_two_threads(alternate: Alternate, judge: Judge, one: Path) -> None:
    assert _ours_of_one(one) == _by_two_threads(one)
    _judged(alternate, judge, "hash-one-threads", lambda: pumas_native.hash_file(one), lambda: _by_two_threads(one))


def test_many_files(alternate: Alternate, judge: Judge, many: list[Path]) -> None:
    lists = [many[first::CORES] for first in range(min(CORES, MANY))]
    assert [sha256 for paths in lists for sha256, _ in _ours(paths)] == _openssl(lists)
    _judged(alternate, judge, "hash-many-openssl", lambda: pumas_native.hash_files(many), lambda: _openssl(lists))


def test_many_files_by_a_pool(alternate: Alternate, judge: Judge, many: list[Path]) -> None:
    assert _ours(many) == _by_pool(many)
    _judged(alternate, judge, "hash-many-threads", lambda: pumas_native.hash_files(many), lambda: _by_pool(many))


def test_small_files(alternate: Alternate, judge: Judge, small: list[Path]) -> None:
    assert [sha256 for sha256, _ in _ours(small)] == _openssl([small])
    _judged(alternate, judge, "hash-small", lambda: pumas_native.hash_files(small), lambda: _openssl([small]))


@pytest.mark.usefixtures("later")
def test_known_files(alternate: Alternate, judge: Judge, small: list[Path]) -> None:
    library = small[0].parent
    paths = [str(path) for path in small]
    with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
        read = digest_files(paths, library=library, cache=cache)
        assert [(one.sha256, one.blake3) for one in read] == _ours(small)
        assert digest_files(paths, library=library, cache=cache) == read
        assert cache.info().entries["digests"] == len(paths)
        _judged(
            alternate,
            judge,
            "hash-known",
            lambda: digest_files(paths, library=library, cache=cache),
            lambda: [os.stat(path) for path in paths],  # noqa: PTH116 - a Path takes twice as long
        )


@pytest.mark.usefixtures("later")
def test_verify(alternate: Alternate, judge: Judge, folder: Path, size: str) -> None:
    library = folder / "root" / "shared-resources" / "models"
    for number in range(VERIFIED_MODELS[size]):
        _write_model(library / "llm" / f"family-{number % 20:02d}" / f"Model-{number:05d}")
    with PumasApi(folder / "root", config=Config()) as api:
        if api.opening_refresh is not None:
            api.opening_refresh.result(120)
        count = VERIFIED_MODELS[size] * FILES_PER_MODEL
        assert _counts(api.verify().result(120)) == (0, count, 0)
        assert _counts(api.verify().result(120)) == (count, 0, 0)
        assert _walk(library).count(b" 512 ") == count
        _judged(alternate, judge, "verify", lambda: api.verify().result(120), lambda: _walk(library))


def _write_model(folder: Path) -> None:
    folder.mkdir(parents=True)
    files = []
    for number in range(FILES_PER_MODEL):
        name = f"model-{number:05d}-of-{FILES_PER_MODEL:05d}.safetensors"
        content = f"{folder.name} {number}".encode().ljust(512)
        (folder / name).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        files.append({"name": name, "original_name": name, "size": 512, "sha256": sha256})
    document = {"model_id": folder.name, "official_name": folder.name, "files": files}
    (folder / "metadata.json").write_text(json.dumps(document), encoding="utf-8")


def _counts(report: VerifyReport) -> tuple[int, int, int]:
    return report.unchanged_files, report.read_files, len(report.findings)


def _walk(library: Path) -> bytes:
    command = ["find", str(library), "-type", "f", "-printf", "%f %s %T@\\n"]
    return subprocess.run(command, capture_output=True, check=True).stdout
