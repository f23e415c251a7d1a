"""Transfers under kill -9: whenever it comes, the next one goes on, and fetches again what was on its way at most."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from fakes.files import FileServer
from pumas_native import TransferFile, TransferOptions, transfer

MIB = 1 << 20
SIZE = 24 * MIB + 4321
CONNECTIONS = 4
PIECE = 2 * MIB
ROUNDS = int(os.environ.get("PUMAS_FAULT_ROUNDS") or 15)

_HEADER_BYTES, _RECORD_BYTES = 320, 48

_CHILD = f"""
import sys
from pumas_native import TransferFile, TransferOptions, transfer
options = TransferOptions(connections={CONNECTIONS}, piece_bytes={PIECE})
print("begins", flush=True)
transfer([TransferFile(sys.argv[1], sys.argv[2])], options=options)
"""


def noted(target: Path) -> set[int]:
    """Numbers of the blocks that the journal of a target says are there."""
    journal = target.with_name(target.name + ".part.journal")
    records = journal.read_bytes()[_HEADER_BYTES:] if journal.exists() else b""
    whole = len(records) // _RECORD_BYTES * _RECORD_BYTES
    return {int.from_bytes(records[at : at + 8], "little") for at in range(0, whole, _RECORD_BYTES)}


def asked_for(server: FileServer) -> set[int]:
    """Numbers of the blocks that were asked for, in whole or in part."""
    ranges = [request.range for request in server.requests]
    return {number for one in ranges if one for number in range(one[0] // MIB, one[1] // MIB + 1)}


def run_and_kill(url: str, target: Path, after_s: float) -> None:
    with subprocess.Popen([sys.executable, "-c", _CHILD, url, str(target)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"begins\n"
        try:
            child.wait(after_s)
        except subprocess.TimeoutExpired:
            child.kill()
    assert child.returncode in (0, -9)


def test_a_killed_transfer_loses_what_was_on_its_way_at_most(tmp_path):
    content = random.randbytes(SIZE)
    (tmp_path / "served").write_bytes(content)
    target = tmp_path / "got-0"
    killed = 0
    with FileServer(tmp_path / "served", rate_bytes_s=16 * MIB) as server:
        for number in range(ROUNDS):
            server.requests.clear()
            run_and_kill(server.url, target, random.uniform(0, 0.4))
            if target.exists():
                assert target.read_bytes() == content
                assert not target.with_name(target.name + ".part").exists()
                target = tmp_path / f"got-{number + 1}"
                continue
            killed += 1
            assert len(asked_for(server) - noted(target)) * MIB <= CONNECTIONS * PIECE
        there = noted(target)
        result = transfer([TransferFile(server.url, target)], options=TransferOptions(piece_bytes=PIECE))[0]
    assert killed
    assert result.error is None
    assert target.read_bytes() == content
    assert result.fetched_bytes <= SIZE - MIB * max(0, len(there) - 1)
