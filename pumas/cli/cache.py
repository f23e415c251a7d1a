"""`pumas cache …`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer
from rich.console import RenderableType

from pumas.cli.logs import logged
from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import facts, put
from pumas.cli.text import clean, count_text, size_text

if TYPE_CHECKING:
    from pumas.store.cache import CacheInfo, Cleared

T = TypeVar("T")

group = typer.Typer(help="Look after the cache, which can be deleted at any time.")


@group.callback()
def _keep_as_group() -> None:
    """Look after the cache, which can be deleted at any time."""


@group.command("info", epilog="Example: pumas cache info --json")
def info(*, root: Root = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show where the cache lies and what is in it."""
    with logged(is_debug=debug):
        from pumas.store.cache import open_cache  # noqa: PLC0415 - `pumas --help` does without LMDB

        cache = _on_root(root, open_cache)
        try:
            found = cache.info()
        finally:
            cache.close()
        put(found, lambda: _sheet(found), as_json=as_json)


@group.command("clear", epilog="Example: pumas cache clear")
def clear(*, root: Root = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Empty the cache.

    It fills again by itself. Models, their documents and the index stay as they are.
    """
    with logged(is_debug=debug):
        from pumas.store.cache import clear_cache  # noqa: PLC0415 - as above

        removed = _on_root(root, clear_cache)
        put(removed, lambda: _told(removed), as_json=as_json)


def _on_root(root: Path | None, work: Callable[..., T]) -> T:
    """Do something with the cache of a launcher root, without what opening the whole root would do to the cache."""
    from pumas.config import Config  # noqa: PLC0415 - as above
    from pumas.store.paths import chosen_root, open_layout  # noqa: PLC0415

    config = Config.from_env()
    layout, is_writable = open_layout(chosen_root(root, config)[0])
    return work(layout.library, is_writable=is_writable, fallback=lambda: layout.cache_folder(config))


def _sheet(found: CacheInfo) -> RenderableType | str:
    if found.path is None:
        return "There is no place for a cache: everything is read again each time"
    rows = [
        ("Folder", str(found.path)),
        ("Place", "the user's cache folder" if found.is_fallback else "the library"),
        ("Usable", "yes" if found.is_usable else "no, all works without it"),
        ("Size", f"{size_text(found.size_bytes)} of {size_text(found.map_size_bytes)} before it grows"),
        ("Format", str(found.format_version)),
        ("Library", found.library_id),
    ]
    return facts([*rows, *((label.capitalize(), _entries_text(count)) for label, count in found.entries.items())])


def _told(removed: Cleared) -> str:
    if removed.path is None:
        return "There is no cache"
    total = sum(removed.entries.values())
    return clean(f"Removed {_entries_text(total)}, {size_text(removed.freed_bytes)}: {removed.path}")


def _entries_text(count: int) -> str:
    return count_text(count, "entry") if count == 1 else f"{count} entries"
