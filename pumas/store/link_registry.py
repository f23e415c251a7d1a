"""Reading `link_registry.db` (`sqlite.md` §3): which links in app folders lead to a model. Nothing here writes.

What it holds can't be made again from the files, so a register that can't be read is never taken for an empty one.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from pumas.errors import Unavailable
from pumas.organised import ModelLink
from pumas.store.reading import Hindered, Unsound, check, read_database

_HAS_LINKS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'links'"
# Not LIKE: to it, `_` and `%` in a path stand for others.
_OF_MODEL = (
    "SELECT target_path, app_id, app_version FROM links "
    "WHERE model_id = ?1 OR substr(source_path, 1, length(?2)) = ?2 ORDER BY link_id"
)


def links_to(registry: Path, model_id: str, folder: Path) -> tuple[ModelLink, ...]:
    """The links that are registered for a model, or for a file below its folder.

    Raises:
        Unavailable: It can't be told: the register is damaged, or can't be read now.
    """
    if not os.path.lexists(registry):
        return ()
    if not registry.exists():
        raise _untellable("it is a link to nothing")

    def read(db: sqlite3.Connection) -> list[tuple[object, ...]]:
        if db.execute(_HAS_LINKS).fetchone() is None:
            return []
        return db.execute(_OF_MODEL, (model_id, f"{folder}{os.sep}")).fetchall()

    try:
        rows = read_database(registry, read)
    except (Unsound, Hindered) as exc:
        raise _untellable(str(exc)) from exc
    except UnicodeEncodeError:  # below a folder whose name is no UTF-8 nothing can be registered
        return ()
    return tuple(
        ModelLink(target_path=str(target), app_id=str(app_id), app_version=str(version))
        for target, app_id, version in rows
    )


def registry_backup(registry: Path) -> Path:
    """Where the register lies as it was before the last bulk change."""
    return registry.with_name(f"{registry.name}.bak")


def has_whole_backup(registry: Path) -> bool:
    """Whether the backup can be put in the place of the register."""
    try:
        return bool(read_database(registry_backup(registry), _is_whole))
    except (Unsound, Hindered):
        return False


def _is_whole(db: sqlite3.Connection) -> bool:
    check(db, is_thorough=True)
    return db.execute(_HAS_LINKS).fetchone() is not None


def _untellable(reason: str) -> Unavailable:
    return Unavailable(
        f"Whether apps use the model can't be told: the register of links can't be read ({reason}); see `pumas doctor`"
    )
