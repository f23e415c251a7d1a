"""Documents under kill -9 and under many writers: real processes, killed for real."""

from __future__ import annotations

import json
import os
import random
import selectors
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from pumas.errors import Damaged
from pumas.store import quarantine
from pumas.store.documents import read_document
from pumas.store.metadata import METADATA, OVERRIDES, VERSIONS, Document, load, locate, update
from pumas.store.paths import Layout

_ROUNDS = int(os.environ.get("PUMAS_FAULT_ROUNDS") or 15)

_HEAD = """
import os, signal, sys
from pathlib import Path
from pumas.store.metadata import METADATA, OVERRIDES, VERSIONS, locate, update
from pumas.store.paths import Layout

layout = Layout(Path(sys.argv[1]))
documents = [locate(layout, VERSIONS, "comfyui"), *(locate(layout, kind, "llm/a/A") for kind in (METADATA, OVERRIDES))]

def count(value):
    n = value.get("n", 0) + 1
    return {**value, "n": n, "text": str(n) * (n * 997 % 20_000)}
"""

_ENDLESS = (
    _HEAD
    + """
while True:
    for number, document in enumerate(documents):
        print(number, update(document, count)["n"], flush=True)
"""
)

# The number-th step that Python reports before it does it (opening, renaming, removing, ...) is the last.
_KILLED_AT_A_STEP = (
    _HEAD
    + """
update(documents[1], count)  # imports are done
steps, last = 0, int(sys.argv[2])
counted = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.chmod", "os.utime", "os.listdir", "os.scandir"}

def step(event, arguments):
    global steps
    if event in counted and any(sys.argv[1] in str(argument) for argument in arguments):
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(step)
update(documents[0], count)
last = 0
print("done", flush=True)
"""
)

_MANY = (
    _HEAD
    + """
for _ in range(1000):
    update(documents[0], lambda value: {**value, "n": value.get("n", 0) + 1})
"""
)


def _start(code: str, root: Path, *arguments: str) -> Any:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(root), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _documents(root: Path) -> list[Document[Any]]:
    layout = Layout(root)
    return [locate(layout, VERSIONS, "comfyui"), *(locate(layout, kind, "llm/a/A") for kind in (METADATA, OVERRIDES))]


def _count(value):
    return {**value, "n": value.get("n", 0) + 1, "text": ""}


def _acknowledged(process: Any, run_s: float) -> dict[int, int]:
    """Read what the process says for a while after its first word, kill it, and read the rest."""
    pipe = process.stdout.fileno()  # past Python's buffer: what lies in it would escape the selector
    said = os.read(pipe, 65536)
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        deadline = perf_counter() + run_s
        while (left := deadline - perf_counter()) > 0:
            if selector.select(left):
                said += os.read(pipe, 65536)
    process.kill()
    while more := os.read(pipe, 65536):
        said += more
    assert process.communicate()[1] == ""
    whole = said[: said.rfind(b"\n") + 1].decode()
    return {int(number): int(n) for number, n in (line.split() for line in whole.splitlines())}


def test_killed_while_it_writes_nothing_acknowledged_is_lost(tmp_path):
    documents = _documents(tmp_path)
    chance = random.Random(5)
    before = dict.fromkeys(range(3), 0)
    for _ in range(_ROUNDS):
        said = {**before, **_acknowledged(_start(_ENDLESS, tmp_path), chance.uniform(0, 0.06))}
        begun = perf_counter()
        for number, document in enumerate(documents):
            value: Any = read_document(document.path) or {"n": 0}
            assert value["n"] in (said[number], said[number] + 1)
            assert value.get("text", "") in ("", str(value["n"]) * (value["n"] * 997 % 20_000))
            backup: Any = read_document(document.path.with_name(f"{document.path.name}.bak"))
            assert backup is None or value["n"] - 1 <= backup["n"] <= value["n"]
        assert len(list(tmp_path.rglob("*.tmp"))) <= 1
        for number, document in enumerate(documents):
            before[number] = update(document, _count)["n"]
        assert perf_counter() - begun < 1
        assert list(tmp_path.rglob("*.tmp")) == []


@pytest.mark.parametrize("state", ["none", "good", "damaged"])
def test_killed_at_each_step_of_a_write(tmp_path, state):
    document = _documents(tmp_path)[0]
    old = 0
    if state != "none":
        update(document, _count)
        old = update(document, _count)["n"]
    text = document.path.read_bytes() if old else b""
    for step in range(1, 100):
        expected = {old, old + 1}
        if state == "damaged":
            shutil.copy(document.path, f"{document.path}.bak")
            document.path.write_bytes(text[:-1])
        with _start(_KILLED_AT_A_STEP, tmp_path, str(step)) as process:
            said, errors = process.communicate()
        assert errors == "" or (state == "damaged" and "its backup is used" in errors)
        assert process.returncode == (0 if said else -signal.SIGKILL)
        n = load(document).get("n", 0)
        assert n in expected
        if said:
            assert n == old + 1
            break
        if state == "damaged":
            # Beside it or in its place: what was damaged is still there.
            beside = [one.read_bytes() for one in document.path.parent.glob("versions.json*")]
            assert text[:-1] in beside
            assert len(list(document.path.parent.glob("*.damaged-*"))) <= 1
        old = update(document, _count)["n"]
        assert old == n + 1
        assert list(tmp_path.rglob("versions.json*.tmp")) == []
        if state == "damaged":
            for one in document.path.parent.glob("*.damaged-*"):
                one.unlink()
            text = document.path.read_bytes()
        elif state == "none":
            old = 0
            for one in document.path.parent.iterdir():
                one.unlink()
    assert 8 < step < 99


@pytest.mark.slow
def test_two_processes_lose_no_update(tmp_path):
    processes = [_start(_MANY, tmp_path) for _ in range(2)]
    for process in processes:
        assert process.communicate() == ("", "")
    assert load(_documents(tmp_path)[0])["n"] == 2000


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = _HEAD + "update(documents[0], lambda value: os.kill(os.getpid(), signal.SIGKILL))"
    for _ in range(3):
        with _start(code, tmp_path) as process:
            process.communicate()
        begun = perf_counter()
        update(_documents(tmp_path)[0], _count)
        assert perf_counter() - begun < 1


def test_every_byte_lost_is_noticed(tmp_path):
    document = _documents(tmp_path)[0]
    update(document, lambda value: {**value, "n": 1, "text": "é" * 20})
    text = document.path.read_bytes()
    for length in range(len(text)):
        document.path.write_bytes(text[:length])
        with pytest.raises(Damaged):
            read_document(document.path)
    document.path.write_bytes(text)
    assert read_document(document.path) == json.loads(text)


def test_a_clock_that_is_set_back_costs_nothing(tmp_path, monkeypatch):
    """The names of what is set aside hold the time: one moment may come twice, later ones before earlier ones."""
    document = _documents(tmp_path)[1]
    moments = ["20260115T120000000000Z", "20260115T110000000000Z", "20260115T120000000000Z", "19700101T000000000000Z"]
    said = iter([*moments, "20260115T120000000001Z", *moments, "20260115T120000000002Z"])
    monkeypatch.setattr(quarantine, "dated", lambda: next(said))
    damaged = [f"damage {turn}".encode() for turn in range(5)]
    update(document, _count)
    for turn, content in enumerate(damaged):
        update(document, _count)
        os.utime(document.path, (0, 4e9 - turn * 1e9))
        document.path.write_bytes(content)
        assert update(document, _count)["n"] == turn + 2
        assert load(document)["n"] == turn + 2
    kept = [beside.read_bytes() for beside in document.path.parent.iterdir() if ".damaged-" in beside.name]
    assert sorted(kept) == damaged
