"""How long is an empty index in being filled from the documents, search table and all?

Ours: `changed_in_library`, `read_rows`, `Index.take_up` on a new `models.db`. Baseline: the same work as a plain Python
script does it, with `os.walk`, orjson and one transaction. Both begin with no file and end with a closed one, in WAL
mode with `synchronous = NORMAL`; the documents are in the page cache. Not pinned to one core: reading the documents
on all cores is a part of what is asked.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
import pytest

from pumas.library.survey import changed_in_library, read_rows
from pumas.search.database import Database
from pumas.search.index import Index

pytestmark = pytest.mark.timeout(600)

TARGET_RATIO = 0.75
SEARCHES = (
    "llama",
    "q4 fp16",
    "tags:text-generation",
    "überall",
    "turbo lightning",
    "family:sdxl anime",
    "description:guidance",
)

_SCHEMA = """
CREATE TABLE models (
    id TEXT PRIMARY KEY, path TEXT NOT NULL, cleaned_name TEXT NOT NULL, official_name TEXT NOT NULL,
    model_type TEXT NOT NULL, tags_json TEXT NOT NULL, hashes_json TEXT NOT NULL, metadata_json TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE VIRTUAL TABLE model_search USING fts5(
    id, official_name, cleaned_name, model_type, tags, family, description,
    tokenize = 'unicode61 remove_diacritics 1'
);
"""
_FILL = """
INSERT INTO model_search(rowid, id, official_name, cleaned_name, model_type, tags, family, description)
SELECT {0}.rowid, {0}.id, {0}.official_name, {0}.cleaned_name, {0}.model_type,
    (SELECT group_concat(value, ' ') FROM json_each({0}.tags_json)),
    json_extract({0}.metadata_json, '$.family'), json_extract({0}.metadata_json, '$.description')"""
_TRIGGERS = (
    f"CREATE TRIGGER model_search_ai AFTER INSERT ON models BEGIN {_FILL.format('new')}; END",
    f"""CREATE TRIGGER model_search_au AFTER UPDATE ON models BEGIN
        DELETE FROM model_search WHERE rowid = old.rowid; {_FILL.format("new")}; END""",
    "CREATE TRIGGER model_search_ad AFTER DELETE ON models BEGIN DELETE FROM model_search WHERE rowid = old.rowid; END",
)


def _fill_ours(library: Path, path: Path) -> None:
    index = Index(Database(path, is_writable=True))
    index.take_up(read_rows(changed_in_library(library, b"").survey))
    index.close()


def _fill_ours_again(library: Path, path: Path) -> None:
    index = Index(Database(path, is_writable=True))
    index.take_up(read_rows(changed_in_library(library, b"").survey), anew=True)
    index.close()


def _fill_plainly(library: Path, path: Path) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;")
    db.executescript(_SCHEMA)
    db.execute("BEGIN")
    db.executemany("INSERT INTO models VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", _plain_rows(str(library)))
    db.execute(f"{_FILL.format('models')} FROM models ORDER BY rowid")
    for trigger in _TRIGGERS:
        db.execute(trigger)
    db.execute("COMMIT")
    db.close()


def _plain_rows(library: str) -> Iterator[tuple[str, ...]]:
    now = datetime.now(UTC).isoformat().removesuffix("+00:00") + "Z"
    for folder, folders, files in os.walk(library):
        if "metadata.json" not in files or folder == library:
            folders[:] = [name for name in folders if not name.startswith(".")]
            continue
        folders.clear()
        with open(f"{folder}/metadata.json", "rb") as file:  # noqa: PTH123 - as a plain script does it
            data = file.read()
        document = orjson.loads(data)
        model_id = folder[len(library) + 1 :]
        yield (
            model_id,
            model_id,
            document.get("cleaned_name") or "",
            document.get("official_name") or "",
            document.get("model_type") or "",
            json.dumps(document.get("tags") or []),
            json.dumps(document.get("hashes") or {}),
            _pretty(document),
            now,
        )


def _pretty(document: Any) -> str:
    # The text of json.dumps, which is only needed where something has to be escaped; orjson makes it faster.
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    return text.decode() if text.isascii() else json.dumps(document, indent=2)


def _timed(fill: Callable[[Path, Path], None], library: Path, path: Path, *, keep: bool = False) -> float:
    if not keep:
        path.unlink(missing_ok=True)
    os.sync()  # what other work left to be written is not ours to wait for
    begun = perf_counter()
    fill(library, path)
    return perf_counter() - begun


def _contents(path: Path) -> tuple[list[Any], list[list[str]]]:
    """All rows without the time of writing, and the ids that some searches find."""
    database = Database(path, is_writable=True)
    sql = (
        "SELECT id, path, cleaned_name, official_name, model_type, tags_json, hashes_json, metadata_json "
        "FROM models ORDER BY id"
    )
    rows = database.connection().execute(sql).fetchall()
    index = Index(database)
    # Rows of equal rank stand in the order of the walk, so the ids are compared sorted.
    found = [sorted(row.id for row in index.search(text, limit=10_000, offset=0).rows) for text in SEARCHES]
    index.close()
    return rows, found


def test_rebuild(
    alternate: Callable[..., tuple[float, float]], judge: Callable[[str, float, float], None], root: Any, tmp_path: Path
) -> None:
    ours, baseline = tmp_path / "ours.db", tmp_path / "baseline.db"
    best, best_baseline = alternate(
        "rebuild",
        lambda: _timed(_fill_ours, root.library, ours),
        lambda: _timed(_fill_plainly, root.library, baseline),
    )
    rows, found = _contents(ours)
    assert len(rows) == root.count
    assert all(found)
    assert (rows, found) == _contents(baseline)
    judge("rebuild_ratio", best / best_baseline, TARGET_RATIO)
    ours.unlink()
    baseline.unlink()


def test_rebuild_of_a_filled_index(
    alternate: Callable[..., tuple[float, float]], judge: Callable[[str, float, float], None], root: Any, tmp_path: Path
) -> None:
    """What `pumas index rebuild` does: every row again, over the old ones, in one transaction."""
    ours, baseline = tmp_path / "ours.db", tmp_path / "baseline.db"
    _fill_ours(root.library, ours)
    best, best_baseline = alternate(
        "rebuild-again",
        lambda: _timed(_fill_ours_again, root.library, ours, keep=True),
        lambda: _timed(_fill_plainly, root.library, baseline),
    )
    assert _contents(ours) == _contents(baseline)
    judge("rebuild_again_ratio", best / best_baseline, TARGET_RATIO)
    ours.unlink()
    baseline.unlink()
