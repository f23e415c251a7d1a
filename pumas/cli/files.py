"""For commands on files, wherever they lie: the cache of a library that is there, without opening or making a root."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pumas.store.cache import Cache


@contextmanager
def library_cache(paths: Sequence[Path], root: Path | None) -> Iterator[tuple[Path, Cache | None]]:
    """The library of the root that is chosen, and its cache if one of the files lies in it."""
    from pumas.config import Config, expanded  # noqa: PLC0415 - `pumas --help` does without native code
    from pumas.store.cache import open_cache  # noqa: PLC0415
    from pumas.store.paths import Layout, chosen_root  # noqa: PLC0415

    config = Config.from_env()
    layout = Layout(expanded(chosen_root(root, config)[0]).absolute())
    library = layout.library
    inside = f"{os.path.realpath(library)}{os.sep}"
    if not any(os.path.realpath(path).startswith(inside) for path in paths):
        yield library, None
        return
    is_writable = os.access(library, os.W_OK)
    cache = open_cache(library, is_writable=is_writable, fallback=lambda: layout.cache_folder(config))
    try:
        yield library, cache
    finally:
        cache.close()
