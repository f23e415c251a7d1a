"""The README's table of RPC methods, made from the method table; `--check` only tells whether it is current."""

from __future__ import annotations

import sys
from pathlib import Path

from pumas.rpc.discover import DISCOVER
from pumas.rpc.later import LATER
from pumas.rpc.methods import METHODS

_README = Path(__file__).parents[1] / "README.md"
_BEGIN, _END = "<!-- methods: made by .ci/readme_table.py -->", "<!-- end of methods -->"


def table() -> str:
    """Methods that work, then the names of those that don't yet."""
    lines = ["| method | what it does |", "|---|---|"]
    lines += [f"| `{row.name}` | {row.summary} |" for row in (*METHODS.values(), DISCOVER)]
    count = sum(map(len, LATER.values()))
    lines += ["", f"Not available yet ({count} methods; they answer -32601 `Method not available yet: <name>`):", ""]
    lines += ["| part | methods |", "|---|---|"]
    lines += [f"| {part} | {', '.join(f'`{name}`' for name in names)} |" for part, names in LATER.items()]
    return "\n".join(lines)


def main() -> int:
    """Write the table, or with `--check` compare it."""
    text = _README.read_text("utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    current = f"{before}{_BEGIN}\n{table()}\n{_END}{after}"
    if current == text:
        return 0
    if "--check" in sys.argv:
        print("README.md: the table of methods is not current; run python .ci/readme_table.py")
        return 1
    _README.write_text(current, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
