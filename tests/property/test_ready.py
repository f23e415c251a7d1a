"""Answers joined from ready bytes are those made from the rows, byte by byte, and never older ones."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.roots import write_model

from pumas import PumasApi
from pumas.rpc import wrapping

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
_FIELDS = (
    *("model_id", "official_name", "cleaned_name", "model_type", "subtype", "family", "description", "tags", "hashes"),
    *("size_bytes", "files", "added_date", "repo_id", "related_available", "metadata_source"),
)
_DOCUMENTS = st.lists(st.dictionaries(st.sampled_from(_FIELDS), _ANY, max_size=8), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    root = tmp_path_factory.mktemp("ready")
    (root / "shared-resources" / "models").mkdir(parents=True)
    with PumasApi(root) as api:
        api.prepare_answers()
        yield api


def _fill(api) -> None:
    api.refresh_models().result(30)
    for job in api._root.jobs.jobs():
        job.result(30)


def _hits(api, query: str) -> bytes:
    page = api.ready_search(query)
    assert page is not None
    return bytes(page.hits)


def _check(api, query: str) -> None:
    listing = api.ready_listing()
    assert listing is not None
    assert b"".join(listing) == msgspec.json.encode(wrapping.models_response(api.list_models()).models)
    ready = api.ready_search(query, limit=50)
    page = api.search_models_fts(query, limit=50)
    assert ready is not None
    assert ready.hits == msgspec.json.encode(wrapping.search_response(page, api.library).models)
    assert (ready.total_count, ready.query) == (page.total_count, page.query)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=_DOCUMENTS, query=st.just("") | _TEXT)
def test_ready_bytes_are_the_bytes_of_the_slow_path(api, documents, query):
    for n in range(6):
        path = api.library / "llm" / "ünï 模" / f"M{n}" / "metadata.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        if n < len(documents):
            path.write_text(json.dumps(documents[n], ensure_ascii=False), encoding="utf-8")
        else:
            path.unlink(missing_ok=True)
    _fill(api)
    _check(api, query)


def test_a_row_that_another_program_wrote_is_never_answered_from_old_bytes(library):
    for n in range(3):
        write_model(library, f"llm/f/M{n}", description="shared")
    with PumasApi(library.parents[1]) as api:
        api.prepare_answers()
        _fill(api)
        _check(api, "shared")
        with closing(sqlite3.connect(library / "models.db")) as db:
            db.execute("UPDATE models SET official_name = 'Forged' WHERE id = 'llm/f/M0'")
            db.commit()
        assert api.ready_listing() is None
        assert api.ready_search("shared") is None
        _fill(api)
        _check(api, "shared")


def test_a_root_that_moved_is_not_answered_with_its_old_paths(library, tmp_path):
    write_model(library, "llm/f/M0", description="shared")
    with PumasApi(library.parents[1]) as api:
        api.prepare_answers()
        _fill(api)
        before = _hits(api, "shared")
    moved = tmp_path / "moved"
    library.parents[1].rename(moved)
    with PumasApi(moved) as api:
        assert api.ready_search("shared") is None
        api.prepare_answers()
        _fill(api)
        _check(api, "shared")
        after = _hits(api, "shared")
    assert str(moved).encode() in after
    assert str(moved).encode() not in before


def test_two_servers_keep_each_others_answers_fresh(library):
    for n in range(3):
        write_model(library, f"llm/f/M{n}", description="shared")
    root = library.parents[1]
    with PumasApi(root) as one, PumasApi(root) as two:
        for api in (one, two):
            api.prepare_answers()
            _fill(api)
        for n in range(8):
            write_model(library, f"llm/f/M{n % 4}", description=f"shared turn{n}")
            _fill(two if n % 2 else one)
            for api in (one, two):
                assert b"turn%d" % n in _hits(api, f"turn{n}")
                _check(api, "shared")
