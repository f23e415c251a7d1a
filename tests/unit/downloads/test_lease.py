"""One process at a time is at a download, however the others ended."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from pumas.downloads.lease import Leases
from pumas.store.locks import document_lock

HOLD = """
import sys
from pathlib import Path
from pumas.downloads.lease import Leases
lease = Leases(Path(sys.argv[1])).take(Path(sys.argv[2]))
print(lease is not None, flush=True)
sys.stdin.read()
lease.release()
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "0123"
    folder.mkdir()
    return folder


@pytest.fixture
def leases(tmp_path):
    return Leases(tmp_path / "locks", free_after_s=0.2)


def held_by_a_child(tmp_path, folder) -> Any:
    arguments = [sys.executable, "-c", HOLD, str(tmp_path / "locks"), str(folder)]
    child: Any = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "True\n"
    return child


def rewrite(folder, **fields):
    path = folder / "lease.json"
    with document_lock(folder.parent / "locks", f"{folder.name}/lease.json"):  # its holder may be at it
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_one_holds_it_until_it_lets_go(leases, folder):
    lease = leases.take(folder)
    assert lease is not None
    assert leases.take(folder) is None
    lease.release()
    assert os.listdir(folder) == []
    assert leases.take(folder) is not None


def test_another_process_has_it_until_it_ends(leases, folder, tmp_path):
    with held_by_a_child(tmp_path, folder) as child:
        assert leases.take(folder) is None
        child.stdin.close()
        child.wait(20)
        assert leases.take(folder) is not None


def test_a_killed_process_holds_nothing(leases, folder, tmp_path):
    with held_by_a_child(tmp_path, folder) as child:
        child.send_signal(signal.SIGKILL)
        child.wait(20)
        assert leases.take(folder) is not None


def test_a_stopped_process_keeps_it(leases, folder, tmp_path):
    with held_by_a_child(tmp_path, folder) as child:
        child.send_signal(signal.SIGSTOP)
        try:
            assert leases.take(folder) is None
            time.sleep(0.3)
            assert leases.take(folder) is None
        finally:
            child.kill()


def test_a_process_with_a_number_that_another_one_had_is_another_one(leases, folder):
    assert leases.take(folder) is not None
    rewrite(folder, started=1.0)
    assert leases.take(folder) is not None


def test_another_machine_has_it_as_long_as_it_goes_on_beating(leases, folder):
    assert leases.take(folder) is not None
    for beat in range(5):
        rewrite(folder, machine="elsewhere", beat=beat)
        assert leases.take(folder) is None
        time.sleep(0.1)
    time.sleep(0.25)
    assert leases.take(folder) is not None


def test_who_lost_it_is_told_and_takes_it_from_nobody(leases, folder):
    lease = leases.take(folder)
    lost = threading.Event()
    lease.keep(lost.set, every_s=0.01)
    time.sleep(0.05)
    assert not lost.is_set()
    rewrite(folder, owner="f" * 32, machine="elsewhere")
    assert lost.wait(10)
    assert not lease.renew()
    lease.release()
    assert json.loads((folder / "lease.json").read_text())["owner"] == "f" * 32


def test_beats_keep_it_alive_for_others(leases, folder, tmp_path):
    lease = leases.take(folder)
    lease.keep(lambda: None, every_s=0.01)
    try:
        before = json.loads((folder / "lease.json").read_text())["beat"]
        deadline = time.monotonic() + 10
        while json.loads((folder / "lease.json").read_text())["beat"] < before + 3:
            assert time.monotonic() < deadline
    finally:
        lease.release()


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"[1]", b"\xff\xff", b'{"owner": 1}', b'{"owner": "a", "machine": "m"}']
)
def test_what_is_no_lease_is_replaced(leases, folder, damage):
    (folder / "lease.json").write_bytes(damage)
    assert leases.take(folder) is not None
    assert leases.take(folder) is None


def test_of_many_at_once_one_gets_it(tmp_path, folder):
    got = []
    start = threading.Barrier(8)

    def take():
        leases = Leases(tmp_path / "locks")
        start.wait()
        if leases.take(folder) is not None:
            got.append(1)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [1]
