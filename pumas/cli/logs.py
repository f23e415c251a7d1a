"""Log lines on standard error, as `LEVEL: text`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pumas.cli.text import clean


class _Line(logging.Formatter):
    """One harmless line; the traceback only where everything is shown."""

    def __init__(self, *, is_debug: bool) -> None:
        super().__init__()
        self._is_debug = is_debug

    def format(self, record: logging.LogRecord) -> str:
        line = clean(f"{record.levelname}: {record.getMessage()}")
        if self._is_debug and record.exc_info:
            return f"{line}\n{self.formatException(record.exc_info)}"
        return line


@contextmanager
def logged(*, is_debug: bool, told: tuple[str, ...] = ()) -> Iterator[None]:
    """Show log lines while a command runs.

    Args:
        is_debug: Show all of them, not only warnings and errors.
        told: Loggers whose warnings the command tells as its result; not shown twice.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line(is_debug=is_debug))
    # A job that fails is told by `failures`, which gets the error itself.
    handler.addFilter(lambda record: is_debug or record.name not in ("pumas.jobs", *told))
    root = logging.getLogger()
    level_before = root.level
    root.setLevel(logging.DEBUG if is_debug else logging.WARNING)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level_before)
