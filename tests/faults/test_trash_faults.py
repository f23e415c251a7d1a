"""The trash under kill -9: at every instant a model lies whole in the library or whole in the trash."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from support.roots import write_model

from pumas import PumasApi
from pumas.config import Config
from pumas.library.trash_entries import trash_of
from pumas.library.trash_settle import has_unfinished

_ROUNDS = int(os.environ.get("PUMAS_FAULT_ROUNDS") or 15)

_HEAD = """
import os, signal, sys
from pathlib import Path
from pumas.library.remove import remove_model
from pumas.library.trash import delete_from_trash, restore_from_trash
from pumas.store.paths import Layout

layout = Layout(Path(sys.argv[1]))
"""

_ENDLESS = (
    _HEAD
    + """
print("begun", flush=True)
while True:
    entries = [remove_model(layout, f"llm/f/M{n}").entry_id for n in range(3)]
    for entry in entries:
        restore_from_trash(layout, entry)
"""
)

_EACH = (
    _HEAD
    + """
from pumas.errors import ModelNotFound
removed = []
for n in range(30):
    try:
        removed.append(remove_model(layout, f"llm/f/M{n}").entry_id)
    except ModelNotFound:
        pass
print(*removed, flush=True)
"""
)

# The number-th step that Python reports before it does it (opening, renaming, removing, ...) is the last.
_KILLED_AT_A_STEP = (
    _HEAD
    + """
what, last = sys.argv[2], int(sys.argv[3])
entry = None if what == "remove" else remove_model(layout, "llm/f/M0").entry_id
steps = 0
counted = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"}

def step(event, arguments):
    global steps
    # A tree is deleted by names below open folders.
    is_ours = event in ("os.remove", "os.rmdir") or any(sys.argv[1] in str(argument) for argument in arguments)
    if last and event in counted and is_ours:
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(step)
if what == "remove":
    remove_model(layout, "llm/f/M0")
elif what == "restore":
    restore_from_trash(layout, entry)
else:
    delete_from_trash(layout.library, entry)
last = 0
print("done", flush=True)
"""
)


def _start(code: str, root: Path, *arguments: str) -> Any:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(root), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _make(library: Path) -> None:
    for n in range(3):
        folder = write_model(library, f"llm/f/M{n}")
        (folder / "unet").mkdir(exist_ok=True)
        (folder / "unet" / "metadata.json").write_text("{}")


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _where(library: Path, number: int) -> str:
    """Where a model lies, whole; it lies nowhere else."""
    folder = library / f"llm/f/M{number}"
    in_trash = list(trash_of(library).glob(f"*/model/M{number}.gguf"))
    if folder.exists():
        assert in_trash == []
        assert _files(folder) == [f"M{number}.gguf", "metadata.json", "unet/metadata.json"]
        return "library"
    (found,) = in_trash
    assert [name.removesuffix(".trashed") for name in _files(found.parent)] == [
        f"M{number}.gguf", "metadata.json", "unet/metadata.json"
    ]  # fmt: skip
    return "trash"


def _opened(library: Path) -> list[str]:
    """Open the root, which settles what was begun, and bring all models back; the ids that were in the trash."""
    with PumasApi(library.parents[1], config=Config()) as api:
        for job in api.list_jobs():
            api._root.jobs.job(job.job_id).result(30)
        entries = api.list_trash()
        shown = {path.parent.name for path in library.rglob("metadata.json") if ".pumas" in path.parts}
        assert shown == set(), "the original would list what lies in the trash"
        for entry in entries:
            assert entry.problem is None
            api.restore_from_trash(entry.entry_id).result(30)
        assert [model.model_id for model in api.list_models()] == ["llm/f/M0", "llm/f/M1", "llm/f/M2"]
        return [entry.model_id for entry in entries]


def test_of_two_processes_one_removes_each_model(library):
    for n in range(30):
        write_model(library, f"llm/f/M{n}")
    processes = [_start(_EACH, library.parents[1]) for _ in range(2)]
    removed = []
    for process in processes:
        said, errors = process.communicate()
        assert errors == ""
        removed += said.split()
    assert len(removed) == len(set(removed)) == 30
    assert sorted(removed) == sorted(path.name for path in trash_of(library).iterdir())
    assert len(list(trash_of(library).glob("*/model/M*.gguf"))) == 30
    assert list((library / "llm/f").iterdir()) == []


def test_killed_at_any_time_no_model_is_lost(library):
    _make(library)
    chance = random.Random(8)
    for _ in range(_ROUNDS):
        with _start(_ENDLESS, library.parents[1]) as process:
            assert process.stdout.readline() == "begun\n"
            sleep(chance.uniform(0, 0.05))
            process.kill()
        before = [_where(library, n) for n in range(3)]
        trashed = _opened(library)
        assert trashed == [f"llm/f/M{n}" for n in range(3) if before[n] == "trash"]
        assert [_where(library, n) for n in range(3)] == ["library"] * 3


@pytest.mark.parametrize("what", ["remove", "restore"])
def test_killed_at_each_step_a_model_is_whole_in_one_place(library, what):
    _make(library)
    places = []
    for last in range(1, 200):
        with _start(_KILLED_AT_A_STEP, library.parents[1], what, str(last)) as process:
            said, errors = process.communicate()
        assert errors == ""
        assert process.returncode == (0 if said else -signal.SIGKILL)
        places.append(_where(library, 0))
        # An entry without a manifest may be one that a process is about to write: it is settled after a minute.
        for entry in trash_of(library).glob("*.re*"):
            if not (entry / "manifest.json").exists():
                os.utime(entry, (1, 1))
        trashed = _opened(library)
        assert trashed == (["llm/f/M0"] if places[-1] == "trash" else [])
        assert not has_unfinished(library)
        assert list(trash_of(library).glob("*")) == []
        if said:
            break
    else:
        pytest.fail("it never came to its end")
    first, then = ("library", "trash") if what == "remove" else ("trash", "library")
    turn = places.index(then)
    assert turn > 3
    assert places == [first] * turn + [then] * (len(places) - turn)


def test_killed_at_each_step_of_a_deletion_nothing_half_is_left(library):
    for last in range(1, 200):
        _make(library)
        with _start(_KILLED_AT_A_STEP, library.parents[1], "delete", str(last)) as process:
            said, errors = process.communicate()
        assert errors == ""
        with PumasApi(library.parents[1], config=Config()) as api:
            for job in api.list_jobs():
                api._root.jobs.job(job.job_id).result(30)
            entries = api.list_trash()
            if entries:  # nothing was deleted yet
                assert _where(library, 0) == "trash"
                api.empty_trash([entry.entry_id for entry in entries]).result(30)
        assert list(trash_of(library).glob("*")) == []
        if said:
            break
    else:
        pytest.fail("it never came to its end")
    assert last > 5
