"""Setting a damaged file aside under a dated name: nothing is ever overwritten unread, nothing is deleted."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

logger = logging.getLogger(__name__)


def set_aside(path: Path, *, companions: tuple[str, ...] = ()) -> Path:
    """Rename `path` to `<name>.damaged-<time>`, and with it `<name><companion>` where that exists.

    Returns:
        The new path.

    Raises:
        OSError: The folder can't be written to.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    path.rename(aside)
    for suffix in companions:
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(aside.with_name(aside.name + suffix))
    logger.warning("%s is damaged; it was set aside as %s", path.name, aside.name)
    return aside
