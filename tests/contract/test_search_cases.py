"""Search on the recorded database as it is: expressions, hits, order, filters."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.cases import check, library_cases
from support.roots import FIXTURES

from pumas import PumasApi
from pumas.search.query import match_expression, quote


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    target = root / "shared-resources" / "models"
    target.mkdir(parents=True)
    shutil.copy(FIXTURES / "root/shared-resources/models/models.db", target / "models.db")
    with PumasApi(root) as api:
        yield api


@pytest.mark.parametrize(("case_id", "case"), library_cases("search.escape"))
def test_word(case_id, case):
    word = case["term"].strip()
    check(case_id, case["out"], quote(word) if word else "")  # an empty word never reaches the expression


@pytest.mark.parametrize(("case_id", "case"), library_cases("search.query"))
def test_query(case_id, case, recorded):
    page = recorded.search_models_fts(case["raw"])
    ids = [hit.model.model_id for hit in page.hits]
    assert page.total_count == len(ids)
    assert page.query == match_expression(case["raw"])
    check(case_id, {"fts5": case["fts5"], "ids": case["ids"]}, {"fts5": page.query, "ids": ids})


@pytest.mark.parametrize(("case_id", "case"), library_cases("search.query"))
def test_rank(case_id, case, recorded):
    """The scores behind the order are the recorded ones (BM25, `sqlite.md` 2.5)."""
    expression = match_expression(case["raw"])
    if expression != case["fts5"] or not case.get("rank"):
        return  # only an expression that is the recorded one has the recorded scores
    sql = "SELECT rank, rowid FROM model_search WHERE model_search MATCH ? ORDER BY rank, rowid"
    with closing(sqlite3.connect(recorded.library / "models.db")) as db:
        rows = db.execute(sql, (expression,)).fetchall()
    assert [round(rank, 11) for rank, _ in rows] == pytest.approx(case["rank"], abs=1e-10)
    assert [rowid for _, rowid in rows] == case["fts_rowid"]


@pytest.mark.parametrize(("case_id", "case"), library_cases("search.filters"))
def test_filters(case_id, case, recorded):
    arguments = dict(case["args"])
    if arguments.get("limit", 0) < 0 or arguments.get("offset", 0) < 0:
        name = "limit" if arguments.get("limit", 0) < 0 else "offset"
        with pytest.raises(ValueError, match=f"`{name}` must be a whole number from 0"):
            recorded.search_models_fts(arguments.pop("terms"), **arguments)
        return
    page = recorded.search_models_fts(arguments.pop("terms"), **arguments)
    ours = {"ids": [hit.model.model_id for hit in page.hits], "total_count": page.total_count, "query": page.query}
    check(case_id, {key: case[key] for key in ours}, ours)


@pytest.mark.parametrize(("case_id", "case"), library_cases("search.migration"))
def test_search_table_is_made_on_the_first_search(case_id, case, tmp_path: Path):
    target = tmp_path / "shared-resources" / "models"
    target.mkdir(parents=True)
    shutil.copy(FIXTURES / case["database"], target / "models.db")

    def state(database: sqlite3.Connection) -> dict[str, object]:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        return {
            "search_table": "model_search" in names,
            "triggers": sorted(name for name in names if name.startswith("model_search_a")),
        }

    with closing(sqlite3.connect(target / "models.db")) as database:
        assert state(database) == case["before"]
    with PumasApi(tmp_path) as api:
        api.search_models_fts("llama")
    with closing(sqlite3.connect(target / "models.db")) as database:
        rows = [row for (row,) in database.execute("SELECT id FROM model_search ORDER BY rowid")]
        after = {"search_rows": rows, "triggers": state(database)["triggers"]}
    check(case_id, case["after"], after)


@pytest.mark.parametrize(("case_id", "case"), library_cases("search.item"))
def test_item(case_id, case, serve, fixture_root):
    client = serve(fixture_root)
    items = client.call("search_models_fts", {"query": case["official_name"], "limit": 1})["models"]
    (item,) = items
    item["file_path"] = item["file_path"].replace(str(fixture_root), "{root}")
    assert json.loads(item["metadata_json"]) == json.loads(case["metadata_json"])
    check(case_id, case, item)
