"""Where log lines go: `launcher.log` below the root, and standard error (`system.md` §14, S-20)."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path

from pumas.constants import LOG_FILE_BACKUP_COUNT, LOG_FILE_MAX_BYTES

logger = logging.getLogger(__name__)


def log_to_console(*, debug: bool) -> None:
    """Show warnings on standard error; with `debug` everything."""
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.DEBUG if debug else logging.WARNING)
    console.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    root.addHandler(console)


def log_to_file(folder: Path) -> None:
    """Write lines to `launcher.log` in `folder` too; without permission to write, say so and go on."""
    root = logging.getLogger()
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
    file.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s", "%Y-%m-%d %H:%M:%S"))
    root.addHandler(file)
    console = "DEBUG" if root.level == logging.DEBUG else "WARNING"
    logger.info("Logging initialized: file=%s (level=INFO), console (level=%s)", file.baseFilename, console)
