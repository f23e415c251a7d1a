"""The dirty bit of NTFS: what ntfs-3g's own tool says, recorded, and asked where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.drives import can_mount, mounted_image

from pumas import PumasApi
from pumas.library import ntfs_volume
from pumas.store.mounts import Mount

RW = frozenset({"rw", "relatime"})
# `ntfsinfo -f -m` of ntfs-3g 2022.10.3 about volumes that were mounted; the rest of it is the same.
CLEAN = b"""Forced to continue.
Volume Information
	Name of device: /dev/loop0
	Device state: 11
	Volume Name:
	Volume State: 91
	Volume Flags: 0x0000
	Volume Version: 3.1
"""
DIRTY = CLEAN.replace(b"0x0000", b"0x0001 DIRTY")
NOT_NTFS = b"""NTFS signature is missing.
Failed to mount '/dev/loop0': Invalid argument
The device '/dev/loop0' doesn't seem to have a valid NTFS.
"""

_TOOLS = ("mkntfs", "ntfsfix", "ntfsinfo", "ntfs-3g")
needs_ntfs = pytest.mark.skipif(
    not can_mount() or not all(map(shutil.which, _TOOLS)) or not os.access("/dev/fuse", os.W_OK),
    reason="needs permission to mount, and ntfs-3g",
)


@pytest.mark.parametrize(
    ("told", "is_dirty"),
    [(CLEAN, False), (DIRTY, True), (NOT_NTFS, False), (b"", False), (b"\tVolume state: 1\n", True)],
)
def test_what_the_tool_says_is_read(told, is_dirty):
    assert ntfs_volume.says_dirty(told) == is_dirty


@pytest.mark.parametrize(
    ("mount", "is_asked"),
    [
        (Mount("fuseblk", "/dev/sdb1", RW), True),
        (Mount("ntfs3", "/dev/sdb1", RW), False),  # the driver's own mark while it writes
        (Mount("ntfs3", "/dev/sdb1", RW | {"force"}), True),
        (Mount("ntfs3", "/dev/sdb1", frozenset({"ro"})), True),
        (Mount("ntfs", "/dev/sdb1", frozenset({"ro"})), True),
        (Mount("ext4", "/dev/sdb1", RW), False),
        (Mount("fuseblk", "--help", RW), False),
    ],
)
def test_only_volumes_that_may_be_damaged_are_asked_about(mount, is_asked):
    assert ntfs_volume.is_asked(mount) == is_asked


def test_a_tool_that_hangs_or_is_none_says_nothing(tmp_path):
    hanging = tmp_path / "hanging"
    hanging.write_text(f"#!{sys.executable}\nimport signal\nprint('DIRTY', flush=True)\nsignal.pause()\n")
    hanging.chmod(0o755)
    assert ntfs_volume.ask(str(hanging), "/dev/sdb1", timeout_s=0.2) == b""
    assert ntfs_volume.ask(str(tmp_path / "none"), "/dev/sdb1") == b""


def test_drives_without_ntfs_are_not_asked_about(tmp_path):
    assert not ntfs_volume.is_dirty(tmp_path.stat().st_dev)
    assert not ntfs_volume.is_dirty(Path("/proc").stat().st_dev)
    assert not ntfs_volume.is_dirty(0)


@needs_ntfs
def test_nothing_is_imported_from_a_volume_that_is_to_be_repaired(tmp_path, library):
    image = tmp_path / "ntfs.img"
    image.touch()
    os.truncate(image, 20_000_000)
    subprocess.run(["mkntfs", "-q", "-F", image], check=True, capture_output=True)
    with PumasApi(library.parents[1]) as api:
        with mounted_image(image, tmp_path / "drive", "ntfs-3g") as drive:
            (drive / "a.gguf").write_bytes(b"GGUF")
            (told,) = api.import_model(drive / "a.gguf").result().results
            assert told.error is None
        subprocess.run(["ntfsfix", image], check=True, capture_output=True)  # it marks the volume for a check
        with mounted_image(image, tmp_path / "drive", "ntfs-3g") as drive:
            (result,) = api.import_model(drive / "a.gguf", mode="move", allows_duplicates=True).result().results
            (candidate,) = api.classify_model_import_paths([drive / "a.gguf"]).result()
            assert result.error == candidate.refusal == f"{drive}/a.gguf: {ntfs_volume.DIRTY}"
            assert (drive / "a.gguf").read_bytes() == b"GGUF"
