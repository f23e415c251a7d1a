"""On what kind of file system a folder lies, and what else is mounted inside it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

# Where a map is slow, not kept in step between machines, or refused. Of FUSE only the driver of local disks is near.
_FAR = re.compile("9p|afs|beegfs|ceph|cifs|coda|davfs|drvfs|glusterfs|gpfs|lustre|ncpfs|nfs4?|smb3|smbfs|fuse(?!blk).*")


def is_far(folder: Path) -> bool:
    """Whether a folder lies on a file system of another machine, or of a program; False where that can't be told."""
    try:
        return not is_near_kind(kind_of_mount(os.path.realpath(folder), _mounts()))
    except (OSError, ValueError, IndexError):
        return False


def mounted_in(folder: Path) -> Path | None:
    """A place inside a folder where something else is mounted; None where there is none, or that can't be told."""
    inside = f"{os.path.realpath(folder)}/"
    try:
        points = (_point_of(line.split(" ")) for line in _mounts())
        return next((Path(point) for point in points if point.startswith(inside)), None)
    except (OSError, IndexError):
        return None


class Mount(NamedTuple):
    """One mount of a file system."""

    kind: str
    """Type of the file system."""
    source: str
    """Its device, where it has one."""
    options: frozenset[str]
    """Of the mount and of the file system."""


def mount_of_device(device: int) -> Mount | None:
    """What is mounted from a device, given by its number (`st_dev`); None where that can't be told."""
    try:
        return find_device(device, _mounts())
    except (OSError, ValueError, IndexError):
        return None


def find_device(device: int, lines: Sequence[str]) -> Mount | None:
    """The same; `lines` are those of mountinfo, described in proc(5)."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        fields = line.split(" ")
        if fields[2] == number:
            kind, source, options = fields[fields.index("-") + 1 :][:3]
            return Mount(kind, _unescaped(source), frozenset(f"{fields[5]},{options}".split(",")))
    return None


def _mounts() -> list[str]:
    return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()


def _point_of(fields: Sequence[str]) -> str:
    return _unescaped(fields[4])


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


def kind_of_mount(path: str, lines: Sequence[str]) -> str:
    """Type of the file system of a real path; `lines` are those of mountinfo, described in proc(5)."""
    best, kind = "", ""
    for line in lines:
        fields = line.split(" ")
        point = _point_of(fields)
        # The later one of two on one point covers the earlier.
        if len(point) >= len(best) and f"{path}/".startswith(point.rstrip("/") + "/"):
            best, kind = point, fields[fields.index("-") + 1]
    return kind


def is_near_kind(kind: str) -> bool:
    """Whether files of a type of file system can be mapped with trust, and whether its changes are told."""
    return _FAR.fullmatch(kind) is None
