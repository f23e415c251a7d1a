from __future__ import annotations

import io
import threading

import pytest

from pumas.cli.progress import wait_for
from pumas.errors import Unavailable


class Screen(io.BytesIO):
    """Standard error; `seen` is set once something was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Event()

    def write(self, data) -> int:
        self.seen.set()
        return super().write(data)


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen():
    return Screen()


def _until_seen(screen):
    """Work that ends when its progress has been shown."""

    def work(progress):
        progress.report(3, 7, "counting sheep")
        assert screen.seen.wait(30)
        return "done"

    return work


def test_long_work_is_told_in_lines(pool, screen, monkeypatch):
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(screen, write_through=True))
    assert wait_for(pool.submit("count", _until_seen(screen)), is_quiet=False) == "done"
    assert screen.getvalue() == b"Counting sheep: 3 of 7\n"


def test_long_work_is_a_bar_on_a_terminal(pool, screen, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", Terminal(screen, encoding="utf-8", write_through=True))
    assert wait_for(pool.submit("count", _until_seen(screen)), is_quiet=False) == "done"
    shown = screen.getvalue().decode()
    assert "Counting sheep" in shown
    assert "7" in shown


def test_short_and_quiet_work_shows_nothing(pool, screen, monkeypatch):
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(screen, write_through=True))
    assert wait_for(pool.submit("count", lambda progress: 1), is_quiet=False) == 1
    assert wait_for(pool.submit("count", lambda progress: 2), is_quiet=True) == 2
    assert screen.getvalue() == b""


def test_an_error_of_the_work_comes_through(pool):
    def work(progress):
        raise Unavailable("not now")

    with pytest.raises(Unavailable, match="not now"):
        wait_for(pool.submit("count", work), is_quiet=False)


def test_bytes_are_told_with_rate_and_remaining_time(pool, screen, monkeypatch):
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(screen, write_through=True))
    ticks = iter(range(100, 10_000, 2))
    monkeypatch.setattr("pumas.cli.progress.monotonic", lambda: next(ticks))

    def work(progress):
        progress.report(0, 3 << 30, "reading files")
        assert screen.seen.wait(30)
        screen.seen.clear()
        progress.report(1 << 30, 3 << 30, "reading files")
        assert screen.seen.wait(30)

    wait_for(pool.submit("read", work), is_quiet=False, is_bytes=True)
    lines = screen.getvalue().decode().splitlines()
    assert lines == ["Reading files: 0 B of 3.0 GiB", "Reading files: 1.0 GiB of 3.0 GiB, 512.0 MiB/s, 0:00:04 left"]


def test_bytes_are_a_bar_with_rate_on_a_terminal(pool, screen, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", Terminal(screen, encoding="utf-8", write_through=True))

    def work(progress):
        progress.report(1 << 20, 3 << 30, "reading files")
        assert screen.seen.wait(30)

    wait_for(pool.submit("read", work), is_quiet=False, is_bytes=True)
    assert "GiB" in screen.getvalue().decode()
