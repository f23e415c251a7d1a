"""Documents on full and read-only drives: real file systems where they may be mounted, else limits and modes."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from support.drives import can_mount, fill_drive, mounted_drive, remount

from pumas.errors import NoSpace, Unavailable
from pumas.store.metadata import VERSIONS, load, locate, update
from pumas.store.paths import Layout


def _document(root: Path):
    return locate(Layout(root), VERSIONS, "comfyui")


def _count(value):
    return {**value, "n": value.get("n", 0) + 1}


@pytest.mark.parametrize("state", ["good", "damaged"])
def test_a_full_drive_is_read_refuses_writes_and_recovers(tmp_path, state):
    if not can_mount():
        pytest.skip("needs permission to mount")  # the limit below shows the same without
    with mounted_drive(tmp_path / "small", "size=400k") as root:
        document = _document(root)
        for _ in range(3):
            update(document, _count)
        if state == "damaged":
            document.path.write_text("{")
        names, text = set(document.path.parent.iterdir()), document.path.read_bytes()
        fill_drive(root / "filler")
        expected = 3 if state == "good" else 2
        for _ in range(3):
            with pytest.raises(NoSpace, match="The drive is full"):
                update(document, lambda value: {**value, "text": "x" * 100_000})
            assert load(document)["n"] == expected
        assert document.path.read_bytes() == text
        assert set(document.path.parent.iterdir()) <= names
        assert list(document.path.parent.glob("*.damaged-*")) == []
        (root / "filler").unlink()
        assert update(document, _count)["n"] == expected + 1


@contextmanager
def _read_only(root: Path):
    if os.geteuid() != 0:
        folders = [root, *(one for one in root.rglob("*") if one.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        try:
            yield
        finally:
            for folder in folders:
                folder.chmod(0o755)
        return
    remount(root, "ro")
    try:
        yield
    finally:
        remount(root, "rw")


@pytest.mark.parametrize("state", ["good", "damaged", "none"])
def test_a_read_only_root_is_read_refuses_writes_and_recovers(tmp_path, state):
    root = tmp_path / "root"
    if os.geteuid() == 0 and not can_mount():
        pytest.skip("needs permission to mount")
    with mounted_drive(root, "size=400k") if os.geteuid() == 0 else nullcontext():
        root.mkdir(exist_ok=True)
        document = _document(root)
        for _ in range(0 if state == "none" else 3):
            update(document, _count)
        if state == "damaged":
            document.path.write_text("{")
        before = sorted(root.rglob("*"))
        expected = {"good": 3, "damaged": 2, "none": 0}[state]
        with _read_only(root):
            for _ in range(2):
                assert load(document).get("n", 0) == expected
                with pytest.raises(Unavailable, match="no permission"):
                    update(document, _count)
            assert sorted(root.rglob("*")) == before
        assert update(document, _count)["n"] == expected + 1


def test_a_limit_for_files_is_read_refuses_writes_and_recovers(tmp_path):
    code = """
import resource, sys
from pathlib import Path
from pumas.errors import NoSpace, Unavailable
from pumas.store.metadata import VERSIONS, load, locate, update
from pumas.store.paths import Layout
document = locate(Layout(Path(sys.argv[1])), VERSIONS, "comfyui")
count = lambda value: {**value, "n": value.get("n", 0) + 1}
update(document, count)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
try:
    update(document, lambda value: {**value, "text": "x" * 100_000})
except (NoSpace, Unavailable) as exc:
    print(load(document)["n"], exc)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(update(document, count)["n"])
"""
    ended = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    refused, written = ended.stdout.splitlines()
    assert refused.startswith("1 ")
    assert "versions.json" in refused
    assert written == "2"
    assert list(tmp_path.rglob("*.tmp")) == []
