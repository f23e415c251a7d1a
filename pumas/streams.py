"""Standard streams as a program finds them."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def replace_closed_streams() -> None:
    """Let output go nowhere where a parent closed it (`pumas list >&-`): nobody wants the lines then."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - for the whole run
