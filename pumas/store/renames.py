"""Renaming without replacing, on every file system."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pumas_native

# A file system that can't rename without replacing in one step.
_LACKS_IT = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


def rename_new(paths: Sequence[Path], targets: Sequence[Path]) -> dict[int, OSError]:
    """Rename files and folders one after the other; whatever lies at a target stays as it is.

    Returns:
        By position why one was left where it is: FileExistsError when its target is taken, EXDEV when it lies on
        another file system.
    """
    problems = dict(pumas_native.rename_new(paths, targets))
    for position, error in list(problems.items()):
        if error.errno in _LACKS_IT:
            try:
                _rename_in_steps(paths[position], targets[position])
            except OSError as exc:
                problems[position] = exc
            else:
                del problems[position]
    return problems


def _rename_in_steps(path: Path, target: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        target.mkdir()  # fails when it exists; a folder may take the place of an empty one
        try:
            path.rename(target)
        except OSError:
            with suppress(OSError):
                target.rmdir()
            raise
        return
    try:
        os.link(path, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # it has no hard links either: what another process puts there meanwhile would be replaced
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        path.rename(target)
    else:
        path.unlink()
