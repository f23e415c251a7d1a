"""Whether an NTFS volume is marked as damaged (`library.md` §14): its dirty bit, as `ntfsinfo` of ntfs-3g reads it.

Nothing is known where the tool is not installed or may not read the device: then a volume counts as clean.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from typing import Final

from pumas.store.mounts import Mount, mount_of_device

DIRTY: Final = "NTFS filesystem has dirty bit set. Please run chkdsk/ntfsfix before importing."
_TOLD_S: Final = 10.0
_KINDS: Final = frozenset({"ntfs", "ntfs3", "fuseblk"})  # the last is what ntfs-3g mounts, among others
_SAYS_DIRTY = re.compile(rb"\bdirty\b|\bstate:[ \t]*1[ \t]*$", re.IGNORECASE | re.MULTILINE)


def is_dirty(device: int) -> bool:
    """Whether the file system of a device number (`st_dev`) is an NTFS volume that is to be repaired first.

    It takes ten seconds at most.
    """
    mount = mount_of_device(device)
    if mount is None or not is_asked(mount):
        return False
    tool = shutil.which("ntfsinfo") or shutil.which("ntfsinfo", path="/usr/sbin:/sbin")
    return tool is not None and says_dirty(ask(tool, mount.source))


def is_asked(mount: Mount) -> bool:
    """Whether a mount may be that of a damaged NTFS volume."""
    # The driver of Linux sets the bit while it writes, and mounts no volume for writing that has it unless forced to.
    is_own_bit = mount.kind == "ntfs3" and "rw" in mount.options and "force" not in mount.options
    return mount.kind in _KINDS and mount.source.startswith("/dev/") and not is_own_bit


def ask(tool: str, source: str, timeout_s: float = _TOLD_S) -> bytes:
    """What `ntfsinfo` says of a device; nothing if it does not answer in time."""
    # Forced, for else it reads no volume that is mounted; it opens the device for reading only (strace, 2022.10.3).
    try:
        process = subprocess.Popen(  # noqa: S603 - a device that the kernel names
            [tool, "-f", "-m", source], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError:
        return b""
    try:
        return process.communicate(timeout=timeout_s)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        # Somebody has to wait for it, and as long as it waits for its drive nothing ends it.
        threading.Thread(target=process.communicate, name="ntfsinfo", daemon=True).start()
        return b""


def says_dirty(told: bytes) -> bool:
    """Whether an answer of `ntfsinfo` speaks of the dirty bit."""
    return _SAYS_DIRTY.search(told) is not None
