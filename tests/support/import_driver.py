"""Imports that are killed, each in a process of its own; what is on the disk then is looked at by another one.

    python import_driver.py FOLDER OTHER MODE HOW ROUND…

FOLDER gets a root and sources for each round. OTHER, if it is not empty, is where sources lie instead: another drive.
HOW is `step`, a round being the number of the step that Python reports (opening, renaming, …) at which the process is
killed, or `time`, a round being milliseconds, or `twice`: as `step`, and the process that opens the root next is killed
at a step of its own. A JSON object a round goes to stdout.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from support.headers import Gguf

import pumas.library.dedupe
import pumas.library.import_recovery
import pumas.library.imports  # noqa: F401 - loaded once, for all that are forked
from pumas import PumasApi
from pumas.models import ImportMode, ImportRequest

_COUNTED = frozenset(
    {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "os.truncate", "os.listdir"}
)


def gguf(number: int, size: int) -> bytes:
    """A file that no other one is like."""
    header = Gguf().file([("general.architecture", "string", "llama"), ("n", "uint32", number)])
    return header + hashlib.shake_128(str(number).encode()).digest(size)


def make_sources(folder: Path, size: int) -> dict[str, str]:
    """A file, and a folder with a folder in it; their digests by path."""
    contents = {
        folder / "one.gguf": gguf(1, size),
        folder / "set" / "a-00001-of-00002.gguf": gguf(2, size),
        folder / "set" / "a-00002-of-00002.gguf": gguf(3, 10),
        folder / "set" / "below" / "c.bin": gguf(4, size // 2),
    }
    for path, data in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return {str(path): hashlib.sha256(data).hexdigest() for path, data in contents.items()}


def kill_at_step(last: int, part: str) -> None:
    """Kill this process at the so manieth step that concerns a path with `part` in it."""
    steps = 0

    def step(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal steps
        if event in _COUNTED and any(part in str(argument) for argument in arguments):
            steps += 1
            if steps == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(step)


def kill_at_time(milliseconds: int) -> None:
    """Kill this process after a while, whatever it does."""

    def kill() -> None:
        time.sleep(milliseconds / 1000)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()


def import_all(root: Path, sources: Path, mode: ImportMode) -> None:
    with PumasApi(root) as api:
        requests = [ImportRequest(path=str(sources / "one.gguf")), ImportRequest(path=str(sources / "set"))]
        report = api.import_batch(requests, mode=mode).result()
        for result in report.results:
            if result.error is not None:
                raise RuntimeError(result.error)


def in_child(work: Callable[[], None]) -> int:
    """Do something in a process of its own; its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as exc:
            print(repr(exc), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def digests_below(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in (".gguf", ".bin"):
            found.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), []).append(str(path))
    return found


def look(root: Path, wanted: dict[str, str], told: dict[str, object]) -> None:
    """Open the root again; what it says and what lies on the disk goes to `told`."""
    read, write = os.pipe()

    def reopen() -> None:
        with PumasApi(root) as api:
            if api.opening_refresh is not None:
                api.opening_refresh.result()
            api.refresh_models().result()
            report = api.verify().result()
            answer = {
                "models": sorted(model.model_id for model in api.list_models()),
                "findings": [(finding.kind, finding.path) for finding in report.findings],
                "examined": [finding.kind for finding in api.examine() if "import" in finding.kind],
            }
        os.write(write, json.dumps(answer).encode())

    told["lost"] = [path for path, digest in wanted.items() if digest not in _everywhere(root, wanted)]
    told["reopened"] = in_child(reopen)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        told.update(json.loads(file.read() or b"{}"))
    library = root / "shared-resources" / "models"
    after = digests_below(library)
    told["lost_then"] = [path for path, digest in wanted.items() if digest not in _everywhere(root, wanted)]
    told["at_place"] = [os.path.basename(path) for path in wanted if os.path.lexists(path)]
    told["imported"] = [os.path.basename(path) for path, digest in wanted.items() if digest in after]
    told["left"] = [
        str(path.relative_to(library))
        for path in library.rglob("*")
        if ".tmp_import_" in path.name or path.suffix in (".jsonl", ".part")
    ]


def _everywhere(root: Path, wanted: dict[str, str]) -> set[str]:
    found = set(digests_below(root))
    for path in wanted:
        if os.path.lexists(path):
            found.add(hashlib.sha256(Path(path).read_bytes()).hexdigest())
    return found


def main() -> None:
    folder, other, mode, how, *rounds = sys.argv[1:]
    gc.freeze()
    for number in map(int, rounds):
        base = Path(folder) / f"{mode}-{number}"
        sources = (Path(other) / base.name if other else base) / "in"
        wanted = make_sources(sources, 4_000_000 if how == "time" else 200_000)
        print(json.dumps(_round(base, sources, wanted, cast("ImportMode", mode), how, number)), flush=True)
        shutil.rmtree(base)
        shutil.rmtree(sources.parent, ignore_errors=True)


def _round(
    base: Path, sources: Path, wanted: dict[str, str], mode: ImportMode, how: str, number: int
) -> dict[str, object]:
    root = base / "root"

    def work() -> None:
        if how == "time":
            kill_at_time(number)
        else:
            kill_at_step(number, base.name)
        import_all(root, sources, mode)

    def open_again() -> None:
        kill_at_step(number * 7 % 40 + 10, base.name)  # wherever that is
        PumasApi(root).close()

    told: dict[str, object] = {"round": number, "ended": in_child(work)}
    if how == "twice":
        told["ended_again"] = in_child(open_again)
    look(root, wanted, told)
    return told


if __name__ == "__main__":
    main()
