"""What can be wrong with `models.db`: the file, its schema, the search table, and how far it follows the disk.

Nothing here writes: what opening the index would settle is still to be seen.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pumas.models import DocumentRow, Finding
from pumas.search import schema
from pumas.search.take_up import differing
from pumas.store.findings import note, problem
from pumas.store.reading import Unsound, check, read_database

# Search rows whose text is not that of their models; the columns c0 … c3 are id, both names and the type.
_STALE = (
    "SELECT 1 FROM models JOIN model_search_content AS found ON found.c0 = models.id "
    "WHERE found.c1 IS NOT models.official_name OR found.c2 IS NOT models.cleaned_name "
    "OR found.c3 IS NOT models.model_type LIMIT 1"
)

Batches = Callable[[], Iterable[Sequence[DocumentRow]]]


@dataclass(slots=True)
class Drift:
    """How the index differs from the documents."""

    added: int = 0
    changed: int = 0
    removed: int = 0

    @property
    def total(self) -> int:
        """Models that differ."""
        return self.added + self.changed + self.removed


def examine_index(path: Path, batches: Batches) -> list[Finding]:
    """Examine the index.

    Args:
        path: Where it lies, or should.
        batches: Reads the documents; each call begins anew.

    Raises:
        Hindered: It can't be read, or not now.
    """
    if not os.path.lexists(path):
        count = sum(len(batch) for batch in batches())
        return [_missing(path, count)] if count else []
    if not path.is_file():
        return [_damaged(path, "it is not a file")]
    try:
        return read_database(path, lambda db: _examine(path, db, batches))
    except Unsound as exc:
        return [_damaged(path, str(exc))]


def _examine(path: Path, db: sqlite3.Connection, batches: Batches) -> list[Finding]:
    check(db)
    try:
        has_models = schema.has_models(db)
    except ValueError as exc:
        raise Unsound(str(exc)) from exc
    if not has_models:
        count = sum(len(batch) for batch in batches())
        return [_missing(path, count)] if count else []
    findings = [finding for finding in (_examine_search(path, db), _examine_drift(path, db, batches)) if finding]
    _check_search(db)
    return findings


def _check_search(db: sqlite3.Connection) -> None:
    # The words of a damaged search table are read by a search only; a sweep over all of them reads every block.
    if schema.has_search(db):
        db.execute("SELECT count(*) FROM model_search WHERE model_search MATCH 'a* OR e* OR 0*'").fetchone()


def _examine_search(path: Path, db: sqlite3.Connection) -> Finding | None:
    """The search table; one that is not there is made by the first search."""
    remedy = "The next start of a server, or `pumas doctor --fix`, makes it again."
    if not schema.has_search(db):
        if not schema.triggers(db):
            return None
        return _wrong(path, "index_search", "the search table is missing, but not its triggers", remedy)
    if not schema.is_followed(db):
        return _wrong(path, "index_search", "the search table does not follow the models: a trigger is missing", remedy)
    is_ours = schema.is_ours(db)
    is_in_line = schema.is_related_by_rowid(db) if is_ours else schema.is_complete(db)
    if not is_in_line or db.execute(_STALE).fetchone():
        return _wrong(path, "index_search", "the search table holds other models than the index", remedy)
    if is_ours:
        return None
    return note(
        "index_foreign",
        path,
        what="another program made the triggers of the search table",
        remedy=remedy,
        is_repairable=True,
    )


def _examine_drift(path: Path, db: sqlite3.Connection, batches: Batches) -> Finding | None:
    drift = compare(db, batches())
    if not drift.total:
        return None
    return note(
        "index_behind",
        path,
        what=f"the index is not in line with the disk: {drift.added} models are new, {drift.changed} have changed, "
        f"{drift.removed} are gone or can't be read",
        remedy="The next list of models, or `pumas doctor --fix`, brings it in line.",
        is_repairable=True,
    )


def compare(db: sqlite3.Connection, batches: Iterable[Sequence[DocumentRow]]) -> Drift:
    """Compare the rows of the index with those that the documents give; holds one batch and the ids."""
    drift = Drift()
    unseen = {row[0] for row in db.execute("SELECT id FROM models")}
    for batch in batches:
        found = [row[0] in unseen for row in differing(db, batch)]
        drift.changed += sum(found)
        drift.added += len(found) - sum(found)
        unseen.difference_update(row[0] for row in batch)
    drift.removed = len(unseen)
    return drift


def _missing(path: Path, count: int) -> Finding:
    return note(
        "index_missing",
        path,
        what=f"there is no index of the {count} models on disk",
        remedy="The next command that lists models, or `pumas doctor --fix`, makes it.",
        is_repairable=True,
    )


def _damaged(path: Path, reason: str) -> Finding:
    remedy = "`pumas doctor --fix` moves it to the quarantine and makes it again from the documents."
    return _wrong(path, "index_damaged", f"the index is damaged: {reason}", remedy)


def _wrong(path: Path, kind: str, what: str, remedy: str) -> Finding:
    return problem(kind, path, what=what, remedy=remedy, is_repairable=True)
