"""Programs that Pumas needs on the machine besides itself."""

from __future__ import annotations

import shutil

# The browser that the original asked for is optional in fact; its Python modules are dependencies of ours.
_NEEDED = ("git",)


def missing_tools() -> tuple[str, ...]:
    """Names of needed programs that are not on PATH."""
    return tuple(name for name in _NEEDED if shutil.which(name) is None)
