"""Pages of ready bytes: the same as pages of records, also the second time, after changes, and without growing."""

import json
import tracemalloc

import pytest
from support.roots import write_model

from pumas import PumasApi

MOST_BYTES = 8 << 20  # of records kept, 4 MiB, and what a page needs


@pytest.fixture
def api(library):
    for n in range(200):
        write_model(library, f"llm/f/M{n:03}", description=f"shared {'even' if n % 2 else 'odd'} " + "x" * 40_000)
    with PumasApi(library.parents[1]) as api:
        api.refresh_models().result(30)
        api.prepare_answers()
        while api.ready_search("shared", limit=1) is None:
            pass
        yield api


def found(api, query, **options):
    page = api.ready_search(query, **options)
    assert page is not None
    return [hit["id"] for hit in json.loads(page.hits)]


def test_a_page_is_the_same_however_much_of_it_was_on_pages_before(api):
    for query in ("shared", "even", "odd", "even", "shared"):
        for offset in (0, 5, 10):
            records = api.search_models_fts(query, limit=20, offset=offset)
            assert found(api, query, limit=20, offset=offset) == [hit.model.model_id for hit in records.hits]


def test_a_page_that_was_asked_for_before_shows_what_changed_since(api, library):
    assert "llm/f/M004" in found(api, "odd", limit=200)
    write_model(library, "llm/f/M004", description="even now")
    api.refresh_models().result(30)
    api.prepare_answers()
    while (page := api.ready_search("odd", limit=200)) is None:
        pass
    assert "llm/f/M004" not in [hit["id"] for hit in json.loads(page.hits)]
    assert "llm/f/M004" in found(api, "even", limit=200)


def test_searches_do_not_fill_the_memory(api):
    found(api, "shared", limit=20)
    tracemalloc.start()
    try:
        for offset in range(0, 200, 20):
            assert len(found(api, "shared", limit=20, offset=offset)) == 20
        assert len(found(api, "shared", limit=200)) == 200
        assert tracemalloc.get_traced_memory()[0] < MOST_BYTES
    finally:
        tracemalloc.stop()
