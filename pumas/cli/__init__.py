"""The command line: one file per group of commands; `app.py` puts them together."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pumas.streams import replace_closed_streams

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `pumas`.

    Args:
        arguments: What stands behind the program's name; `sys.argv` when not given.

    Raises:
        SystemExit: Always; 0 when the command did what was asked, else the exit code of the error.
    """
    replace_closed_streams()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        # Loaded here, so that Ctrl-C while it loads is answered like any other.
        from pumas.cli.app import run  # noqa: PLC0415

        code = run(given)
    except (Exception, KeyboardInterrupt) as exc:
        from pumas.cli.failures import report  # noqa: PLC0415 - as above

        code = report(exc, is_debug="--debug" in given)
    sys.exit(code)
