"""Pumas: one library for all AI models on a machine.

    from pumas import PumasApi

    with PumasApi(root) as api:
        page = api.search_models_fts("llama", limit=10)

Names are loaded on first use: `import pumas` alone costs a few milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pumas.api import PumasApi
    from pumas.config import Config
    from pumas.errors import PumasError
    from pumas.jobs import Job

__version__ = "0.1.0"

__all__ = ["Config", "Job", "PumasApi", "PumasError", "__version__"]

_HOMES = {"Config": "pumas.config", "Job": "pumas.jobs", "PumasApi": "pumas.api", "PumasError": "pumas.errors"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pumas' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - loaded on first use

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
