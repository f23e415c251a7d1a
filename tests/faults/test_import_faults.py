"""Imports under kill -9: whenever it comes, each source is whole in one known place, and the next start knows it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support import import_driver

_ROUNDS = int(os.environ.get("PUMAS_FAULT_ROUNDS") or 15)
_OTHER_DRIVE = Path("/dev/shm")
_WAYS = ("move", "copy", "hardlink", "move from another drive")
_FIRST_STEP, _LAST_STEP = 30, 110  # of those that Python reports: from the opening of the root to its closing


def _killed(folder: Path, way: str, how: str, rounds: Sequence[int]) -> list[dict[str, Any]]:
    mode, _, is_far = way.partition(" ")
    if is_far and (not _OTHER_DRIVE.is_dir() or _OTHER_DRIVE.stat().st_dev == folder.stat().st_dev):
        pytest.skip("there is no second drive: needs permission to mount")
    other = str(_OTHER_DRIVE / f"pumas-{os.getpid()}") if is_far else ""
    driven = subprocess.run(
        [sys.executable, import_driver.__file__, str(folder), other, mode, how, *map(str, rounds)],
        env={**os.environ, "PYTHONPATH": str(Path(import_driver.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    if other:
        Path(other).rmdir()
    assert driven.returncode == 0, driven.stderr
    return [json.loads(line) for line in driven.stdout.splitlines()]


def _check(told: dict[str, Any], way: str) -> None:
    files = {"one.gguf", "a-00001-of-00002.gguf", "a-00002-of-00002.gguf", "c.bin"}
    assert told["ended"] in (0, -9), told
    assert told["lost"] == [], told
    assert told["reopened"] == 0, told
    assert told["lost_then"] == [], told
    assert told["left"] == [], told
    assert told["examined"] == [], told
    assert told["findings"] == [], told
    at_place, imported = set(told["at_place"]), set(told["imported"])
    if way in ("copy", "hardlink"):
        assert at_place == files, told
    else:
        assert at_place | imported == files, told
        assert not at_place & imported, told
    # A model is in the library with all of its files, or with none.
    models = {"llm/llama/one": {"one.gguf"}, "llm/llama/set": files - {"one.gguf"}}
    assert imported == set().union(*(models[model_id] for model_id in told["models"])), told


@pytest.mark.parametrize("way", _WAYS)
def test_a_process_killed_at_a_step_loses_no_file(way, tmp_path):
    steps = random.sample(range(_FIRST_STEP, _LAST_STEP), max(4, _ROUNDS // 4))
    for told in _killed(tmp_path, way, "step", steps):
        _check(told, way)


@pytest.mark.parametrize("way", _WAYS)
def test_a_process_killed_at_some_moment_loses_no_file(way, tmp_path):
    moments = [random.randrange(20, 200) for _ in range(max(4, _ROUNDS // 4))]
    for told in _killed(tmp_path, way, "time", moments):
        _check(told, way)


@pytest.mark.parametrize("way", ["move", "move from another drive"])
def test_a_process_killed_while_it_settles_is_settled_by_the_next(way, tmp_path):
    steps = random.sample(range(_FIRST_STEP + 15, _LAST_STEP - 15), max(3, _ROUNDS // 8))
    for told in _killed(tmp_path, way, "twice", steps):
        _check(told, way)
