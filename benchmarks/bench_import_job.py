"""What does a long import need of memory, how often does it tell how far it is, and how soon does it end?

Files of 4 KiB, a model each, by hard link, by copy, and by the move of a server; memory is the peak of the child that
imports, mapped files included, as Linux tells it. Progress is what a reader of `Job.progress` gets, the mean time and
the longest between two words; the stop is the longest of several, asked for at random instants.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import pairwise
from pathlib import Path
from random import Random
from time import monotonic, perf_counter, sleep
from typing import Any

import msgspec
import pytest

from pumas import PumasApi
from pumas.config import Config
from pumas.errors import Cancelled
from pumas.models import ImportMode, ImportRequest

pytestmark = pytest.mark.timeout(1800)

FILES = {"small": 50, "full": 10_000}
FILE_BYTES = 4096
LARGE_BYTES = {"small": 1 << 20, "full": 1 << 30}
STOPS = {"small": 2, "full": 10}
TARGET_MIB = 200
TARGET_PERIOD_MS = 200
TARGET_STOP_MS = 1000

Serve = Callable[[Sequence[str]], AbstractContextManager[Any]]
Judge = Callable[[str, float, float], None]
Inform = Callable[[str, float], None]
_needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux's /proc tells the peak")

_IMPORT = """
import sys
from pathlib import Path
from pumas import PumasApi
from pumas.models import ImportRequest
with PumasApi(Path(sys.argv[1])) as api:
    requests = [ImportRequest(path=str(path), family="small") for path in Path(sys.argv[2]).iterdir()]
    report = api.import_batch(requests, mode="hardlink").result()
    with open("/proc/self/status") as status:
        print(report.imported, next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")))
"""


@pytest.fixture
def source(tmp_path: Path, size: str) -> Iterator[Path]:
    folder = tmp_path / "in"
    folder.mkdir()
    random = Random(1)
    for number in range(FILES[size]):
        (folder / f"model-{number}.gguf").write_bytes(b"GGUF" + random.randbytes(FILE_BYTES - 4))
    yield folder
    shutil.rmtree(tmp_path)


def _requests(source: Path) -> list[ImportRequest]:
    return [ImportRequest(path=str(path), family="small") for path in source.iterdir()]


@_needs_proc
def test_memory_of_the_api(
    benchmark: Any, judge: Judge, start: Callable[..., subprocess.Popen[str]], source: Path, size: str
) -> None:
    def run() -> str:
        return start(["-c", _IMPORT, str(source.parent / "root"), str(source)]).communicate()[0]

    imported, peak_kib = map(int, benchmark.pedantic(run, rounds=1).split())
    assert imported == FILES[size]
    judge("import_peak_mib", peak_kib / 1024, TARGET_MIB)


@_needs_proc
def test_memory_of_a_server(benchmark: Any, judge: Judge, serve: Serve, source: Path, size: str) -> None:
    root = source.parent / "root"
    specs = [{"path": str(path), "family": "small"} for path in source.iterdir()]
    with serve(["-m", "pumas.rpc", "--port", "0", "--launcher-root", str(root)]) as server:

        def ask(method: str, **params: object) -> Any:
            return msgspec.json.decode(server.send(server.request(method, params)))["result"]

        answer = benchmark.pedantic(lambda: ask("import_batch", import_specs=specs), rounds=1)
        while "job_id" in answer and ask("get_job", job_id=answer["job_id"])["job"]["status"] == "running":
            sleep(0.1)
        assert len(ask("get_models")["models"]) == FILES[size]
        status = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii").splitlines()
    peak_kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    judge("import_rpc_peak_mib", peak_kib / 1024, TARGET_MIB)


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
def test_progress(benchmark: Any, judge: Judge, inform: Inform, source: Path, mode: ImportMode) -> None:
    def run() -> list[float]:
        with PumasApi(source.parent / "root", config=Config()) as api:
            job = api.import_batch(_requests(source), mode=mode)
            told = [perf_counter() for _ in job.progress()]
            assert job.result().failed == 0
        return told

    told = benchmark.pedantic(run, rounds=1)
    judge(f"import_{mode}_progress_ms", 1000 * (told[-1] - told[0]) / len(told), TARGET_PERIOD_MS)
    inform(f"import_{mode}_longest_silence_ms", 1000 * max(after - before for before, after in pairwise(told)))


@pytest.mark.parametrize("what", ["many", "large"])
def test_stop(benchmark: Any, judge: Judge, source: Path, size: str, what: str) -> None:
    if what == "large":
        shutil.rmtree(source)
        source.mkdir()
        with (source / "model.gguf").open("wb") as file:
            random = Random(1)
            for _ in range(LARGE_BYTES[size] >> 20):
                file.write(random.randbytes(1 << 20))
    requests = _requests(source)
    random = Random(2)

    def stop() -> float:
        root = source.parent / "root"
        with PumasApi(root, config=Config()) as api:
            job = api.import_batch(requests)
            sleep(random.random())
            begun = monotonic()
            job.cancel()
            with suppress(Cancelled):
                job.result()
            taken = monotonic() - begun
            assert len(list(source.iterdir())) == len(requests)
        shutil.rmtree(root)
        return taken

    taken = benchmark.pedantic(lambda: [stop() for _ in range(STOPS[size])], rounds=1)
    judge(f"import_stop_{what}_ms", 1000 * max(taken), TARGET_STOP_MS)
