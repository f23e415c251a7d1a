"""A real `pumas-rpc` process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.client import Client


def start_process(
    root: Path, *arguments: str, port: int = 0, env: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> Any:
    """Start a server process, by way of the command `before`; its streams are pipes."""
    command = [
        *before,
        sys.executable,
        "-m",
        "pumas.rpc",
        "--port",
        str(port),
        "--launcher-root",
        str(root),
        *arguments,
    ]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=None if env is None else dict(env),
    )


def read_port(process) -> int:
    """Wait for the line that the desktop app waits for."""
    line = process.stdout.readline()
    assert line.startswith("RPC_PORT="), (line, process.stderr.read() if process.poll() is not None else "")
    return int(line.removeprefix("RPC_PORT="))


@contextmanager
def server_process(root: Path, *arguments: str, before: Sequence[str] = ()) -> Iterator[tuple[Any, Client]]:
    """A running server and a client; killed at the end if it still runs."""
    process = start_process(root, *arguments, before=before)
    try:
        yield process, Client(read_port(process))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
