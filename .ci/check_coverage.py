"""The tests reach at least 85 % of `pumas/`, and 80 % of each file in it; branches count like statements.

Reads the data that the last `pytest --cov` left. Silent when all is well: pytest's summary stays the last line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent
MIN_TOTAL = 85.0
MIN_FILE = 80.0
# Below this, one line of a file is a quarter of it.
MIN_STATEMENTS = 1


def read_report() -> dict[str, Any]:
    """`coverage json` of the data in the repository's root."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        subprocess.run(
            [sys.executable, "-m", "coverage", "json", "--quiet", "--fail-under=0", "-o", str(path)],
            cwd=ROOT,
            check=True,
        )
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


def problems(report: dict[str, Any]) -> Iterator[str]:
    """What is reached too little, the worst file first."""
    summaries = {name: file["summary"] for name, file in report["files"].items()}
    for name, summary in sorted(summaries.items(), key=lambda item: item[1]["percent_covered"]):
        percent = summary["percent_covered"]
        if summary["num_statements"] >= MIN_STATEMENTS and percent < MIN_FILE:
            yield f"{name}: {percent:.1f} %, at least {MIN_FILE:g} %"
    total = report["totals"]["percent_covered"]
    if total < MIN_TOTAL:
        yield f"all of pumas/: {total:.1f} %, at least {MIN_TOTAL:g} %"


def main() -> int:
    """Print what is reached too little."""
    try:
        report = read_report()
    except subprocess.CalledProcessError:
        print("check_coverage: there is no coverage data; run `make test`", file=sys.stderr)
        return 1
    found = list(problems(report))
    for problem in found:
        print(f"check_coverage: {problem}", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
