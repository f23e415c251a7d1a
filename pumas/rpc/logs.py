"""Where log lines go: `launcher.log` below the root, and standard error (`system.md` §14, S-20)."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path

from pumas.constants import LOG_FILE_BACKUP_COUNT, LOG_FILE_MAX_BYTES

logger = logging.getLogger(__name__)


# SECURITY: a folder's name may hold line breaks and terminal codes; they must not make lines of their own.
_ESCAPED = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


class _OneLine(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = record.message.translate(_ESCAPED)
        return super().formatMessage(record)


def log_to_console(*, debug: bool) -> None:
    """Show warnings on standard error; with `debug` everything."""
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.DEBUG if debug else logging.WARNING)
    console.setFormatter(_OneLine("%(levelname)s: %(message)s"))
    root.addHandler(console)
    # Until the folder of the log file is known, lines wait for it.
    root.addHandler(logging.handlers.MemoryHandler(1000, flushLevel=logging.CRITICAL + 1, flushOnClose=False))


def log_to_file(folder: Path) -> None:
    """Write lines to `launcher.log` in `folder` too; without permission to write, say so and go on."""
    root = logging.getLogger()
    waiting = [one for one in root.handlers if isinstance(one, logging.handlers.MemoryHandler)]
    for one in waiting:
        root.removeHandler(one)
    try:
        file = logging.handlers.RotatingFileHandler(
            folder / "launcher.log",
            maxBytes=LOG_FILE_MAX_BYTES,
            backupCount=LOG_FILE_BACKUP_COUNT,
            encoding="utf-8",
            errors="backslashreplace",
        )
    except OSError as exc:
        logger.warning("there is no log file: %s", exc.strerror)
        return
    file.setLevel(logging.INFO)
    file.setFormatter(_OneLine("%(asctime)s - %(name)s - %(levelname)s - %(message)s", "%Y-%m-%d %H:%M:%S"))
    root.addHandler(file)
    for one in waiting:
        one.setTarget(file)
        one.flush()
        one.close()
    console = "DEBUG" if root.level == logging.DEBUG else "WARNING"
    logger.info("Logging initialized: file=%s (level=INFO), console (level=%s)", file.baseFilename, console)
