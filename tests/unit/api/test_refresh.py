"""Refreshing: what changed on disk is taken up, whatever changed it, and what did not stays as it is."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing

import pytest
from support.roots import write_model

from pumas import PumasApi


@pytest.fixture
def api(library):
    for n in range(4):
        write_model(library, f"llm/f/M{n}", description="shared")
    with PumasApi(library.parents[1]) as api:
        _refresh(api)
        yield api


def _refresh(api):
    return api.refresh_models().result(30)


def _counts(report) -> tuple[int, int, int, int]:
    return report.added, report.changed, report.moved, report.removed


def _rows(library) -> dict[str, tuple[int, str]]:
    with closing(sqlite3.connect(library / "models.db")) as db:
        return {row[0]: row[1:] for row in db.execute("SELECT id, rowid, updated_at FROM models")}


def _found(api, query: str) -> list[str]:
    return sorted(hit.model.model_id for hit in api.search_models_fts(query).hits)


def test_unchanged_models_keep_their_rows(api, library):
    before = _rows(library)
    assert _counts(_refresh(api)) == (0, 0, 0, 0)
    write_model(library, "llm/f/M1", description="other words")
    assert _counts(_refresh(api)) == (0, 1, 0, 0)
    after = _rows(library)
    assert after["llm/f/M1"][0] == before["llm/f/M1"][0]
    assert after["llm/f/M1"][1] > before["llm/f/M1"][1]
    assert {key: row for key, row in after.items() if key != "llm/f/M1"} == {
        key: row for key, row in before.items() if key != "llm/f/M1"
    }


def test_a_document_written_in_place_with_size_and_time_kept_is_seen(api, library):
    document = library / "llm/f/M2/metadata.json"
    time.sleep(2.1)  # what is younger is looked at again in any case
    _refresh(api)
    old = document.stat()
    document.write_text(document.read_text().replace("shared", "SHARES"))
    os.utime(document, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert document.stat().st_size == old.st_size
    assert _counts(_refresh(api)) == (0, 1, 0, 0)
    assert _found(api, "shares") == ["llm/f/M2"]


def test_two_writes_within_one_tick_are_both_seen(api, library):
    for n in range(20):
        write_model(library, "llm/f/M0", description=f"write{n:02d}")
        _refresh(api)
        assert _found(api, f"write{n:02d}") == ["llm/f/M0"]


def test_a_moved_model_keeps_its_row_and_a_copy_gets_one_of_its_own(api, library):
    before = _rows(library)
    (library / "llm/g").mkdir()
    (library / "llm/f/M3").rename(library / "llm/g/M3")
    assert _counts(_refresh(api)) == (0, 0, 1, 0)
    after = _rows(library)
    assert after["llm/g/M3"][0] == before["llm/f/M3"][0]
    assert "llm/f/M3" not in after
    assert _found(api, "id:g") == ["llm/g/M3"]
    text = (library / "llm/g/M3/metadata.json").read_text()
    (library / "llm/g/Copy").mkdir()
    (library / "llm/g/Copy/metadata.json").write_text(text)
    assert _counts(_refresh(api)) == (1, 0, 0, 0)
    assert _rows(library)["llm/g/M3"] == after["llm/g/M3"]


def test_a_whole_family_that_is_renamed_moves(api, library):
    before = sorted(row[0] for row in _rows(library).values())
    (library / "llm/f").rename(library / "llm/renamed")
    assert _counts(_refresh(api)) == (0, 0, 4, 0)
    assert sorted(row[0] for row in _rows(library).values()) == before
    assert _found(api, "shared") == [f"llm/renamed/M{n}" for n in range(4)]


def test_a_document_that_breaks_leaves_and_comes_back(api, library):
    document = library / "llm/f/M1/metadata.json"
    good = document.read_bytes()
    document.write_bytes(good[: len(good) // 2])
    report = _refresh(api)
    assert [problem.path for problem in report.problems] == ["llm/f/M1/metadata.json"]
    assert "llm/f/M1" not in _rows(library)
    assert document.read_bytes() == good[: len(good) // 2]
    document.write_bytes(good)
    assert _counts(_refresh(api)) == (1, 0, 0, 0)


def test_a_model_below_a_document_that_makes_none_is_followed(api, library):
    write_model(library, "llm/f/M1/inner", description="inside")
    (library / "llm/f/M1/metadata.json").write_text("[]")
    _refresh(api)
    assert _found(api, "inside") == ["llm/f/M1/inner"]
    write_model(library, "llm/f/M1/inner", description="within")
    _refresh(api)
    assert (_found(api, "inside"), _found(api, "within")) == ([], ["llm/f/M1/inner"])
    write_model(library, "llm/f/M1", description="again a model")
    _refresh(api)
    assert "llm/f/M1/inner" not in _rows(library)


def test_what_another_program_wrote_into_the_index_is_put_right(api, library):
    with closing(sqlite3.connect(library / "models.db")) as db:
        db.execute("UPDATE models SET official_name = 'Forged' WHERE id = 'llm/f/M0'")
        db.execute("DELETE FROM models WHERE id = 'llm/f/M1'")
        db.execute(
            "INSERT INTO models SELECT 'llm/f/Ghost', path, cleaned_name, official_name, model_type, tags_json,"
            " hashes_json, metadata_json, updated_at FROM models WHERE id = 'llm/f/M2'"
        )
        db.commit()
    _refresh(api)
    assert sorted(_rows(library)) == [f"llm/f/M{n}" for n in range(4)]
    assert api.get_model("llm/f/M0").model.official_name == "M0"
    assert _found(api, "forged ghost") == []


def test_two_that_are_open_at_once_follow_each_other(api, library):
    with PumasApi(library.parents[1]) as other:
        for n in range(6):
            one, two = (api, other) if n % 2 else (other, api)
            write_model(library, f"llm/new/N{n}", description="fresh")
            assert _refresh(one).added == 1
            write_model(library, "llm/f/M0", description=f"turn{n}")
            assert _counts(_refresh(two)) == (0, 1, 0, 0)
            for each in (one, two):
                assert _found(each, f"turn{n}") == ["llm/f/M0"]
                assert len(_found(each, "fresh")) == n + 1


def test_the_index_is_right_without_a_cache(library, tmp_path):
    """A cache folder that is a file, in both places, costs speed only."""
    write_model(library, "llm/f/M0", description="shared")
    (library / ".pumas").mkdir()
    (library / ".pumas" / "cache").write_text("in the way")
    with PumasApi(library.parents[1]) as api:
        for n in range(3):
            write_model(library, "llm/f/M0", description=f"word{n}")
            _refresh(api)
            assert _found(api, f"word{n}") == ["llm/f/M0"]


def test_a_restart_takes_up_what_changed_meanwhile(api, library):
    before = _rows(library)
    api.close()
    write_model(library, "llm/f/M1", description="changed")
    write_model(library, "llm/f/New")
    (library / "llm/f/M2/metadata.json").unlink()
    with PumasApi(library.parents[1]) as again:
        assert _counts(_refresh(again)) == (1, 1, 0, 1)
    assert _rows(library)["llm/f/M3"] == before["llm/f/M3"]
