"""Copies that are digested on the way, renames that replace nothing, shared content."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import blake3
import pumas_native
import pytest
from pumas_native.errors import Cancelled, InvalidArgument
from support.drives import btrfs_drive, can_mount_btrfs

SIZES = [0, 1, 511, 524_288, 524_289, 20_000_003]


def _data(size: int) -> bytes:
    return (hashlib.shake_128(b"x").digest(min(size, 1 << 20)) * (size // (1 << 20) + 1))[:size]


def test_copies_are_whole_and_digested(tmp_path):
    paths = [tmp_path / str(size) for size in SIZES]
    for path, size in zip(paths, SIZES, strict=True):
        path.write_bytes(_data(size))
        path.chmod(0o400)
        os.utime(path, ns=(1, 1_600_000_000_987_654_321))
    targets = [path.with_suffix(".copy") for path in paths]
    told: list[int] = []
    copies = pumas_native.copy_files(paths, targets, progress=told.append)
    assert copies.problems == []
    for number, (path, target) in enumerate(zip(paths, targets, strict=True)):
        data = path.read_bytes()
        assert target.read_bytes() == data
        assert copies.sha256[number * 32 : number * 32 + 32] == hashlib.sha256(data).digest()
        assert copies.blake3[number * 32 : number * 32 + 32] == blake3.blake3(data).digest()
        assert target.stat().st_mtime_ns == path.stat().st_mtime_ns
        assert target.stat().st_mode == path.stat().st_mode
    assert copies.fingerprints == pumas_native.fingerprint_files(paths)[0]
    assert told[-1] == sum(SIZES)


@pytest.mark.parametrize("taken", ["file", "folder", "dangling link"])
def test_what_is_there_is_never_replaced(taken, tmp_path):
    path, target = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"a")
    if taken == "file":
        target.write_bytes(b"b")
    elif taken == "folder":
        target.mkdir()
    else:
        target.symlink_to("nowhere")
    before = target.lstat()
    problems = [
        *pumas_native.copy_files([path], [target]).problems,
        *pumas_native.rename_new([path], [target]),
        *pumas_native.reflink_files([path], [target]),
    ]
    assert [(position, error.errno, error.filename) for position, error in problems] == [
        (0, errno.EEXIST, str(target))
    ] * 3
    assert (target.lstat().st_ino, target.lstat().st_size) == (before.st_ino, before.st_size)
    assert path.read_bytes() == b"a"


def test_problems_name_the_file_that_has_them(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"a")
    missing, nowhere = tmp_path / "missing", tmp_path / "no" / "b"
    copies = pumas_native.copy_files(
        [missing, path, tmp_path, path], [tmp_path / "1", nowhere, tmp_path / "3", tmp_path / "4"]
    )
    assert [(position, error.filename) for position, error in copies.problems] == [
        (0, str(missing)),
        (1, str(nowhere)),
        (2, str(tmp_path)),
    ]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["4", "a"]


def test_a_cancelled_copy_leaves_nothing_half(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"")
    os.truncate(path, 2_000_000_000)
    token = pumas_native.CancelToken()
    with pytest.raises(Cancelled):
        pumas_native.copy_files([path], [tmp_path / "b"], progress=lambda _: token.cancel(), cancel=token)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_renames_go_on_after_one_that_fails(tmp_path):
    for name in ("a", "b", "c", "taken"):
        (tmp_path / name).mkdir()
    paths = [tmp_path / name for name in "abc"]
    ((position, error),) = pumas_native.rename_new(paths, [tmp_path / name for name in ("1", "taken", "3")])
    assert (position, error.errno) == (1, errno.EEXIST)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["1", "3", "b", "taken"]


def test_cancelled_renames_tell_how_far_they_came(tmp_path):
    token = pumas_native.CancelToken()
    token.cancel()
    ((_, error),) = pumas_native.rename_new([tmp_path / "a"], [tmp_path / "b"], cancel=token)
    assert error.errno == errno.ECANCELED


def test_content_is_shared_or_nothing_is_there(tmp_path):
    path, target = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"content")
    problems = pumas_native.reflink_files([path], [target])
    if problems:
        assert problems[0][1].errno in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY)
        assert not target.exists()
    else:
        assert target.read_bytes() == b"content"


@pytest.mark.skipif(not can_mount_btrfs(), reason="needs permission to mount")
def test_content_is_shared_where_the_file_system_can(tmp_path):
    with btrfs_drive(tmp_path / "drive") as drive:
        path, target = drive / "a", drive / "b"
        path.write_bytes(bytes(range(256)) * 4096)
        path.chmod(0o640)
        os.utime(path, ns=(1, 1_700_000_000_123_456_789))
        assert pumas_native.reflink_files([path], [target]) == []
        assert target.read_bytes() == path.read_bytes()
        assert target.stat().st_mtime_ns == path.stat().st_mtime_ns
        assert target.stat().st_mode == path.stat().st_mode
        ((_, error),) = pumas_native.reflink_files([path], [target])
        assert error.errno == errno.EEXIST
        other = tmp_path / "b"
        ((_, error),) = pumas_native.reflink_files([path], [other])
        assert error.errno == errno.EXDEV
        assert not other.exists()


@pytest.mark.parametrize("function", [pumas_native.copy_files, pumas_native.rename_new, pumas_native.reflink_files])
def test_there_is_one_target_for_each_path(function, tmp_path):
    with pytest.raises(InvalidArgument):
        function([tmp_path], [])


def test_a_file_that_grows_has_no_copy(tmp_path):
    path: Path = tmp_path / "a"
    path.write_bytes(b"")
    os.truncate(path, 500_000_000)

    def grow(_done: int) -> None:
        os.truncate(path, path.stat().st_size + 1)

    copies = pumas_native.copy_files([path], [tmp_path / "b"], progress=grow)
    assert isinstance(copies.problems[0][1], pumas_native.errors.FileChangedError)
    assert not (tmp_path / "b").exists()
