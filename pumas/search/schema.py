"""The schema of `models.db` (`sqlite.md` §2): names and meanings are the contract's, trigger bodies are ours.

The original's triggers find a model's search row by its id, which reads the whole search table each time. Ours give the
search row the rowid of its model. A database whose triggers are the original's is used as it is until something
has to be written; `is_ours` tells which relation holds.
"""

from __future__ import annotations

import sqlite3

COLUMNS = (
    "id",
    "path",
    "cleaned_name",
    "official_name",
    "model_type",
    "tags_json",
    "hashes_json",
    "metadata_json",
    "updated_at",
)

_MODELS = """
CREATE TABLE models (
    id TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    cleaned_name TEXT NOT NULL,
    official_name TEXT NOT NULL,
    model_type TEXT NOT NULL,
    tags_json TEXT NOT NULL,
    hashes_json TEXT NOT NULL,
    metadata_json TEXT NOT NULL,
    updated_at TEXT NOT NULL
)"""

SEARCH_COLUMNS = ("id", "official_name", "cleaned_name", "model_type", "tags", "family", "description")
TOKENIZE = "tokenize = 'unicode61 remove_diacritics 1'"

_SEARCH = f"CREATE VIRTUAL TABLE model_search USING fts5({', '.join(SEARCH_COLUMNS)}, {TOKENIZE})"


def valid_json(column: str) -> str:
    """The column, or null where another program stored what is no JSON: one bad row must not fail a statement."""
    return f"CASE WHEN json_valid({column}) THEN {column} END"


def _values(row: str) -> str:
    """Expressions for a search row: rowid first, then the seven columns (`sqlite.md` §2.2)."""
    return (
        f"{row}.rowid, {row}.id, {row}.official_name, {row}.cleaned_name, {row}.model_type, "
        f"(SELECT group_concat(value, ' ') FROM json_each({valid_json(f'{row}.tags_json')})), "
        f"json_extract({valid_json(f'{row}.metadata_json')}, '$.family'), "
        f"json_extract({valid_json(f'{row}.metadata_json')}, '$.description')"
    )


_INSERT = f"INSERT INTO model_search(rowid, {', '.join(SEARCH_COLUMNS)}) "

TRIGGERS = {
    "model_search_ai": f"""
CREATE TRIGGER model_search_ai AFTER INSERT ON models BEGIN
    {_INSERT}SELECT {_values("new")};
END""",
    "model_search_au": f"""
CREATE TRIGGER model_search_au AFTER UPDATE ON models BEGIN
    DELETE FROM model_search WHERE rowid = old.rowid;
    {_INSERT}SELECT {_values("new")};
END""",
    "model_search_ad": """
CREATE TRIGGER model_search_ad AFTER DELETE ON models BEGIN
    DELETE FROM model_search WHERE rowid = old.rowid;
END""",
}


def create_search(db: sqlite3.Connection) -> None:
    """Make the search table."""
    db.execute(_SEARCH)


def create_models(db: sqlite3.Connection) -> None:
    """Make the table of models."""
    db.execute(_MODELS)


def has_models(db: sqlite3.Connection) -> bool:
    """Whether the table of models is there with the contract's columns.

    Raises:
        ValueError: There is a table of that name with other columns.
    """
    found = [row[1] for row in db.execute("PRAGMA table_info(models)")]
    if found and not set(COLUMNS) <= set(found):
        raise ValueError("the table `models` has other columns")
    return bool(found)


def ids(db: sqlite3.Connection) -> list[str]:
    """The ids of all models.

    Raises:
        ValueError: One is no text.
    """
    found = [row[0] for row in db.execute("SELECT id FROM models")]
    if not all(isinstance(one, str) for one in found):
        raise ValueError("an id is no text")
    return found


def triggers(db: sqlite3.Connection) -> dict[str, str]:
    """Name and text of the search triggers that exist."""
    rows = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'model_search_a_'")
    return dict(rows.fetchall())


def has_search(db: sqlite3.Connection) -> bool:
    """Whether the search table exists and is one."""
    row = db.execute("SELECT sql FROM sqlite_master WHERE name = 'model_search' AND type = 'table'").fetchone()
    return row is not None and "fts5" in row[0].lower()


def is_contracts(db: sqlite3.Connection) -> bool:
    """Whether the search table was made as the contract says, so that its rows hold the contract's tokens."""
    row = db.execute("SELECT sql FROM sqlite_master WHERE name = 'model_search' AND type = 'table'").fetchone()
    return row is not None and _compact(row[0]) == _compact(_SEARCH)


def _compact(sql: str) -> str:
    return "".join(sql.split()).replace('"', "'").lower()


def is_followed(db: sqlite3.Connection) -> bool:
    """Whether the search table exists and triggers, whoever made them, keep it in line."""
    return has_search(db) and triggers(db).keys() == TRIGGERS.keys()


def is_ours(db: sqlite3.Connection) -> bool:
    """Whether the triggers are ours, so that search rows have the rowids of their models."""
    return has_search(db) and triggers(db) == {name: sql.strip() for name, sql in TRIGGERS.items()}


_STATE = """
SELECT (SELECT schema_version FROM pragma_schema_version),
    (SELECT block FROM model_search_data WHERE id = 1), (SELECT block FROM model_search_data WHERE id = 10)
"""


def stamp(db: sqlite3.Connection) -> bytes:
    """What changes with every write that the search table follows; empty when its rows don't follow ours.

    The averages (row 1) and the structure with its write counter (row 10) of FTS5's own data, and the schema cookie,
    since a table that is made anew counts from zero again. What it can't tell is FTS5's own command `rebuild` after
    writes that left the numbers of tokens and pages as they were: that counts anew too. Neither we nor the original
    give it.
    """
    return _joined(*_state(db)) if is_ours(db) else b""


def stamp_under(db: sqlite3.Connection, cookie: int | None) -> bytes:
    """The stamp by one statement, if the schema is the one of `cookie`, under which it was not empty; else empty."""
    if cookie is None:
        return b""
    try:
        found, *blocks = _state(db)
    except sqlite3.OperationalError:  # the table is gone, for one
        return b""
    return _joined(found, *blocks) if found == cookie else b""


def cookie_of(known: bytes) -> int | None:
    """The schema cookie in a stamp."""
    return int(known.partition(b":")[0]) if known else None


def _state(db: sqlite3.Connection) -> tuple[int, object, object]:
    found: tuple[int, object, object] = db.execute(_STATE).fetchone()
    return found


def _joined(cookie: int, *blocks: object) -> bytes:
    found = [block for block in blocks if isinstance(block, bytes)]
    if len(found) != len(blocks):
        raise ValueError("the search table's own data is damaged")
    return b"%d:" % cookie + b"".join(found)


def is_related_by_rowid(db: sqlite3.Connection) -> bool:
    """Whether every search row has the rowid and the id of its model; reads both tables."""
    sql = (
        "SELECT 1 FROM models LEFT JOIN model_search_content AS found ON found.id = models.rowid "
        "WHERE found.c0 IS NOT models.id LIMIT 1"
    )
    return db.execute(sql).fetchone() is None and is_complete(db)


def is_complete(db: sqlite3.Connection) -> bool:
    """Whether there are as many search rows as models."""
    sql = "SELECT (SELECT count(*) FROM models) = (SELECT count(*) FROM model_search_content)"
    return bool(db.execute(sql).fetchone()[0])


def drop_triggers(db: sqlite3.Connection) -> None:
    """Let rows be written without the search table following; `create_triggers` ends it."""
    for name in TRIGGERS:
        db.execute(f"DROP TRIGGER IF EXISTS {name}")


def create_triggers(db: sqlite3.Connection) -> None:
    """Make our triggers; the search rows must have the rowids of their models."""
    drop_triggers(db)
    for sql in TRIGGERS.values():
        db.execute(sql.strip())


def empty_search(db: sqlite3.Connection) -> None:
    """Make the search table anew, without rows; fill it, then `create_triggers`."""
    drop_triggers(db)
    db.execute("DROP TABLE IF EXISTS model_search")
    create_search(db)


def fill_search(db: sqlite3.Connection, *, first: int = -(1 << 63)) -> None:
    """Add the search rows of all models whose rowid is at least `first`; other programs make negative ones too."""
    db.execute(f"{_INSERT}SELECT {_values('models')} FROM models WHERE rowid >= ? ORDER BY rowid", (first,))


def refill_search(db: sqlite3.Connection) -> None:
    """Make the search table anew from all models, and our triggers with it."""
    empty_search(db)
    fill_search(db)
    create_triggers(db)


def refresh_search_rows(db: sqlite3.Connection, rowids: str) -> None:
    """Remake the search rows of some models; `rowids` is a table with one column `id`. Only where `is_ours` held."""
    db.execute(f"DELETE FROM model_search WHERE rowid IN (SELECT id FROM {rowids})")
    db.execute(f"{_INSERT}SELECT {_values('models')} FROM models WHERE rowid IN (SELECT id FROM {rowids})")
