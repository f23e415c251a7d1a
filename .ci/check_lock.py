"""What a build depends on is fixed, and nothing in the repository names one machine.

- `_native/Cargo.lock` is the only lock file and takes every crate from the canonical index, never from a mirror that
  one machine was set up with. (Python versions stand in `.ci/constraints.txt`, without addresses.)
- There is no `rust-toolchain` file: it would make cargo fetch a toolchain.
- No file has the address of a package registry or a path of the machine it was written on.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent
LOCK = "_native/Cargo.lock"
CANONICAL_INDEX = "registry+https://github.com/rust-lang/crates.io-index"

_FOREIGN_NAMES = re.compile(
    r"(?:uv|poetry|pdm|Cargo|yarn|bun|flake)\.lock|Pipfile\.lock|pylock(?:\..+)?\.toml|package-lock\.json"
    r"|pnpm-lock\.yaml|rust-toolchain(?:\.toml)?"
)
# Only as the host of an address: the names alone stand in prose, and the canonical index is a path at another host.
_REGISTRY = re.compile(
    r"://(?:[\w.-]+@)?(?:[\w-]+\.)*(?:pypi\.org|pythonhosted\.org|crates\.io|npmjs\.(?:org|com)|pypi\.python\.org)(?![\w.-]*\w)"
)
# An address where a tool looks for an index of packages, whatever its host.
_INDEX_SETTING = re.compile(
    r"(?:index[-_]url|find[-_]links|replace-with)\b[\"']?\s*[=: ]\s*[\"']?(?:https?|sparse\+|file):", re.IGNORECASE
)
# At the start of a path only: `{folder}/work/…`, `a/root/…` are parts of other paths.
_MACHINE_PATH = re.compile(r"(?<![\w})>.*-])/(?:work|root)/")
_ADVICE = {
    _REGISTRY: "address of a package registry",
    _INDEX_SETTING: "address of a package index",
    _MACHINE_PATH: "path of one machine",
}


def files() -> list[str]:
    """Files that are committed or would be, below the repository's root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout.decode()
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def lock_problems() -> Iterator[str]:
    """Crates of the lock file that come from elsewhere."""
    for package in tomllib.loads((ROOT / LOCK).read_text(encoding="utf-8"))["package"]:
        source = package.get("source", CANONICAL_INDEX)  # our own crate has none
        if source != CANONICAL_INDEX:
            yield f"{LOCK}: {package['name']} comes from {source}"


def text_problems(name: str, text: str) -> Iterator[str]:
    """Lines of one file that name a registry or a machine."""
    for pattern, what in _ADVICE.items():
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{name}:{line}: {what}: {match.group()}"


def problems() -> Iterator[str]:
    """Everything that is wrong."""
    yield from lock_problems()
    for name in files():
        if name != LOCK and _FOREIGN_NAMES.fullmatch(PurePosixPath(name).name):
            yield f"{name}: the only lock file is {LOCK}, and no file chooses a toolchain"
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # no text: databases, pictures
        yield from text_problems(name, text)


def main() -> int:
    """Print what is wrong."""
    found = list(problems())
    for problem in found:
        print(f"check_lock: {problem}", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
