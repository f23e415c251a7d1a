from __future__ import annotations

import io
import threading

import pytest

from pumas.cli.progress import wait_for
from pumas.errors import Unavailable
from pumas.jobs import JobPool


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
def pool():
    pool = JobPool(1)
    yield pool
    pool.close(5)


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
