"""Setting a damaged file aside under a dated name: nothing is ever overwritten unread, nothing is deleted.

The name is `versions.json.damaged-20260115T123456789012Z`: UTC, to the microsecond.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pumas.config import MAX_DOCUMENT_BYTES
from pumas.errors import Damaged
from pumas.store.times import dated

logger = logging.getLogger(__name__)

_MOST_REPORTED = 10_000  # paths remembered; then all are forgotten, and may be reported again
_STATES = {"damaged": "damaged", "kept": "a backup without its document"}
_reported: dict[Path, tuple[int, ...]] = {}


def report_damaged(damage: Damaged, remedy: str) -> None:
    """Log that a file is damaged and what becomes of it: one line per process and state of the file."""
    path = damage.path
    state: tuple[int, ...] = ()
    with suppress(OSError):
        status = path.lstat()
        # Compared for being the same only: a clock that is set back changes nothing.
        state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if _reported.get(path) == state:
        return
    if len(_reported) >= _MOST_REPORTED:
        _reported.clear()
    _reported[path] = state
    logger.warning("%s (%s): %s", damage, path, remedy)


def keep_damaged(path: Path) -> Path:
    """Give a damaged file a second, dated name; it stays where it is until it is replaced by a rename.

    So a crash in between leaves the damaged file, never none, and a full drive is no hindrance. Bytes that are kept
    already, from a write that failed afterwards, are not kept twice.

    Args:
        path: A regular file, or a link to one.

    Returns:
        The dated path.

    Raises:
        OSError: The folder can't be written to.
    """
    for beside in kept_of(path):
        if beside.is_file() and _is_same(path, beside):
            return beside
    aside = _dated(path)
    try:
        aside.hardlink_to(path)
    except OSError:  # exFAT and some network file systems have no second names
        _copy(path, aside)
    logger.info("what %s held is kept as %s", path.name, aside.name)
    return aside


@contextmanager
def kept_damaged(path: Path) -> Iterator[None]:
    """Keep a damaged file while its place is taken; what had to be renamed comes back if that fails.

    Raises:
        OSError: The folder can't be written to.
    """
    if path.is_file():
        keep_damaged(path)
        yield
    else:
        with out_of_the_way(path, "damaged"):
            yield


@contextmanager
def out_of_the_way(path: Path, state: str) -> Iterator[None]:
    """Rename what lies at `path`, if anything does, to `<name>.<state>-<time>`; it comes back if what follows fails.

    Raises:
        OSError: The folder can't be written to.
    """
    if not os.path.lexists(path):
        yield
        return
    aside = _dated(path, state)
    path.rename(aside)
    logger.warning("%s is %s; it was set aside as %s", path.name, _STATES[state], aside.name)
    try:
        yield
    except OSError:
        if not os.path.lexists(path):
            aside.rename(path)
        raise


def kept_of(path: Path) -> Iterator[Path]:
    """The damaged states of a file that lie beside it."""
    prefix = _prefix(path)
    return (beside for beside in path.parent.iterdir() if beside.name.startswith(prefix))


def set_aside(path: Path, *, companions: Sequence[Path] = ()) -> Path:
    """Rename `path` to `<name>.damaged-<time>`, and with it those of `companions`, `<name><suffix>`, that exist.

    Returns:
        The new path.

    Raises:
        OSError: The folder can't be written to.
    """
    aside = _dated(path)
    path.rename(aside)
    for companion in companions:
        if companion.exists():
            companion.rename(aside.with_name(aside.name + companion.name.removeprefix(path.name)))
    logger.warning("%s is damaged; it was set aside as %s", path.name, aside.name)
    return aside


def _is_same(one: Path, other: Path) -> bool:
    if one.samefile(other):
        return True
    size = one.stat().st_size
    if size > MAX_DOCUMENT_BYTES or size != other.stat().st_size:
        return False
    return one.read_bytes() == other.read_bytes()


def _copy(path: Path, aside: Path) -> None:
    with path.open("rb") as source, aside.open("xb") as target:  # one that another made meanwhile is not touched
        try:
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
            shutil.copystat(path, aside)
        except OSError:
            aside.unlink(missing_ok=True)  # half of it, under a name that promises all
            raise


def _prefix(path: Path, state: str = "damaged") -> str:
    return f"{path.name}.{state}-"


def _dated(path: Path, state: str = "damaged") -> Path:
    while True:  # a clock that was set back may give a moment twice
        aside = path.with_name(_prefix(path, state) + dated())
        if not os.path.lexists(aside):
            return aside
