"""What lies at the target of a link, and whether it is what we made."""

from __future__ import annotations

import os
import stat

from pumas.linked import Link
from pumas.links.places import led_to


def is_file_of(link_type: str, there: os.stat_result, source: str) -> bool:
    """Whether a regular file is what we made of a source: another name of it, or a copy that nobody has written to."""
    try:
        made_of = os.stat(source)
    except OSError:
        return False
    if link_type == "hardlink":
        return os.path.samestat(there, made_of)
    return link_type == "copy" and (there.st_size, there.st_mtime_ns) == (made_of.st_size, made_of.st_mtime_ns)


def link_text(path: str) -> str | None:
    """What a symbolic link says; None of what is none, or is not there."""
    try:
        return os.readlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        if os.path.islink(path):
            raise
        return None


def is_linked(row: Link) -> bool:
    """Whether what lies at the target of a row is what we made: then we may remove it."""
    text = link_text(row.target_path)
    if text is not None:
        real_source = os.path.join(
            os.path.realpath(os.path.dirname(row.source_path)), os.path.basename(row.source_path)
        )
        return row.link_type == "symlink" and led_to(row.target_path, text) == real_source
    try:
        there = os.lstat(row.target_path)
    except OSError:
        return False
    return stat.S_ISREG(there.st_mode) and is_file_of(row.link_type, there, row.source_path)
