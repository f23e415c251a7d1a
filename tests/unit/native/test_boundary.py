"""What Python sees of native work: no GIL, no panic, Ctrl-C, progress, cancel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from typing import Any

import pumas_native
import pytest
from pumas_native import _native
from support.roots import write_model


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    library = tmp_path_factory.mktemp("library")
    for n in range(400):
        write_model(library, f"llm/f{n % 20}/M{n}")
    return library


def _documents(tree) -> list[str]:
    return [str(path) for path in tree.rglob("metadata.json")]


def test_a_panic_is_an_exception(capfd):
    with pytest.raises(pumas_native.errors.NativeError, match="asked for by a test"):
        _native.panic_for_test()
    assert "panicked" in capfd.readouterr().err
    assert issubclass(pumas_native.errors.NativeError, Exception)


def test_python_goes_on_while_native_code_works(tree):
    """A thread that wakes every millisecond is never kept waiting for long; with the GIL held it would be."""
    paths = _documents(tree) * 200
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            stop.wait(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    begun = time.perf_counter()
    columns = pumas_native.read_metadata_files(paths, max_bytes=10_000, max_depth=10, workers=1)
    # Making the lists needs the GIL; reading the files, nearly all of the time, does not.
    elapsed = time.perf_counter() - begun
    stop.set()
    ticker.join()
    assert len(columns.positions) == len(paths)
    inside = [begun, *(moment for moment in ticks if begun < moment < begun + elapsed), begun + elapsed]
    longest = max(later - earlier for earlier, later in pairwise(inside))
    assert longest < 0.6 * elapsed, (longest, elapsed)


def test_progress_is_told_in_the_calling_thread_and_grows(tree):
    paths = _documents(tree) * 50
    told = []
    threads = set()

    def progress(done: int) -> None:
        told.append(done)
        threads.add(threading.get_ident())

    pumas_native.read_metadata_files(paths, max_bytes=10_000, max_depth=10, workers=1, progress=progress)
    assert told == sorted(set(told))
    assert told[-1] == len(paths)
    assert threads == {threading.get_ident()}


def test_an_error_in_the_callback_ends_the_work(tree):
    def progress(_: int) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        pumas_native.read_metadata_files(_documents(tree) * 100, max_bytes=9999, max_depth=9, progress=progress)


def test_cancel_from_another_thread(tree):
    token = pumas_native.CancelToken()
    timer = threading.Timer(0.02, token.cancel)
    timer.start()
    with pytest.raises(pumas_native.errors.Cancelled):
        pumas_native.read_metadata_files(_documents(tree) * 2000, max_bytes=9999, max_depth=9, cancel=token)
    timer.join()
    assert token.is_cancelled


def test_ctrl_c_ends_native_work(tree):
    code = (
        "import sys, pathlib, pumas_native\n"
        "paths = [str(p) for p in pathlib.Path(sys.argv[1]).rglob('metadata.json')] * 20000\n"
        "try:\n"
        "    print('ready', flush=True)\n"
        "    pumas_native.read_metadata_files(paths, max_bytes=9999, max_depth=9)\n"
        "except KeyboardInterrupt: print('interrupted', flush=True)\n"
    )
    process: Any = subprocess.Popen([sys.executable, "-c", code, str(tree)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)  # into the call; earlier or later only changes where the signal is seen
    os.kill(process.pid, signal.SIGINT)
    begun = time.monotonic()
    assert process.communicate(timeout=20)[0] == "interrupted\n"
    assert time.monotonic() - begun < 5


def test_indexes_outside_the_columns_are_errors(tree):
    found = pumas_native.scan_tree(tree)
    with pytest.raises(IndexError):
        found.path(len(found))
    with pytest.raises(OverflowError):
        found.name(-1)
