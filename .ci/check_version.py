"""One version in all places: manifests, the pin of pumas-native, Cargo.lock, `pumas.__version__`, the changelog.

cargo and pip read it from different files, so it stands literally in each; this check is what keeps them equal.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

# `## [Unreleased]`, `## [1.2.3] - 2026-01-31`, with or without the brackets (keepachangelog.com).
_HEADING = re.compile(r"^## \[?(?P<name>Unreleased|\d+\.\d+\.\d+\S*?)\]?(?: |$)", re.MULTILINE)


def _toml(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


def _found_in(path: str, pattern: str) -> str:
    match = re.search(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    return match.group(1) if match else "nothing"


def _pins(dependencies: list[str]) -> str:
    pins = [one.partition("==")[2].strip() for one in dependencies if re.match(r"pumas-native\b", one)]
    return ", ".join(pins) or "nothing"


def _locked(packages: list[dict[str, Any]]) -> str:
    return ", ".join(one["version"] for one in packages if one["name"] == "pumas-native") or "nothing"


def stated_versions() -> dict[str, str]:
    """What each place says, the first one being the measure."""
    project = _toml("pyproject.toml")["project"]
    return {
        "pyproject.toml": project["version"],
        "pyproject.toml, pin of pumas-native": _pins(project["dependencies"]),
        "pumas/__init__.py": _found_in("pumas/__init__.py", r'^__version__ = "(.*)"$'),
        "_native/pyproject.toml": _toml("_native/pyproject.toml")["project"]["version"],
        "_native/Cargo.toml": _toml("_native/Cargo.toml")["package"]["version"],
        "_native/Cargo.lock": _locked(_toml("_native/Cargo.lock")["package"]),
    }


def changelog_problem(version: str) -> str | None:
    """What is wrong with the changelog's top: it names `version`, or `Unreleased` above older releases only."""
    path = ROOT / "CHANGELOG.md"
    if not path.is_file():
        return "CHANGELOG.md is missing"
    names = [match["name"] for match in _HEADING.finditer(path.read_text(encoding="utf-8"))]
    if not names:
        return "CHANGELOG.md has no heading `## [Unreleased]` or `## [X.Y.Z]`"
    if names[0] == "Unreleased" or names[0] == version:
        return None
    return f"CHANGELOG.md: the top entry is {names[0]}, not Unreleased or {version}"


def main() -> int:
    """Print each place that says something else."""
    versions = stated_versions()
    version = versions["pyproject.toml"]
    problems = [f"{place}: {stated}, not {version}" for place, stated in versions.items() if stated != version]
    problems += filter(None, [changelog_problem(version)])
    for problem in problems:
        print(f"check_version: {problem}", file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
