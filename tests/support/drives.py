"""Drives of a test's own, small or read-only: real file systems, where they may be mounted.

The superuser mounts them here; whoever may have mounts of their own (`unshare`), for a child.
"""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path

from filelock import FileLock

# Empty, 16 MiB: `mkfs.btrfs --mixed --metadata single --data single`.
_BTRFS = Path(__file__).with_name("btrfs.img.xz")


@cache
def can_mount() -> bool:
    """Whether `mounted_drive` works here."""
    return os.geteuid() == 0 and shutil.which("mount") is not None and _works(mounted_drive)


def _works(drive: Callable[[Path], AbstractContextManager[Path]]) -> bool:
    with (
        tempfile.TemporaryDirectory() as folder,
        suppress(subprocess.CalledProcessError),
        drive(Path(folder) / "probe"),
    ):
        return True
    return False


@contextmanager
def mounted_drive(folder: Path, options: str = "rw") -> Iterator[Path]:
    """An empty drive at `folder`, which is made if it is missing; gone afterwards, with all that is on it."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def mounted_image(image: Path, folder: Path, *mount: str) -> Iterator[Path]:
    """The file system in a file, at `folder`, by a loop device; `mount` is a command for its device and the folder."""
    folder.mkdir(exist_ok=True)
    told = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True)
    device = told.stdout.strip()
    try:
        subprocess.run([*mount, device, folder], check=True, capture_output=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextmanager
def btrfs_drive(folder: Path) -> Iterator[Path]:
    """An empty drive whose files can share content; 11 MiB of it are free."""
    image = folder.with_name(f"{folder.name}.img")
    image.write_bytes(lzma.decompress(_BTRFS.read_bytes()))
    # The kernel takes two of one identity for parts of one file system.
    with FileLock(Path(tempfile.gettempdir()) / "pumas-btrfs.lock"), mounted_image(image, folder, "mount") as drive:
        yield drive


@cache
def can_mount_btrfs() -> bool:
    """Whether `btrfs_drive` works here."""
    return can_mount() and shutil.which("losetup") is not None and _works(btrfs_drive)


def remount(folder: Path, how: str) -> None:
    """Make a drive read-only (`ro`), or writable again (`rw`)."""
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True, capture_output=True)


def fill_drive(filler: Path) -> None:
    """Write a file until nothing more goes onto its drive."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


@cache
def can_mount_in_child() -> bool:
    """Whether commands that begin with `on_own_drive` work here."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*on_own_drive(Path("/mnt")), "true"], capture_output=True, check=False).returncode == 0


def on_own_drive(folder: Path, options: str = "rw") -> tuple[str, ...]:
    """The beginning of a command that sees an empty drive at `folder`; nobody else does."""
    return ("unshare", "-m", "sh", "-c", f'mount -t tmpfs -o {options} none "$0" && exec "$@"', str(folder))
