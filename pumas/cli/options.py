"""Options that every command has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Root = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="DIR",
        help="The launcher root; made if it is missing. Default: PUMAS_LAUNCHER_ROOT, else the nearest parent of the "
        "working directory with launcher-data, else the user's data folder.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document to standard output.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show every log line, and tracebacks, on standard error.")]
