"""The one sink of the command line: results on standard output, for people or as JSON; notes on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import TextIO

import msgspec
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from pumas.cli.text import clean
from pumas.errors import system_errors

# Where no terminal sets a width, lines are as long as they need to be: an id that is cut is of no use to a script.
_UNBOUNDED = 1_000_000
_LAID_OUT_ROWS = 1000


def put(record: object, human: Callable[[], str | RenderableType], *, as_json: bool) -> None:
    """Write a result.

    Args:
        record: Anything that msgspec encodes; field names are those of the record.
        human: Makes the same for people: a line as it stands, or something that rich lays out. Foreign text in it has
            been cleaned.
        as_json: Which of the two.

    Raises:
        NoSpace: Standard output is a file on a full drive.
        BrokenPipeError: Nobody reads standard output any more.
    """
    if as_json:
        _write(sys.stdout, msgspec.json.encode(record, enc_hook=_plain) + b"\n")
        return
    shown = human()
    text = f"{shown}\n" if isinstance(shown, str) else _laid_out(shown)
    _write(sys.stdout, text.encode(sys.stdout.encoding or "utf-8", "replace"))


def note(text: str) -> None:
    """Write one line to standard error."""
    _write(sys.stderr, f"{clean(text)}\n".encode(sys.stderr.encoding or "utf-8", "backslashreplace"))


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str | RenderableType:
    """Rows below each other: laid out in the width of a terminal, or aligned, with nothing cut, for everything else.

    Args:
        columns: Heads, and how rich is to treat the cells.
        rows: Cells of each row; they have been cleaned.
    """
    # PERF: rich takes 0.4 ms a row, ten times what reading the models takes.
    if not sys.stdout.isatty() or len(rows) > _LAID_OUT_ROWS:
        return _aligned(columns, rows)
    laid_out = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for row in rows:
        # Text, not str: a name with brackets is no markup.
        laid_out.add_row(*map(Text, row))
    return laid_out


def _aligned(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    lines = [tuple(str(column.header) for column in columns), *rows]
    widths = [max(map(cell_len, cells)) for cells in zip(*lines, strict=True)]
    padders = [_pad_left if column.justify == "right" else _pad_right for column in columns]
    return "\n".join(_line(line, widths, padders) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], padders: Sequence[Callable[[str, int], str]]) -> str:
    padded = (pad(cell, width) for pad, cell, width in zip(padders, cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _pad_left(cell: str, width: int) -> str:
    return " " * (width - cell_len(cell)) + cell


def _pad_right(cell: str, width: int) -> str:
    return cell + " " * (width - cell_len(cell))


def facts(pairs: Iterable[tuple[str, str]]) -> RenderableType:
    """Names and values below each other; the values are cleaned here."""
    grid = Table.grid(Column(no_wrap=True, style="bold"), Column(overflow="fold"), padding=(0, 2, 0, 0))
    for name, value in pairs:
        grid.add_row(name, Text(clean(value)))
    return grid


def _laid_out(shown: RenderableType) -> str:
    is_terminal = sys.stdout.isatty()
    laid_out = StringIO()
    # Into memory: rich would answer a closed pipe by ending the program its own way.
    console = Console(
        file=laid_out,
        force_terminal=is_terminal,
        width=None if is_terminal else _UNBOUNDED,
        highlight=False,
        markup=False,
        emoji=False,
    )
    console.print(shown)
    return "".join(f"{line.rstrip()}\n" for line in laid_out.getvalue().splitlines())


def _write(stream: TextIO, data: bytes) -> None:
    try:
        stream.flush()
        # With PYTHONUNBUFFERED this is the bare file, which may take a part only.
        rest = memoryview(data)
        while rest:
            rest = rest[stream.buffer.write(rest) :]
        stream.buffer.flush()
    except OSError as exc:
        # Python flushes once more when it ends, and would complain about what is still in the buffer.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(exc, BrokenPipeError):
            raise
        with system_errors("Writing the output"):
            raise


def _plain(value: object) -> object:
    if isinstance(value, Path):
        # The name of a folder may hold bytes that are no UTF-8.
        return str(value).encode("utf-8", "backslashreplace").decode()
    raise NotImplementedError
