"""How long from the start of a process to the line that says where the server listens, and in `import pumas`?

The clock of the start runs in the parent, from before the child is made until its `RPC_PORT` line has come through the
pipe; the child runs on one core. Baseline of both: a bare interpreter that begins and ends.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)

START_TARGET_MS = 300.0
IMPORT_TARGET_MS = 60.0

Start = Callable[[Sequence[str]], "subprocess.Popen[str]"]

_IMPORT = "from time import perf_counter as now; begun = now(); {}; print(now() - begun)"


def _port(line: str) -> int:
    name, separator, number = line.strip().partition("=")
    assert (name, separator) == ("RPC_PORT", "="), line
    return int(number)


def _call(port: int, method: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/rpc",
        data=json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)["result"]


def _start_server(start: Start, root: Any) -> float:
    begun = perf_counter()
    with start(["-m", "pumas.rpc", "--port", "0", "--launcher-root", str(root.path)]) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        elapsed_s = perf_counter() - begun
        port = _port(line)
        assert _call(port, "get_library_status")["model_count"] == root.count
        assert _call(port, "shutdown") == {"status": "shutting_down"}
        assert child.wait(30) == 0
    return elapsed_s


def _start_bare(start: Start) -> float:
    begun = perf_counter()
    with start(["-c", "pass"]) as child:
        assert child.wait(30) == 0
    return perf_counter() - begun


def _import(start: Start, statement: str) -> float:
    with start(["-c", _IMPORT.format(statement)]) as child:
        assert child.stdout is not None
        elapsed_s = float(child.stdout.read())
        assert child.wait(30) == 0
    return elapsed_s


def test_start(
    alternate: Callable[..., tuple[float, float]],
    judge: Callable[[str, float, float], None],
    start: Start,
    indexed_root: Any,
    rounds: int,
) -> None:
    if rounds > 1:
        _start_server(start, indexed_root)  # compiles what is not compiled, fills the page cache
    best, _ = alternate(
        "start",
        lambda: _start_server(start, indexed_root),
        lambda: _start_bare(start),
        names=("server", "bare_interpreter"),
    )
    judge("start_ms", best * 1000, START_TARGET_MS)


def test_import(
    alternate: Callable[..., tuple[float, float]],
    judge: Callable[[str, float, float], None],
    inform: Callable[[str, float], None],
    start: Start,
    rounds: int,
) -> None:
    best, _ = alternate(
        "import",
        lambda: _import(start, "import pumas"),
        lambda: _start_bare(start),
        names=("pumas", "bare_interpreter"),
    )
    judge("import_pumas_ms", best * 1000, IMPORT_TARGET_MS)
    # `import pumas` defers everything; these are what it defers.
    for name, statement in (("api", "from pumas import PumasApi"), ("server", "import pumas.rpc.server")):
        inform(f"import_{name}_ms", min(_import(start, statement) for _ in range(rounds)) * 1000)
