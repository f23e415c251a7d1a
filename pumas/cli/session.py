"""The part that commands on models share: open the root, and see that the index knows what lies on the disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pumas.cli.logs import logged
from pumas.errors import NoSpace, Unavailable

if TYPE_CHECKING:
    from pumas.api import PumasApi

logger = logging.getLogger(__name__)


@contextmanager
def opened(root: Path | None, *, is_debug: bool, told: tuple[str, ...] = ()) -> Iterator[PumasApi]:
    """Open a launcher root for one command.

    Args:
        root: The root; chosen as `PumasApi` does when not given.
        is_debug: Show every log line.
        told: Loggers whose warnings the command tells itself.

    Raises:
        PumasError: The root can't be opened.
    """
    with logged(is_debug=is_debug, told=told):
        from pumas.api import PumasApi  # noqa: PLC0415 - `pumas --help` does without it

        with PumasApi(root) as api:
            yield api


def bring_in_line(api: PumasApi, *, only_if_empty: bool, is_quiet: bool) -> None:
    """Take up what lies in the library; where that can't be, say so and go on with what the index holds.

    Args:
        api: The open root.
        only_if_empty: Leave an index alone that was there before.
        is_quiet: Show no progress.
    """
    filling = api.opening_refresh
    is_filled = filling is None or filling.is_ended
    if not api.root.is_writable or (only_if_empty and is_filled):
        return
    from pumas.cli.progress import wait_for  # noqa: PLC0415 - as above

    try:
        wait_for(api.refresh_models() if filling is None or is_filled else filling, is_quiet=is_quiet)
    except (Unavailable, NoSpace) as exc:
        logger.warning("the index is shown as it was: %s", exc)
