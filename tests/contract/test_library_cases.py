"""Model documents: what becomes a row, what is listed, which repo a model derives from."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing

import pytest
from support.cases import check, library_cases
from support.roots import write_model

from pumas import PumasApi
from pumas.library.related import base_repo, family_token, related_available, repo_id


@pytest.mark.parametrize(("case_id", "case"), library_cases("related.family_token"))
def test_family_token(case_id, case):
    check(case_id, case["out"], family_token(case["value"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("related.repo_id"))
def test_repo_id(case_id, case):
    check(case_id, case["out"], repo_id(case["value"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("related.base_model"))
def test_base_model(case_id, case):
    document = case["metadata"]
    ours = {"repo_id": base_repo(document), "has_related": related_available(document)}
    check(case_id, {key: case[key] for key in ours}, ours)


@pytest.mark.parametrize(("case_id", "case"), library_cases("index.metadata_documents"))
def test_document(case_id, case, serve, library):
    """One odd document beside a good one: the good one is always there, the odd one as far as it can be read."""
    write_model(library, "llm/good/Good")
    folder = library / "llm" / "zz" / "Doc"
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_bytes(base64.b64decode(case["base64"]))
    root = library.parents[1]
    with PumasApi(root) as api:
        report = api.rebuild_index().result(30)
        assert api.search_models_fts("good").total_count == 1
    with closing(sqlite3.connect(library / "models.db")) as db:
        index_row = db.execute(
            "SELECT cleaned_name, official_name, model_type, tags_json, hashes_json FROM models WHERE id LIKE '%Doc'"
        ).fetchall()
        search_row = db.execute("SELECT * FROM model_search WHERE id LIKE '%Doc'").fetchall()
    client = serve(root)
    found = client.call("search_models_fts", {"query": ""})["models"]
    keys = ("id", "tags", "family", "description", "related_available")
    listed = [model_id for model_id in client.call("get_models")["models"] if model_id != "llm/good/Good"]
    ours = {
        "search_row": search_row,
        "index_row": index_row,
        "listed": listed,
        "search_all": [{key: item[key] for key in keys} for item in found if item["id"] != "llm/good/Good"],
    }
    problems = [problem.reason for problem in report.problems]
    if case["rebuild_with_search_table"] == "ok":
        check(case_id, {key: case[key] for key in ours}, ours)
    else:
        assert problems, "what the original stumbled over is reported"
        check(case_id, case["rebuild_with_search_table"], {**ours, "problems": problems})
