"""How long is an empty index in being filled from the documents, search table and all?

Ours: `changed_in_library`, `read_rows`, `Index.take_up` on a new `models.db`. Baseline: the same work as a plain Python
script does it, with `os.walk`, orjson and one transaction. Both begin with no file and end with a closed one, in WAL
mode with `synchronous = NORMAL`; the documents are in the page cache. Not pinned to one core: reading the documents
on all cores is a part of what is asked. How much memory it takes is the peak of a child that opens the root and does
nothing else; it fills the cache's `folders` too.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
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
TARGET_S = 3.5  # with MANY models
TARGET_PEAK_MIB = 150  # with MANY models
TARGET_GROWTH = 1.2  # time a model, compared with a tenth of the models
MANY = 100_000
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

_REFRESH = """
import sys
from pathlib import Path
from pumas import PumasApi
from pumas.config import Config
with PumasApi(sys.argv[1], config=Config()) as api:
    report = getattr(api, sys.argv[2])().result(600)
status = Path("/proc/self/status").read_text()
peak_kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
print(report.model_count, report.elapsed_s, peak_kib)
"""


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
    with database.use() as db:
        rows = db.execute(sql).fetchall()
    index = Index(database)
    # Rows of equal rank stand in the order of the walk, so the ids are compared sorted.
    found = [sorted(row.id for row in index.search(text, limit=len(rows), offset=0).rows) for text in SEARCHES]
    index.close()
    return rows, found


def test_rebuild(
    alternate: Callable[..., tuple[float, float]], judge: Callable[..., None], root: Any, tmp_path: Path
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
    judge("rebuild_s", best, TARGET_S, at=MANY)
    ours.unlink()
    baseline.unlink()


def test_rebuild_of_a_filled_index(
    alternate: Callable[..., tuple[float, float]], judge: Callable[..., None], root: Any, tmp_path: Path
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


def test_rebuild_is_linear(
    alternate: Callable[..., tuple[float, float]],
    judge: Callable[..., None],
    make_root: Callable[[int], Any],
    root: Any,
    tmp_path: Path,
) -> None:
    tenth = make_root(root.count // 10)
    path = tmp_path / "ours.db"
    best, best_tenth = alternate(
        "rebuild-linear",
        lambda: _timed(_fill_ours, root.library, path),
        lambda: _timed(_fill_ours, tenth.library, path),
        names=("all", "tenth"),
    )
    judge("rebuild_growth_per_model", (best / root.count) / (best_tenth / tenth.count), TARGET_GROWTH)
    path.unlink()


def _refresh_in_child(root: Any, operation: str) -> tuple[float, float]:
    """Seconds that it took, and the peak of the child's resident memory in MiB."""
    arguments = [sys.executable, "-c", _REFRESH, root.path, operation]
    output = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    count, elapsed_s, peak_kib = output.split()
    assert int(count) == root.count
    return float(elapsed_s), int(peak_kib) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is told by Linux's /proc only")
def test_memory(benchmark: Any, judge: Callable[..., None], inform: Callable[[str, float], None], root: Any) -> None:
    for file in root.library.glob("models.db*"):
        file.unlink()
    shutil.rmtree(root.library / ".pumas", ignore_errors=True)
    elapsed_s, peak_mib = benchmark.pedantic(_refresh_in_child, args=(root, "refresh_models"), rounds=1)
    judge("rebuild_peak_mib", peak_mib, TARGET_PEAK_MIB, at=MANY)
    inform("rebuild_in_child_s", elapsed_s)
    elapsed_s, peak_mib = _refresh_in_child(root, "rebuild_index")
    judge("rebuild_again_peak_mib", peak_mib, TARGET_PEAK_MIB, at=MANY)
    inform("rebuild_again_in_child_s", elapsed_s)
