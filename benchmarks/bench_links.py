"""How long do the links of apps to models take: their health, their register, a preview, the links of one model?

Health: the models folder of one version with half a million links, of which each hundredth is broken, each hundredth
registered and gone, and each hundredth not registered. Ours finds all three kinds, with the register read; the baseline
is `find -L FOLDER -type l` as a child process, which prints the broken links and nothing else. Memory is the growth of
a child that does nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from pumas import PumasApi
from pumas.config import Config
from pumas.jobs import Job, Progress
from pumas.linked import PlannedLink
from pumas.links.apply import sync_links
from pumas.links.health import check_links, clean_links
from pumas.links.registry import Intent, LinkRegistry
from pumas.links.selection import mapped_model
from pumas.links.wanted import AppVersion
from pumas.store.paths import Layout, open_layout

pytestmark = pytest.mark.timeout(1200)

LINKS = {"small": 2_000, "full": 500_000}
REGISTERED = {"small": 500, "full": 10_000}
SYNCED = {"small": 1_000, "full": 100_000}
CLEANED = {"small": (200, 400), "full": (20_000, 40_000)}
IN_A_FOLDER = 100
MODELS = 1_000
VERSIONS = 5
TARGET_HEALTH_RATIO = 1 / 1.5
TARGET_HEALTH_MIB = 150
TARGET_REGISTER_RATIO = 2.5
TARGET_PREVIEW_S = 1.0
TARGET_SYNC_MS = 20.0
TARGET_LINEAR = 2.5  # twice the links

_APP = ("comfyui", "1.0")
_INSERT = (
    "INSERT INTO links(model_id, source_path, target_path, link_type, app_id, app_version, is_external, created_at) "
    "VALUES (?, ?, ?, 'symlink', 'comfyui', '1.0', 0, '2026-01-15T12:34:56Z')"
)
_GROWTH = """
import sys
from pathlib import Path
from pumas.links.health import check_links
from pumas.store.paths import Layout
def peak_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
before = peak_kib()
found = check_links(Layout(Path(sys.argv[1])), Path(sys.argv[2]))
print(peak_kib() - before, found.total_count)
"""


@dataclass(frozen=True)
class Linked:
    """A root with a version whose links are registered."""

    layout: Layout
    models: Path
    broken: set[str]


def _source(library: Path, number: int) -> str:
    return f"{library}/diffusion/f/M{number % MODELS:04d}/model.safetensors"


def _linked(folder: Path, count: int, *, broken_each: int = 100) -> Linked:
    layout, _ = open_layout(folder)
    models = layout.versions_folder("comfyui") / "v1.0" / "models"
    for number in range(MODELS):
        file = Path(_source(layout.library, number))
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x")
        (file.parent / "metadata.json").write_text('{"model_type": "diffusion"}')
    with LinkRegistry(layout.library).changes():
        pass  # makes the tables
    broken, rows = set(), []
    for number in range(count):
        kind = number % broken_each
        directory = models / f"folder-{number // IN_A_FOLDER:04d}"
        if number % IN_A_FOLDER == 0:
            directory.mkdir(parents=True)
        target, source = str(directory / f"model-{number:06d}.safetensors"), _source(layout.library, number)
        if kind == 1:
            source = source.replace("model.safetensors", "vanished.safetensors")
            broken.add(target)
        if kind != 2:  # registered, and gone from the disk
            Path(target).symlink_to(os.path.relpath(source, directory))
        if kind != 3:  # nobody registered it
            rows.append((f"diffusion/f/M{number % MODELS:04d}", source, target))
    with closing(sqlite3.connect(LinkRegistry(layout.library).path)) as db, db:
        db.executemany(_INSERT, rows)
    return Linked(layout, models, broken)


@pytest.fixture(scope="module")
def linked(size: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linked]:
    root = tmp_path_factory.mktemp("linked")
    yield _linked(root, LINKS[size])
    shutil.rmtree(root)


def _timed(work: Callable[[], object]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


def _find(folder: Path) -> set[str]:
    output = subprocess.run(["find", "-L", folder, "-type", "l", "-print0"], capture_output=True, check=True).stdout
    return {os.fsdecode(path) for path in output.split(b"\0") if path}


def test_health(
    alternate: Callable[..., tuple[float, float]], judge: Callable[..., None], linked: Linked, size: str
) -> None:
    found = check_links(linked.layout, linked.models)
    assert found.total_count == LINKS[size] - LINKS[size] // 100
    assert {one.target_path for one in found.broken if one.reason == "leads_nowhere"} == linked.broken
    assert _find(linked.models) == linked.broken
    assert sum(one.reason == "target_missing" for one in found.broken) == LINKS[size] // 100
    assert len(found.orphans) == LINKS[size] // 100
    best, best_baseline = alternate(
        "links-health",
        lambda: _timed(lambda: check_links(linked.layout, linked.models)),
        lambda: _timed(lambda: _find(linked.models)),
    )
    judge("links_health_ratio_to_find", best / best_baseline, TARGET_HEALTH_RATIO)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is told by Linux's /proc only")
def test_health_memory(benchmark: Any, judge: Callable[..., None], linked: Linked) -> None:
    command = [sys.executable, "-c", _GROWTH, str(linked.layout.root), str(linked.models)]
    output = benchmark.pedantic(
        lambda: subprocess.run(command, capture_output=True, text=True, check=True).stdout, rounds=1
    )
    growth_kib, count = map(int, output.split())
    assert count > 0
    judge("links_health_memory_growth_mib", growth_kib / 1024, TARGET_HEALTH_MIB)


def test_register(
    alternate: Callable[..., tuple[float, float]], judge: Callable[..., None], tmp_path: Path, size: str
) -> None:
    """Intents, rows and their end, against the rows alone."""
    layout, _ = open_layout(tmp_path / "root")
    registry = LinkRegistry(layout.library)
    links = [
        PlannedLink(
            model_id=f"diffusion/f/M{number % MODELS:04d}",
            model_name="",
            source_path=_source(layout.library, number),
            target_path=f"{tmp_path}/models/folder-{number % 100:02d}/model-{number:06d}.safetensors",
            link_type="symlink",
            link_text="../../x",
            is_external=False,
        )
        for number in range(REGISTERED[size])
    ]
    rows = [(one.model_id, one.source_path, one.target_path) for one in links]

    def ours() -> float:
        with registry.changes() as changes:
            changes.forget([row.link_id for row in changes.rows()])
        return _timed(register)

    def register() -> None:
        with registry.changes() as changes:
            intents = [Intent(one.target_path, one.source_path, one.link_type, one.link_text) for one in links]
            changes.begin(intents)
            changes.settle(intents, links, _APP)

    def baseline() -> float:
        with registry.changes() as changes:
            changes.forget([row.link_id for row in changes.rows()])
        return _timed(insert)

    def insert() -> None:
        with closing(sqlite3.connect(registry.path)) as db, db:
            db.executemany(_INSERT, rows)

    best, best_baseline = alternate("links-register", ours, baseline)
    assert len(registry.rows()) == REGISTERED[size]
    judge("links_register_ratio_to_executemany", best / best_baseline, TARGET_REGISTER_RATIO)


def test_preview(
    alternate: Callable[..., tuple[float, float]], judge: Callable[..., None], indexed_root: Any, models: int
) -> None:
    """Five versions that have no links yet; the other figure is a walk of the library by `os.walk`, as often."""
    layout = Layout(indexed_root.path)
    rules = [
        {"target_subdir": name, "patterns": ["*.safetensors", "*.gguf"], "filters": filters}
        for name, filters in (
            ("checkpoints", {"model_type": "diffusion", "subtype": "checkpoints"}),
            ("loras", {"model_type": "diffusion", "subtype": "loras"}),
            ("vae", {"model_type": "diffusion", "subtype": "vae"}),
            ("llm", {"model_type": "llm"}),
            ("audio", {"model_type": "audio"}),
        )
    ]
    document = layout.data / "config/model-library-translation/comfyui_*_default.json"
    document.write_text(json.dumps({"mappings": rules}))
    tags = [f"v1.{number}" for number in range(VERSIONS)]
    for tag in tags:
        (layout.versions_folder("comfyui") / tag).mkdir(parents=True, exist_ok=True)
    with PumasApi(indexed_root.path, config=Config()) as api:

        def preview() -> list[int]:
            return [len(api.preview_model_mapping(tag).result(60).to_create) for tag in tags]

        def walk() -> list[int]:
            return [sum(len(files) for _, _, files in os.walk(layout.library)) for _ in tags]

        assert preview() == [models] * VERSIONS
        best, _ = alternate(
            "links-preview", lambda: _timed(preview), lambda: _timed(walk), names=("preview", "os_walk")
        )
    judge("links_preview_s", best, TARGET_PREVIEW_S)


def test_sync_one_model(
    alternate: Callable[..., tuple[float, float]],
    judge: Callable[..., None],
    size: str,
    tmp_path: Path,
) -> None:
    """One model whose link is gone among many; the other figure is the same for a version with no other links."""

    def prepared(name: str, count: int) -> tuple[Layout, AppVersion]:
        linked = _linked(tmp_path / name, count)
        document = linked.layout.data / "config/model-library-translation/comfyui_*_default.json"
        document.write_text('{"mappings": [{"target_subdir": "synced", "patterns": ["*.safetensors"]}]}')
        app = AppVersion(
            app_id="comfyui",
            version="1.0",
            library=linked.layout.library,
            models=linked.models,
            rules=document.parent,
            link_name=str,
            overrides=lambda _: {},
        )
        return linked.layout, app

    def sync(layout: Layout, app: AppVersion) -> float:
        (app.models / "synced/model.safetensors").unlink(missing_ok=True)
        taken = _timed(lambda: made.append(sync_links(layout, app, [model], progress).created))
        assert made[-1] == 1
        return taken

    made: list[int] = []
    progress = Progress(Job("sync", lambda _: None))
    model = mapped_model("diffusion/f/M0000", {"model_type": "diffusion"})
    many, few = prepared("many", SYNCED[size]), prepared("few", IN_A_FOLDER)
    best, _ = alternate("links-sync", lambda: sync(*many), lambda: sync(*few), names=("among_many", "among_few"))
    judge("links_sync_ms", best * 1000, TARGET_SYNC_MS)


def test_clean_is_linear(
    alternate: Callable[..., tuple[float, float]], judge: Callable[..., None], size: str, tmp_path: Path
) -> None:
    """Each link is broken; twice as many against half."""
    half, whole = CLEANED[size]
    number = iter(range(1_000))

    def clean(count: int) -> float:
        linked = _linked(tmp_path / str(next(number)), count, broken_each=2)
        reports = []
        taken = _timed(lambda: reports.append(clean_links(linked.layout)))
        assert reports[0].removed == count // 2
        shutil.rmtree(linked.layout.root)
        return taken

    best, best_half = alternate(
        "links-clean", lambda: clean(whole), lambda: clean(half), names=("twice_as_many", "half")
    )
    judge("links_clean_growth", best / best_half, TARGET_LINEAR)
