"""Ranking beside a real index and a real cache: the same pages as FTS5 gives, whoever writes meanwhile."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from random import Random
from typing import Any

import pytest
from support.corpora import WORDS, query
from support.roots import write_model

from pumas import PumasApi
from pumas.config import Config
from pumas.errors import InvalidInput
from pumas.store.cache import Table

MODELS = 40


def _write(library, number: int, random: Random) -> None:
    words = " ".join(random.choices(WORDS, k=random.randint(0, 12)))
    kind = random.choice(("llm", "diffusion"))
    for other in ("llm", "diffusion"):
        shutil.rmtree(library / other / "f" / f"M{number}", ignore_errors=True)
    write_model(library, f"{kind}/f/M{number}", description=words, tags=random.sample(["Lora", "en", "é"], 2))


@pytest.fixture
def api(library):
    random = Random(3)
    for number in range(MODELS):
        _write(library, number, random)
    with PumasApi(library.parents[1], config=Config()) as api:
        api.refresh_models().result(30)
        yield api


def _rank(api: PumasApi) -> None:
    """Search until the ranking is made, as users do."""
    for _ in range(2):
        api.search_models_fts("llama")
        for job in api._root.jobs.jobs():
            job.result(30)


def _page(api: PumasApi, text: str, **chosen):
    return api._root.ranked.page(text, **{"limit": 10, "offset": 0, **chosen})


def _check(api: PumasApi, random: Random, count: int = 30) -> None:
    """Ranked, and as FTS5 has it."""
    for _ in range(count):
        text = query(random)
        chosen: dict[str, Any] = {
            "limit": random.choice((0, 3, 100)),
            "offset": random.choice((0, 2, 2**62)),
            "model_types": random.choice(([], ["llm"], ["llm", "none"])),
            "tags": random.choice(([], [], ["LORA"], ["É", "en"])),
        }
        ours, theirs = _page(api, text, **chosen), api._root.index.search_rowids(text, **chosen)
        assert ours is not None
        assert ours == theirs, text


def _files(library):
    return sorted((library / ".pumas" / "cache").glob("postings-*"))


def test_the_second_search_prepares_what_answers_the_others(api, library):
    assert _page(api, "llama") is None
    api.search_models_fts("llama")
    assert _files(library) == []
    _rank(api)
    assert len(_files(library)) == 1
    _check(api, Random(1))
    for text in ("", "tags:lora", "llama description:a"):
        assert _page(api, text) is None, "such ones are FTS5's"
    found = api.search_models_fts("llama", limit=5)
    assert [hit.model.model_id for hit in found.hits] == [
        row.id for row in api._root.index.search("llama", limit=5, offset=0).rows
    ]
    with pytest.raises(InvalidInput, match="at most"):
        _page(api, "llama", tags=["a"] * 10_000)


def test_what_refreshes_write_is_ranked_at_once(api, library):
    _rank(api)
    random = Random(2)
    for turn in range(12):
        for number in random.sample(range(MODELS + turn), random.randint(1, 6)):
            if random.random() < 0.3:
                shutil.rmtree(library / "llm" / "f" / f"M{number}", ignore_errors=True)
            else:
                _write(library, number, random)
        if turn % 4 == 3 and (library / "llm" / "f").exists():
            (library / "llm" / "f").rename(library / "llm" / f"g{turn}")
        api.refresh_models().result(30)
        _check(api, random)


def test_a_restart_takes_the_postings_from_the_disk(api, library):
    _rank(api)
    before = _files(library)
    with PumasApi(library.parents[1], config=Config()) as again:
        _rank(again)
        _check(again, Random(4))
    assert _files(library) == before


def test_postings_that_were_compared_with_another_sqlite_are_made_again(api, library):
    """A library that is used from an x86 machine and an arm64 one, or after SQLite was replaced."""
    _rank(api)
    before = _files(library)
    cache = api._root.cache
    ((key, value),) = cache.items(Table.POSTINGS)
    manifest = json.loads(value)
    assert sqlite3.sqlite_version in manifest["checked_on"]
    cache.put_many(Table.POSTINGS, [(key, json.dumps(manifest | {"checked_on": "linux-other"}).encode())])
    with PumasApi(library.parents[1], config=Config()) as again:
        _rank(again)
        _check(again, Random(4))
    assert len(_files(library)) == 1
    assert _files(library) != before


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "folder", "gone", "of another state"])
def test_postings_that_are_damaged_are_made_again(api, library, damage):
    _rank(api)
    api.close()
    (path,) = _files(library)
    data = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        path.write_bytes(data[:-9000] + bytes([data[-9000] ^ 4]) + data[-8999:])
    elif damage == "empty":
        path.touch()
    elif damage == "folder":
        path.mkdir()
    elif damage == "of another state":
        path.write_bytes(data)
        with closing(sqlite3.connect(library / "models.db")) as db, db:
            db.execute("UPDATE models SET official_name = 'llama a' WHERE rowid % 3 = 0")
    with PumasApi(library.parents[1], config=Config()) as again:
        _rank(again)
        _check(again, Random(5))


def test_what_another_program_writes_is_noticed_by_the_next_search(api, library):
    _rank(api)
    assert _page(api, "forged") is not None
    with closing(sqlite3.connect(library / "models.db")) as db, db:
        db.execute("UPDATE models SET official_name = 'Forged' WHERE rowid = 3")
    assert _page(api, "forged") is None
    assert api.search_models_fts("forged").total_count == 1, "FTS5 answers meanwhile"
    _rank(api)
    _check(api, Random(6))
    assert api.search_models_fts("forged").total_count == 1


def test_much_that_changed_is_folded_into_new_postings(api, library):
    _rank(api)
    before = _files(library)
    random = Random(7)
    for _ in range(8):
        for number in range(MODELS):
            _write(library, number, random)
        for number in range(100, 160):
            _write(library, number, random)
        api.refresh_models().result(30)
    _rank(api)
    assert not api._root.ranked.is_heavy
    assert _files(library) != before
    assert len(_files(library)) == 1
    _check(api, random)


def test_what_is_too_large_to_be_ranked_is_left_to_fts5(api, library):
    write_model(library, "llm/f/Long", description="llama " * 70_000)
    api.refresh_models().result(30)
    _rank(api)
    assert _page(api, "llama") is None
    assert api.search_models_fts("llama").total_count > 0
    assert not api._root.ranked.needs_fill, "it is not tried again and again"


def test_what_cannot_be_decoded_is_left_to_fts5(api, library):
    with closing(sqlite3.connect(library / "models.db")) as db, db:
        values = ("odd/f/Odd", "odd", "odd", "[]", "{}", "{}")
        db.execute("INSERT INTO models VALUES (?, '', ?, ?, CAST(x'ff' AS TEXT), ?, ?, ?, '')", values)
    before = api.search_models_fts("llama").total_count
    _rank(api)
    assert _page(api, "llama") is None
    assert api.search_models_fts("llama").total_count == before
    assert not api._root.ranked.needs_fill, "it is not tried again and again"


def test_an_index_made_again_is_not_answered_from_what_was_kept_for_the_old_one(api, library):
    """Its file may get the number of the old one, and its counters the same values."""
    api.prepare_answers()
    _rank(api)
    assert api.ready_listing() is not None
    api.close()
    for path in library.glob("models.db*"):
        path.unlink()
    document = next(library.glob("*/f/M1/metadata.json"))
    document.write_text(document.read_text().replace('"M1"', '"Xy"'))
    with PumasApi(library.parents[1], config=Config()) as again:
        again.prepare_answers()
        for _ in range(2):
            _rank(again)
        assert b'"officialName":"Xy"' in b"".join(again.ready_listing() or [])
        assert again.search_models_fts("xy").total_count == 1
        _check(again, Random(8))


def test_a_list_waits_when_the_index_vanished_under_an_open_library(api, library):
    for path in library.glob("models.db*"):
        path.unlink()
    api.search_models_fts("a")
    job = api.refresh_if_due()
    if job is not None:
        job.result(30)
    assert len(api.list_models()) == MODELS


def test_triggers_of_the_original_are_settled_while_the_library_is_open(api, library):
    api.prepare_answers()
    with closing(sqlite3.connect(library / "models.db")) as db, db:
        db.execute("DROP TRIGGER model_search_ad")
        db.execute(
            "CREATE TRIGGER model_search_ad AFTER DELETE ON models "
            "BEGIN DELETE FROM model_search WHERE id = old.id; END"
        )
    assert api._root.index.stamp() == b""
    api.refresh_models().result(30)
    for _ in range(2):
        _rank(api)
    _check(api, Random(9))
    assert api.ready_listing() is not None


def test_models_with_odd_rowids_are_listed_and_found(api, library):
    """Another program may have made them; `_check` would need the ranking, which may leave them to FTS5."""
    with closing(sqlite3.connect(library / "models.db")) as db, db:
        for old, new in ((3, -5), (4, 0), (5, 2**63 - 1)):
            db.execute("UPDATE models SET rowid = ? WHERE rowid = ?", (new, old))
    api.prepare_answers()
    random = Random(10)
    for turn in range(3):
        api.refresh_models().result(30)
        for _ in range(2):
            _rank(api)
        assert len(api.list_models()) == MODELS
        for hit in api.search_models_fts("", limit=100).hits:
            name = hit.model.official_name
            found = [one.model.model_id for one in api.search_models_fts(name, limit=100).hits]
            assert hit.model.model_id in found
            ranked = _page(api, name, limit=100)
            assert ranked in (None, api._root.index.search_rowids(name, limit=100, offset=0))
            ready = api.ready_search(name, limit=100)
            assert ready is None or [one["id"] for one in json.loads(ready.hits)] == found
        for number in range(0, MODELS, 2 + turn):
            _write(library, number, random)
