"""Error → one sentence on standard error, and the exit code. The only place of the command line that does so.

0    done                          4    something stands in the way       70   a fault of Pumas
1    failed                        5    damaged                           130  ended by Ctrl-C
2    wrong use, root or port       6    not possible now, or drive full   141  nobody reads the output any more
3    not found
"""

from __future__ import annotations

import sys
import traceback

import typer

from pumas.cli.output import note
from pumas.cli.text import clean
from pumas.errors import Cancelled, ModelNotFound, PumasError

_FAULT = 70
_INTERRUPTED = 130
_READER_GONE = 141  # 128 + SIGPIPE, as if the signal had ended us

# Newer typers bring their own copy of click; either has this class right below the one that typer shows.
_UsageError = typer.BadParameter.__mro__[1]


def report(error: BaseException, *, is_debug: bool) -> int:
    """Say what went wrong.

    Args:
        error: What ended the command.
        is_debug: Show the traceback too.

    Returns:
        The exit code of the program.
    """
    try:
        if isinstance(error, BrokenPipeError):
            return _READER_GONE
        if is_debug and not isinstance(error, _UsageError):
            traceback.print_exception(error, file=sys.stderr)
        sentence, code = _told(error)
        note(f"pumas: {sentence}")
    except BrokenPipeError:
        return _READER_GONE
    return code


def _told(error: BaseException) -> tuple[str, int]:
    if isinstance(error, KeyboardInterrupt | Cancelled):
        return "Interrupted; what was not finished was undone", _INTERRUPTED
    if isinstance(error, ModelNotFound):
        return f"There is no model {error.model_id}; `pumas list` shows the ids of all", error.exit_code
    if isinstance(error, PumasError):
        return str(error), error.exit_code
    if isinstance(error, _UsageError):
        return _wrong_use(error), 2
    kind, text = type(error).__name__, clean(str(error))
    return (
        f"An unexpected error, {kind}: {text or 'no details'}; run the command again with --debug to see more",
        _FAULT,
    )


def _wrong_use(error: BaseException) -> str:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "pumas"
    return f"{message.rstrip('.')}; see `{command} --help`"
