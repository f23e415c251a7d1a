"""Files and functions stay small enough to have one reason to change.

Files of one language: median at most 150 lines, nine of ten at most 400, none over 600. A Python function has at most
80 lines (clippy's `too_many_lines` holds Rust to the same). Tables and stubs are exempt: they only list.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from math import ceil
from pathlib import Path

ROOT = Path(__file__).parent.parent
MEDIAN_LINES = 150
P90_LINES = 400
MAX_LINES = 600
MAX_FUNCTION_LINES = 80
TABLES = frozenset({"pumas/rpc/later.py", "pumas/constants.py"})


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def file_problems(language: str, sizes: dict[str, int]) -> Iterator[str]:
    """Budgets of the files of one language; `sizes` has the lines by path."""
    for name, lines in sizes.items():
        if lines > MAX_LINES:
            yield f"{name}: {lines} lines, at most {MAX_LINES}"
    # An empty __init__.py says nothing about how files are cut.
    counted = sorted(lines for lines in sizes.values() if lines > 1)
    if not counted:
        return
    median = statistics.median(counted)
    if median > MEDIAN_LINES:
        yield f"{language}: half of the files have over {median:g} lines, at most {MEDIAN_LINES}"
    p90 = counted[ceil(len(counted) * 0.9) - 1]
    if p90 > P90_LINES:
        yield f"{language}: a tenth of the files has {p90} lines or more, at most {P90_LINES}"


def function_problems(name: str, source: str) -> Iterator[str]:
    """Functions of a Python file that are too long, counted from `def` to the last line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{name}:{node.lineno}: {node.name} has {lines} lines, at most {MAX_FUNCTION_LINES}"


def problems() -> Iterator[str]:
    """Every budget that is exceeded."""
    python = {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.glob("pumas/**/*.py"))}
    rust = {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.glob("_native/src/**/*.rs"))}
    yield from file_problems("Python", {name: _lines(path) for name, path in python.items() if name not in TABLES})
    yield from file_problems("Rust", {name: _lines(path) for name, path in rust.items()})
    for name, path in python.items():
        yield from function_problems(name, path.read_text(encoding="utf-8"))


def main() -> int:
    """Print what is too large."""
    found = list(problems())
    for problem in found:
        print(f"check_sizes: {problem}", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
