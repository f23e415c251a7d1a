from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.table import Column

from pumas.cli.output import facts, put, table


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


class Slow(io.RawIOBase):
    """A bare file that takes a few bytes at a time, as a pipe may."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.taken += bytes(data[:7])
        return min(7, len(data))


@pytest.fixture
def on_terminal(monkeypatch):
    """Put something on a terminal of 40 columns; returns what it shows."""

    def show(human) -> str:
        screen = io.BytesIO()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "40")
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout", Terminal(screen, encoding="utf-8"))
            put(None, human, as_json=False)
            return screen.getvalue().decode()

    return show


def _rows(count=1):
    return table([Column("ID", overflow="fold"), Column("SIZE", justify="right")], [("i" * 60, "1 B")] * count)


def test_a_terminal_gets_a_table_that_fits_with_every_character(on_terminal):
    shown = on_terminal(_rows)
    assert shown.count("i") == 60
    assert "\x1b[1m" in shown
    assert all(line.count("i") < 40 for line in shown.splitlines())


def test_a_long_table_is_plain_even_on_a_terminal(on_terminal):
    shown = on_terminal(lambda: _rows(2000))
    assert "\x1b" not in shown
    assert shown.count("i" * 60) == 2000


def test_markup_in_values_is_text(on_terminal):
    assert "[red]x[/red] :smile:" in on_terminal(lambda: facts([("Name", "[red]x[/red] :smile:")]))


def test_columns_are_aligned_by_what_a_terminal_shows(capfd):
    rows = [("模型", "1 B"), ("ab", "1000 B")]
    put(None, lambda: table([Column("ID"), Column("SIZE", justify="right")], rows), as_json=False)
    assert capfd.readouterr().out == "ID      SIZE\n模型     1 B\nab    1000 B\n"


def test_an_output_that_takes_little_at_a_time_gets_everything(monkeypatch):
    slow: Any = Slow()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(slow, encoding="utf-8"))
    put(list(range(100)), str, as_json=True)
    assert slow.taken.endswith(b",98,99]\n")


def test_an_encoding_that_lacks_a_character_does_not_fail(monkeypatch):
    screen = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(screen, encoding="ascii"))
    put(None, lambda: "Möbel", as_json=False)
    put({"name": "Möbel"}, str, as_json=True)
    assert screen.getvalue() == b'M?bel\n{"name":"M\xc3\xb6bel"}\n'


def test_a_path_that_is_no_utf8_is_escaped_in_json(capfd):
    put({"root": Path("/a\udcff")}, str, as_json=True)
    assert capfd.readouterr().out == '{"root":"/a\\\\udcff"}\n'


def test_what_msgspec_does_not_know_is_a_fault():
    with pytest.raises(NotImplementedError):
        put(object(), str, as_json=True)
