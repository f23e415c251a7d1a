"""How long does a walk take that also says which links are broken?

Ours: `scan_tree(links=True)` on one thread and on two; every column is filled. Baseline: `find ROOT -xtype l` as a
child process, which prints the broken links and nothing else. Both find the tree in the caches of the kernel. Not
pinned to one core: two threads are a part of what is asked. The growth of memory is the peak of a child that does
nothing but the walk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pumas_native
import pytest

pytestmark = pytest.mark.timeout(600)

FOLDERS = {"small": 20, "full": 5_000}
FILES_PER_FOLDER = 96  # and four links: 100 entries
TARGET_RATIOS = {1: 1.0, 2: 1 / 1.5}
TARGET_GROWTH_MIB = 100

# Peak resident memory of this child's own image; ru_maxrss would begin with the peak of its parent.
_GROWTH = """
import sys, pumas_native
def peak_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
before = peak_kib()
tree = pumas_native.scan_tree(sys.argv[1], links=True)
print(peak_kib() - before, len(tree))
"""


@pytest.fixture(scope="module")
def tree(size: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("tree")
    for number in range(FOLDERS[size]):
        _write_folder(root, root / f"group-{number // 100:02d}" / f"folder-{number:04d}")
    yield root
    shutil.rmtree(root)


def _write_folder(root: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for number in range(FILES_PER_FOLDER):
        os.close(os.open(f"{folder}/model-{number:05d}-of-00096.safetensors", os.O_CREAT | os.O_WRONLY))
    (folder / "near").symlink_to("model-00000-of-00096.safetensors")
    (folder / "far").symlink_to(root / "group-00" / "folder-0000")
    (folder / "outside").symlink_to("/dev/null")
    (folder / "broken").symlink_to("vanished.safetensors")


def _find(root: Path) -> set[str]:
    output = subprocess.run(["find", root, "-xtype", "l", "-print0"], capture_output=True, check=True).stdout
    return {os.fsdecode(path) for path in output.split(b"\0") if path}


def _broken(root: Path, found: pumas_native.Tree) -> set[str]:
    return {f"{root}/{found.path(index)}" for index, state in enumerate(found.link_states) if state == ord("b")}


def _walk_in_child(root: Path) -> str:
    return subprocess.run([sys.executable, "-c", _GROWTH, root], capture_output=True, text=True, check=True).stdout


def _timed(work: Callable[[], object]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


@pytest.mark.parametrize("workers", [1, 2])
def test_scan(
    alternate: Callable[..., tuple[float, float]],
    judge: Callable[[str, float, float], None],
    tree: Path,
    size: str,
    workers: int,
) -> None:
    best, best_baseline = alternate(
        f"scan-{workers}",
        lambda: _timed(lambda: pumas_native.scan_tree(tree, links=True, workers=workers)),
        lambda: _timed(lambda: _find(tree)),
    )
    found = pumas_native.scan_tree(tree, links=True, workers=workers)
    assert len(found) >= FOLDERS[size] * (FILES_PER_FOLDER + 5)
    broken = _broken(tree, found)
    assert len(broken) == FOLDERS[size]
    assert broken == _find(tree)
    judge(f"scan_ratio_to_find_workers_{workers}", best / best_baseline, TARGET_RATIOS[workers])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is told by Linux's /proc only")
def test_memory(benchmark: Any, judge: Callable[[str, float, float], None], tree: Path, size: str) -> None:
    output = benchmark.pedantic(_walk_in_child, args=(tree,), rounds=1)
    growth_kib, entries = map(int, output.split())
    assert entries >= FOLDERS[size] * (FILES_PER_FOLDER + 5)
    judge("scan_memory_growth_mib", growth_kib / 1024, TARGET_GROWTH_MIB)
