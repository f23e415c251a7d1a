"""Data, children and clocks of all benchmarks.

The data is the same in every run: `--size full` makes 10,000 models, `small` 200, `--models N` any other number. A
benchmark hands two measurements to `alternate`, which runs them in turn, five times each, with the garbage collector
frozen, and keeps the best of each: what slows the machine down for a while then slows down both. Verdicts go to
`extra_info` and are printed at the end; none of them makes a test fail.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter
from typing import Protocol

import pumas_native
import pytest

from pumas import PumasApi
from pumas.config import Config

ROUNDS = 5
SIZES = {"small": 200, "full": 10_000}

Measure = Callable[[], float]  # does the work once; seconds
Start = Callable[[Sequence[str]], "subprocess.Popen[str]"]
Serve = Callable[[Sequence[str]], AbstractContextManager["Connection"]]

_LINES = pytest.StashKey[list[str]]()


class _Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture, which has no types."""

    group: str | None
    extra_info: dict[str, object]

    @property
    def enabled(self) -> bool: ...

    def pedantic(self, target: Callable[[], None], *, setup: Callable[[], None], rounds: int) -> object: ...


@dataclass(frozen=True)
class Root:
    """A launcher root with `count` models."""

    path: Path
    count: int

    @property
    def library(self) -> Path:
        return self.path / "shared-resources" / "models"


class Connection:
    """One kept connection to a child; understands what our servers send, nothing more."""

    def __init__(self, port: int, pid: int) -> None:
        self.pid = pid
        self._port = port
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(1 << 20)
        self._body = self._total = self._filled = 0

    def another(self) -> Connection:
        """A second connection to the same child."""
        return Connection(self._port, self.pid)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def request(self, method: str, params: dict[str, object] | None = None) -> bytes:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}).encode()
        head = (
            f"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def send(self, request: bytes) -> bytes:
        self._exchange(request)
        return bytes(self._buffer[self._body : self._total])

    def ask(self, request: bytes) -> None:
        self._body = self._total = self._filled = 0
        self._socket.sendall(request)

    def take(self) -> bool:
        """Receive what came next of the answer; whether it is whole now."""
        if self._filled == len(self._buffer):
            self._buffer += bytes(len(self._buffer))
        # No bytes are made of it: that would be the client's time in a figure of the server's.
        got = self._socket.recv_into(memoryview(self._buffer)[self._filled :])
        assert got, "the server closed the connection"
        self._filled += got
        if not self._total and (end := self._buffer.find(b"\r\n\r\n", 0, self._filled)) >= 0:
            head = bytes(self._buffer[:end]).lower()
            assert head.startswith(b"http/1.1 200 "), head
            self._body = end + 4
            self._total = self._body + int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return 0 < self._total <= self._filled

    def _exchange(self, request: bytes) -> None:
        self.ask(request)
        while not self.take():
            pass

    def times(self, request: bytes, calls: int) -> list[float]:
        taken = []
        for _ in range(calls):
            begun = perf_counter()
            self._exchange(request)
            taken.append(perf_counter() - begun)
        return taken

    def p50(self, request: bytes, calls: int) -> float:
        return median(self.times(request, calls))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--size", choices=tuple(SIZES), default="small", help="models in the benchmarks' library")
    parser.addoption("--models", type=int, help="models in that library, in place of the number of the size")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LINES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash[_LINES]
    if lines:
        terminalreporter.section("verdicts")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def size(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--size"))


@pytest.fixture(scope="session")
def models(request: pytest.FixtureRequest, size: str) -> int:
    """Models in the library."""
    return int(request.config.getoption("--models") or SIZES[size])


@pytest.fixture(scope="session")
def make_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Root]]:
    """Make the root with that many models, once a run."""
    made: dict[int, Root] = {}

    def make(count: int) -> Root:
        if count not in made:
            made[count] = Root(tmp_path_factory.mktemp("root"), count)
            _write_library(made[count].library, count)
        return made[count]

    yield make
    for root in made.values():
        shutil.rmtree(root.path)  # four entries a model, that pytest would keep for three runs


@pytest.fixture(scope="session")
def root(make_root: Callable[[int], Root], models: int) -> Root:
    """A root whose models need not be indexed."""
    return make_root(models)


@pytest.fixture(scope="session")
def make_indexed_root(make_root: Callable[[int], Root]) -> Callable[[int], Root]:
    """Make the root with that many models, its models indexed."""

    def make(count: int) -> Root:
        root = make_root(count)
        with PumasApi(root.path, config=Config()) as api:
            assert api.refresh_models().result(60).model_count == root.count
        return root

    return make


@pytest.fixture(scope="session")
def indexed_root(make_indexed_root: Callable[[int], Root], models: int) -> Root:
    """The same root, its models indexed."""
    return make_indexed_root(models)


@pytest.fixture
def alternate(
    benchmark: _Benchmark, request: pytest.FixtureRequest, size: str, models: int, rounds: int
) -> Callable[..., tuple[float, float]]:
    """Measure ours and the baseline in turn; gives the best of each, in seconds.

    Called as `alternate(path, ours, baseline)`. `names` says what they are where the second is not a baseline in the
    strict sense; no ratio is made then. The row that pytest-benchmark prints is the whole round of ours, preparation
    included; the figures are those that the two functions return.
    """
    if benchmark.enabled and pumas_native.build_profile != "release":
        pytest.fail(f"pumas_native is a {pumas_native.build_profile} build: its figures mean nothing", pytrace=False)

    def run(
        path: str, ours: Measure, baseline: Measure, *, names: tuple[str, str] = ("ours", "baseline")
    ) -> tuple[float, float]:
        ours_s: list[float] = []
        baseline_s: list[float] = []
        benchmark.group = f"{path}-{size}"
        with _collector_frozen():
            # The set-up of each round is the baseline's turn.
            benchmark.pedantic(
                lambda: ours_s.append(ours()), setup=lambda: baseline_s.append(baseline()), rounds=rounds
            )
        best, best_baseline = min(ours_s), min(baseline_s)
        figures = {
            f"{names[0]}_best_ms": best * 1000,
            f"{names[0]}_median_ms": median(ours_s) * 1000,
            f"{names[1]}_best_ms": best_baseline * 1000,
            f"{names[1]}_median_ms": median(baseline_s) * 1000,
        }
        if names == ("ours", "baseline"):
            figures["ratio"] = best / best_baseline
        benchmark.extra_info.update({name: round(value, 4) for name, value in figures.items()})
        if benchmark.enabled:
            text = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
            request.config.stash[_LINES].append(f"{path} ({size}, {models} models): {text}")
        return best, best_baseline

    return run


@pytest.fixture
def judge(benchmark: _Benchmark, request: pytest.FixtureRequest, size: str, models: int) -> Callable[..., None]:
    """Keep a figure and, in full size, whether it is within its target; a miss is told, it does not fail.

    Called as `judge(name, value, target)`; a target that is meant for `at` models is judged with as many.
    """

    def keep(name: str, value: float, target: float, *, at: int | None = None) -> None:
        benchmark.extra_info[name] = round(value, 4)
        verdict = "not judged in this size"
        if size == "full" and at in (None, models):
            benchmark.extra_info.update({f"{name}_target": target, f"{name}_is_met": value <= target})
            verdict = "met" if value <= target else "MISSED"
        if benchmark.enabled:
            request.config.stash[_LINES].append(f"  {verdict}: {name} {value:.3f}, target {target:g} ({size})")

    return keep


@pytest.fixture
def rounds(benchmark: _Benchmark) -> int:
    """How often something is measured: once where nothing is timed."""
    return ROUNDS if benchmark.enabled else 1


@pytest.fixture
def inform(benchmark: _Benchmark, request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """Keep a figure that has no target."""

    def keep(name: str, value: float) -> None:
        benchmark.extra_info[name] = round(value, 4)
        if benchmark.enabled:
            request.config.stash[_LINES].append(f"  {name} {value:.3f}")

    return keep


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Begin a Python child with its output in a pipe, without the user's settings, on the last core alone."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("PUMAS_", "HF_", "XDG_"))}

    def begin(arguments: Sequence[str]) -> subprocess.Popen[str]:
        with _on_cores(slice(-1, None)):
            return subprocess.Popen(
                [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, env={**kept, "HOME": str(home)}
            )

    return begin


@pytest.fixture(scope="session")
def serve(start: Start) -> Serve:
    """Run a server that tells its port as `pumas-rpc` does, and connect to it."""

    @contextmanager
    def run(arguments: Sequence[str]) -> Iterator[Connection]:
        with start(arguments) as child:
            try:
                assert child.stdout is not None
                connection = Connection(int(child.stdout.readline().removeprefix("RPC_PORT=")), child.pid)
                try:
                    yield connection
                finally:
                    connection.close()
            finally:
                child.terminate()

    return run


@pytest.fixture
def first_core() -> Iterator[None]:
    """Keep this process off the core of the children, where there are two."""
    with _on_cores(slice(0, 1)):
        yield


@pytest.fixture(scope="session")
def set_cores() -> Callable[[int, slice], None]:
    """Choose the cores of a child that runs already."""

    def change(pid: int, chosen: slice) -> None:
        if hasattr(os, "sched_setaffinity"):
            for thread in Path("/proc", str(pid), "task").iterdir():
                os.sched_setaffinity(int(thread.name), sorted(_ALL_CORES)[chosen])

    return change


@contextmanager
def _on_cores(chosen: slice) -> Iterator[None]:
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(_ALL_CORES)[chosen])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


_ALL_CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


@contextmanager
def _collector_frozen() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


# Families, tags and the extension of the model file, by type.
_KINDS: dict[str, tuple[Sequence[str], Sequence[str], str]] = {
    "llm": (
        ("llama", "qwen", "mistral", "gemma", "phi", "deepseek", "falcon", "yi", "solar", "nomic-bert"),
        ("gguf", "text-generation", "conversational", "instruct", "en", "de", "code", "license:apache-2.0"),
        "gguf",
    ),
    "diffusion": (
        ("sdxl", "flux", "stable-diffusion", "sd3", "controlnet", "pony", "esrgan"),
        ("text-to-image", "diffusers", "safetensors", "lora", "anime", "photo", "stable-diffusion"),
        "safetensors",
    ),
    "audio": (
        ("whisper", "bark", "musicgen"),
        ("automatic-speech-recognition", "audio", "pytorch", "en", "multilingual"),
        "safetensors",
    ),
}
_STYLES = ("Instruct", "Chat", "Coder", "Base", "Anime", "Realistic", "Distill", "Merge", "Turbo", "Lightning")
_FORMS = ("Q4_K_M", "Q8_0", "Q5_K_S", "fp16", "bf16", "pruned")
_SENTENCE = (
    "a model for short answers long texts images sounds tuned on public data works well with small memory and quick "
    "replies merged from two others please read the card before use best at low guidance"
)


def _write_library(library: Path, count: int) -> None:
    """Make `count` model folders, each with a document of about 1.2 KB, overrides and a tiny model file."""
    random = Random(20261125)
    for number in range(count):
        model_type = random.choices(tuple(_KINDS), (5, 4, 1))[0]
        families, tags, extension = _KINDS[model_type]
        family = random.choice(families)
        title = f"{family.title()} {random.randint(1, 4)}.{random.randint(0, 9)} {random.randint(1, 70)}B"
        title += f" {random.choice(_STYLES)} {random.choice(_FORMS)} {number:05d}"
        name = title.replace(" ", "-").replace(".", "")
        folder = library / model_type / family / name
        folder.mkdir(parents=True)
        document = _document(
            random,
            title,
            folder=folder.relative_to(library),
            tags=random.sample(tags, 4),
            file=f"{name}.{extension}",
        )
        text = json.dumps(document, indent=2, ensure_ascii=False)
        (folder / "metadata.json").write_text(text, encoding="utf-8")
        (folder / "overrides.json").write_text("{}", encoding="utf-8")
        (folder / f"{name}.{extension}").write_bytes(b"GGUF" if extension == "gguf" else b"\x02\0\0\0\0\0\0\0{}")


def _document(random: Random, title: str, *, folder: Path, tags: list[str], file: str) -> dict[str, object]:
    """The fields of `storage.md` §4.2 in the order of the original's writer."""
    model_type, family, name = folder.parts
    size_bytes = random.randint(10**7, 4 * 10**10)
    day = f"2026-{random.randint(1, 11):02d}-{random.randint(1, 28):02d}T{random.randint(0, 23):02d}:34:56.789012"
    repo = f"org{random.randint(1, 500)}/{name}"
    is_foreign = random.random() < 0.05
    document: dict[str, object] = {
        "model_id": name,
        "family": family,
        "model_type": model_type,
        "subtype": random.choice(("checkpoints", "loras", "vae")) if model_type == "diffusion" else "",
        "official_name": f"{title} 日本語 für Überall" if is_foreign else title,
        "cleaned_name": name,
        "tags": tags,
        "base_model": repo.rpartition("-")[0],
        "preview_image": "preview.png" if model_type == "diffusion" else "",
        "release_date": f"{day[:19]}+00:00",
        "download_url": f"https://huggingface.co/{repo}",
        "model_card": {"license": "apache-2.0", "language": ["en"], "library_name": "transformers"},
        "inference_settings": {},
        "compatible_apps": [],
        "hashes": {"sha256": random.randbytes(32).hex(), "blake3": random.randbytes(32).hex()},
        "notes": "très bon à l'essai" if is_foreign else "",
        "added_date": f"{day}Z",
        "updated_date": f"{day}Z",
        "size_bytes": size_bytes,
        "files": [{"name": file, "original_name": file, "size": size_bytes}],
    }
    if random.random() < 0.5:
        document["description"] = " ".join(random.choices(_SENTENCE.split(), k=random.randint(5, 25)))
    if random.random() < 0.3:
        document.update(match_source="auto", match_method="filename_exact", match_confidence=0.95)
    return document
