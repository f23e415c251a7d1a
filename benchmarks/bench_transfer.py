"""How fast do files arrive, verified by SHA-256 and BLAKE3, from a server with ranges, and what do faults cost?

    transfer-throttled-one     256 MiB, 32 MiB/s a connection    `curl` over one connection, then its digests
    transfer-throttled-aria2   the same                          `aria2c -x16 -s16`, then its digests
    transfer-loopback          1 GiB, as fast as it comes        `curl`, then its digests
    transfer-cut-once, -cut-four, -busy                          256 MiB throttled as above, without a fault

Digests of the contenders are `openssl dgst -sha256` and `b3sum`, at once. Ours is `pumas_native.transfer` in a child,
as theirs are, its start left out of the time and in the figure of the processor. The target is a folder in memory, so
that syncing weighs on nobody. The server is a child of its own and sends out of the file by `sendfile`.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import pytest

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in ("curl", "openssl", "b3sum")),
        reason="there is no curl, openssl or b3sum to compare with",
    ),
]

Alternate = Callable[..., tuple[float, float]]
Judge = Callable[[str, float, float], None]

MIB = 1 << 20
THROTTLED_BYTES = {"small": 4 * MIB, "full": 256 * MIB}
LOOPBACK_BYTES = {"small": 4 * MIB, "full": 1024 * MIB}
RATE_BYTES_S = 32 * MIB
FAULTS = {
    "cut-once": ["cut {half_of_one} 0"],
    "cut-four": ["cut 1000000 0", "cut 2000000 {quarter}", "cut 3000000 {half}", "cut 1500000 {three_quarters}"],
    "busy": ["busy 0 0"],
}

_SERVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fakes.files import FileServer, cut, refuse
with FileServer(Path(sys.argv[2]), rate_bytes_s=int(sys.argv[3]) or None) as server:
    for text in sys.argv[4:]:
        kind, after, first = text.split()
        server.fail(cut(int(after)) if kind == "cut" else refuse(503, Retry_After="0"), first=int(first))
    print(server.url, flush=True)
    sys.stdin.read()
"""

_OURS = """
import json, sys, time
from pumas_native import TransferFile, TransferOptions, transfer
options = TransferOptions(connections=16, connections_per_host=16)
begun = time.perf_counter()
result = transfer([TransferFile(sys.argv[1], sys.argv[2])], options=options)[0]
taken = time.perf_counter() - begun
assert result.error is None, result.error
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
facts = {"taken": taken, "peak_kib": peak, "fetched": result.fetched_bytes}
print(json.dumps({**facts, "digests": [result.sha256, result.blake3]}))
"""


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    """A folder in memory, where there is one."""
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def throttled(memory: Path, size: str) -> Path:
    return _write(memory / "throttled", THROTTLED_BYTES[size])


@pytest.fixture(scope="module")
def large(memory: Path, size: str) -> Path:
    return _write(memory / "large", LOOPBACK_BYTES[size])


def _write(path: Path, size_bytes: int) -> Path:
    block = Random(10).randbytes(MIB - 8)
    with path.open("wb") as file:
        for number in range(size_bytes // MIB):
            file.write(number.to_bytes(8, "little") + block)
    return path


@contextmanager
def _served(path: Path, rate_bytes_s: int, faults: Sequence[str] = ()) -> Iterator[str]:
    tests = Path(__file__).parents[1] / "tests"
    command = [sys.executable, "-c", _SERVER, str(tests), str(path), str(rate_bytes_s), *faults]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        yield server.stdout.readline().strip()
        server.stdin.close()


def _ours(url: str, folder: Path) -> dict[str, Any]:
    target = folder / "ours"
    target.unlink(missing_ok=True)
    done = subprocess.run([sys.executable, "-c", _OURS, url, str(target)], capture_output=True, text=True, check=True)
    facts: dict[str, Any] = json.loads(done.stdout)
    target.unlink()
    return facts


def _theirs(command: Sequence[str], target: Path) -> tuple[float, list[str]]:
    target.unlink(missing_ok=True)
    begun = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    digests = _digests(target)
    taken = perf_counter() - begun
    target.unlink()
    return taken, digests


def _digests(path: Path) -> list[str]:
    commands = (["openssl", "dgst", "-sha256", "-r", str(path)], ["b3sum", str(path)])
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    return [child.communicate()[0].split(" ")[0] for child in children]


def _curl(url: str, folder: Path) -> tuple[float, list[str]]:
    return _theirs(["curl", "--silent", "--fail", "--output", str(folder / "theirs"), url], folder / "theirs")


def _aria2(url: str, folder: Path) -> tuple[float, list[str]]:
    command = ["aria2c", "-x16", "-s16", "-k1M", "--file-allocation=none", "--quiet", "-d", str(folder), "-o", "theirs"]
    return _theirs([*command, url], folder / "theirs")


def _cpu_of_children(work: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.parametrize("name", ["one", "aria2"])
def test_throttled(alternate: Alternate, judge: Judge, throttled: Path, memory: Path, name: str) -> None:
    if name == "aria2" and shutil.which("aria2c") is None:
        pytest.skip("there is no aria2c to compare with")
    contender, target = {"one": (_curl, 0.1), "aria2": (_aria2, 1 / 1.25)}[name]
    with _served(throttled, RATE_BYTES_S) as url:
        assert _ours(url, memory)["digests"] == contender(url, memory)[1] == _digests(throttled)
        best, baseline = alternate(
            f"transfer-throttled-{name}",
            lambda: float(_ours(url, memory)["taken"]),
            lambda: contender(url, memory)[0],
        )
    judge("seconds", best, 0.70)
    judge("ratio", best / baseline, target)


def test_loopback(alternate: Alternate, judge: Judge, large: Path, memory: Path, rounds: int) -> None:
    with _served(large, 0) as url:
        assert _ours(url, memory)["digests"] == _curl(url, memory)[1]
        best, baseline = alternate(
            "transfer-loopback", lambda: float(_ours(url, memory)["taken"]), lambda: _curl(url, memory)[0]
        )
        cpu = min(_cpu_of_children(lambda: _ours(url, memory)) for _ in range(rounds))
        their_cpu = min(_cpu_of_children(lambda: _curl(url, memory)) for _ in range(rounds))
        peak_mib = _ours(url, memory)["peak_kib"] / 1024
    judge("seconds", best, 1.0)
    judge("ratio", best / baseline, 1.0 / 1.8)
    judge("processor_ratio", cpu / their_cpu, 1.0)
    judge("resident_mib", peak_mib, 100)


@pytest.mark.parametrize("name", FAULTS)
def test_faults(alternate: Alternate, judge: Judge, throttled: Path, memory: Path, name: str) -> None:
    total = throttled.stat().st_size
    places = {"half": total // 2, "quarter": total // 4, "three_quarters": total // 4 * 3, "half_of_one": 4 * MIB}
    faults = [text.format(**places) for text in FAULTS[name]]
    fetched: list[int] = []
    expected = _digests(throttled)

    def once(planned: Sequence[str]) -> float:
        # Planned faults happen once, so each round has a server of its own.
        with _served(throttled, RATE_BYTES_S, planned) as url:
            facts = _ours(url, memory)
        assert facts["digests"] == expected
        fetched.append(facts["fetched"])
        return float(facts["taken"])

    best, clean = alternate(f"transfer-{name}", lambda: once(faults), lambda: once([]))
    judge("ratio", best / clean, 1.3)
    judge("bytes_ratio", max(fetched) / total, 1.05)
