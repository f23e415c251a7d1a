"""Where log lines go: `launcher.log` below the root, and standard error (`system.md` §14, S-20)."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path

from pumas.constants import LOG_FILE_BACKUP_COUNT, LOG_FILE_MAX_BYTES

logger = logging.getLogger(__name__)


def configure_logging(folder: Path, *, debug: bool) -> None:
    """Set up the log file and the console; without permission to write, the console alone.

    Args:
        folder: `launcher-data/logs` of the root.
        debug: Show everything on the console, not only warnings.
    """
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.DEBUG if debug else logging.WARNING)
    console.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    root.addHandler(console)
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
    levels = (logging.getLevelName(file.level), logging.getLevelName(console.level))
    logger.info("Logging initialized: file=%s (level=%s), console (level=%s)", file.baseFilename, *levels)
