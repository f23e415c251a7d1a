"""What the kernel says of mounts."""

from __future__ import annotations

import os

import pytest

from pumas.store.mounts import Mount, find_device, mount_of_device

LINES = [
    "27 1 254:0 / / rw,relatime - ext4 /dev/root rw",
    "42 27 7:0 / /mnt/a\\040b rw,nosuid shared:7 master:1 - fuseblk /dev/lo\\040op rw,user_id=0,blksize=4096",
]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((254, 0), Mount("ext4", "/dev/root", frozenset({"rw", "relatime"}))),
        ((7, 0), Mount("fuseblk", "/dev/lo op", frozenset({"rw", "nosuid", "user_id=0", "blksize=4096"}))),
        ((7, 1), None),
    ],
)
def test_a_mount_is_found_by_the_number_of_its_device(numbers, expected):
    assert find_device(os.makedev(*numbers), LINES) == expected


def test_the_drive_of_a_folder_is_found():
    found = mount_of_device(os.stat("/proc").st_dev)
    assert found is not None
    assert found.kind == "proc"
