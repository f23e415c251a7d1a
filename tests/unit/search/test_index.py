"""Taking up documents: what is written, what stays, what the search table holds afterwards."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from pumas.errors import InvalidInput, Unavailable
from pumas.search import schema
from pumas.search.database import Database
from pumas.search.index import Index


def _row(model_id: str, name: str, **more: str):
    values = {"tags_json": "[]", "hashes_json": "{}", "metadata_json": f'{{\n  "official_name": "{name}"\n}}', **more}
    return (model_id, model_id, name, name, "llm", values["tags_json"], values["hashes_json"], values["metadata_json"])


@pytest.fixture
def index(tmp_path):
    index = Index(Database(tmp_path / "models.db", is_writable=True))
    yield index
    index.close()


def _ids(index: Index, text: str) -> list[str]:
    return [row.id for row in index.search(text, limit=100, offset=0).rows]


def _search_is_in_line(path) -> bool:
    """Every model has the one search row that a fresh fill would give it."""
    with closing(sqlite3.connect(path)) as db:
        before = db.execute("SELECT * FROM model_search ORDER BY id").fetchall()
        integrity = db.execute("INSERT INTO model_search(model_search) VALUES ('integrity-check')")
        integrity.close()
        schema.refill_search(db)
        return before == db.execute("SELECT * FROM model_search ORDER BY id").fetchall()


def test_a_first_fill_then_changes(index, tmp_path):
    changes = index.take_up([[_row("llm/a/A", "alpha"), _row("llm/b/B", "beta")], [_row("llm/c/C", "gamma")]])
    assert (changes.added, changes.changed, changes.removed) == (3, 0, 0)
    assert _ids(index, "beta") == ["llm/b/B"]
    written = {row[0]: index.row(row[0]).updated_at for row in index.rows()}

    many = [_row(f"llm/x/{n}", f"other{n}") for n in range(40)]
    index.take_up([[_row("llm/a/A", "alpha"), _row("llm/b/B", "beta"), _row("llm/c/C", "gamma"), *many]])
    changes = index.take_up([[_row("llm/a/A", "alpha"), _row("llm/b/B", "delta"), *many, _row("llm/d/D", "beta")]])
    assert (changes.added, changes.changed, changes.removed) == (1, 1, 1)
    assert _ids(index, "beta") == ["llm/d/D"]
    assert _ids(index, "delta") == ["llm/b/B"]
    assert _ids(index, "gamma") == []
    assert index.row("llm/a/A").updated_at == written["llm/a/A"]
    assert index.row("llm/b/B").updated_at > written["llm/b/B"]
    index.close()
    assert _search_is_in_line(tmp_path / "models.db")


def test_nothing_is_written_when_nothing_differs(index, tmp_path):
    rows = [_row("llm/a/A", "alpha")]
    index.take_up([rows])
    with closing(sqlite3.connect(tmp_path / "models.db", isolation_level=None)) as other:
        before = other.execute("PRAGMA data_version").fetchone()
        other.execute("BEGIN IMMEDIATE")  # would make any writer wait
        assert index.take_up([rows]).total == 0
        other.execute("ROLLBACK")
        assert other.execute("PRAGMA data_version").fetchone() == before


def test_a_failure_in_the_middle_leaves_the_old_state(index, tmp_path):
    index.take_up([[_row("llm/a/A", "alpha")]])

    def batches():
        yield [_row("llm/a/A", "changed"), _row("llm/b/B", "beta")]
        raise RuntimeError("the disk went away")

    with pytest.raises(RuntimeError):
        index.take_up(batches())
    assert _ids(index, "alpha") == ["llm/a/A"]
    assert index.count() == 1
    index.close()
    assert _search_is_in_line(tmp_path / "models.db")


def test_readers_see_the_old_state_until_all_is_written(index, tmp_path):
    index.take_up([[_row("llm/a/A", "alpha")]])
    seen = []

    def batches():
        yield [_row("llm/b/B", "beta")]
        with closing(sqlite3.connect(tmp_path / "models.db")) as reader:
            seen.extend(reader.execute("SELECT id FROM models").fetchall())
        yield []

    index.take_up(batches())
    assert seen == [("llm/a/A",)]
    assert [model_id for model_id, _ in index.rows()] == ["llm/b/B"]


def _make_triggers_of_the_original(db: sqlite3.Connection) -> None:
    values = (
        "new.id, new.official_name, new.cleaned_name, new.model_type, "
        "(SELECT group_concat(value, ' ') FROM json_each(new.tags_json)), "
        "json_extract(new.metadata_json, '$.family'), json_extract(new.metadata_json, '$.description')"
    )
    insert = (
        "INSERT INTO model_search(id, official_name, cleaned_name, model_type, tags, family, description) "
        f"VALUES ({values});"
    )
    delete = "DELETE FROM model_search WHERE id = old.id;"
    schema.drop_triggers(db)
    db.execute(f"CREATE TRIGGER model_search_ai AFTER INSERT ON models BEGIN {insert} END")
    db.execute(f"CREATE TRIGGER model_search_au AFTER UPDATE ON models BEGIN {delete} {insert} END")
    db.execute(f"CREATE TRIGGER model_search_ad AFTER DELETE ON models BEGIN {delete} END")


def test_rows_that_the_original_wrote_are_settled_with_the_next_change(index, tmp_path):
    many = [_row(f"llm/x/{n}", f"other{n}") for n in range(40)]
    index.take_up([many])
    with closing(sqlite3.connect(tmp_path / "models.db")) as db:
        _make_triggers_of_the_original(db)
        db.execute("UPDATE models SET official_name = 'renamed' WHERE id = 'llm/x/3'")
        db.commit()
        moved = db.execute("SELECT rowid FROM model_search WHERE id = 'llm/x/3'").fetchone()
        assert moved != db.execute("SELECT rowid FROM models WHERE id = 'llm/x/3'").fetchone()
    assert _ids(index, "renamed") == ["llm/x/3"]
    index.take_up([[*many[:3], _row("llm/x/3", "renamed again"), *many[4:]]])
    assert _ids(index, "again") == ["llm/x/3"]
    index.close()
    with closing(sqlite3.connect(tmp_path / "models.db")) as db:
        sql = "SELECT count(*) FROM models JOIN model_search ON models.rowid = model_search.rowid AND models.id = "
        assert db.execute(f"{sql} model_search.id").fetchone() == (40,)
        assert schema.is_ours(db)
    assert _search_is_in_line(tmp_path / "models.db")


def test_our_triggers_follow_single_writes(index, tmp_path):
    index.take_up([[_row("llm/a/A", "alpha"), _row("llm/b/B", "beta")]])
    with closing(sqlite3.connect(tmp_path / "models.db")) as db:
        db.execute("UPDATE models SET official_name = 'omega', tags_json = '[\"x\", \"y\"]' WHERE id = 'llm/a/A'")
        db.execute("DELETE FROM models WHERE id = 'llm/b/B'")
        db.execute("INSERT INTO models SELECT 'n', 'n', '', 'new', '', '[]', '{}', '{}', '' ")
        db.commit()
    assert _ids(index, "omega") == ["llm/a/A"]
    assert _ids(index, "tags:y") == ["llm/a/A"]
    assert _ids(index, "beta") == []
    assert _ids(index, "new") == ["n"]
    index.close()
    assert _search_is_in_line(tmp_path / "models.db")


def test_the_schema_is_the_contracts(index, tmp_path):
    from support.cases import load

    index.take_up([[_row("llm/a/A", "alpha")]])
    recorded = load("sqlite-dump.json")["databases"]["models.db"]
    with closing(sqlite3.connect(tmp_path / "models.db")) as db:
        for name, table in recorded["tables"].items():
            columns = [
                {"cid": c, "name": n, "type": t, "notnull": nn, "dflt_value": d, "pk": pk}
                for c, n, t, nn, d, pk in db.execute(f"PRAGMA table_info({name})")
            ]
            assert columns == table["table_info"]
        objects = {(kind, name) for kind, name in db.execute("SELECT type, name FROM sqlite_master")}
        assert {(row["type"], row["name"]) for row in recorded["objects"]} <= objects
        for pragma, value in recorded["pragmas"].items():
            assert db.execute(f"PRAGMA {pragma}").fetchone()[0] == value


def test_pages_belong_together(index):
    index.take_up([[_row(f"llm/x/{n:02}", "same words") for n in range(25)]])
    all_ids = _ids(index, "same")
    pages = [index.search("same", limit=10, offset=offset) for offset in (0, 10, 20, 30)]
    assert [row.id for page in pages for row in page.rows] == all_ids
    assert {page.total_count for page in pages} == {25}
    assert index.search("same", limit=0, offset=0).total_count == 25
    assert index.search("", limit=3, offset=0).total_count == 25


def test_tags_are_filtered_before_the_page_is_cut(index):
    rows = [_row(f"llm/x/{n:02}", "same", tags_json='["Ünï"]' if n % 5 == 0 else "[]") for n in range(25)]
    index.take_up([rows])
    page = index.search("same", limit=3, offset=0, tags=["ünÏ"])
    assert (len(page.rows), page.total_count) == (3, 5)
    assert index.search("", limit=9, offset=0, tags=["ünÏ", "other"]).total_count == 0
    assert index.search("", limit=9, offset=0, tags=["ünÏ"], model_types=["llm", "x"]).total_count == 5


@pytest.mark.parametrize(
    "text",
    [
        '"',
        "a\0b",
        "NEAR(",
        "{x} : y",
        "col:",
        "a" * 10_000,
        " ".join("w" * 1 for _ in range(256)),
        "\ud800",
        "*",
        "''",
        "; DROP TABLE models",
    ],
)
def test_hostile_texts_find_something_or_nothing(index, text):
    index.take_up([[_row("llm/a/A", "alpha")]])
    assert index.search(text, limit=10, offset=0).total_count in (0, 1)
    assert index.count() == 1


def test_texts_that_would_cost_too_much_are_refused(index):
    with pytest.raises(InvalidInput, match="10000 characters"):
        index.search("a" * 10_001, limit=1, offset=0)
    with pytest.raises(InvalidInput, match="256 words"):
        index.search("a " * 257, limit=1, offset=0)


def test_a_full_drive_is_told_and_the_old_state_stays(index, tmp_path):
    index.take_up([[_row("llm/a/A", "alpha")]])
    with index._database.use() as db:  # the one that the next use has too
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own "disk full"
    with pytest.raises(Unavailable, match="drive is full"):
        index.take_up([[_row(f"llm/x/{n}", "words " * 50) for n in range(500)]])
    assert _ids(index, "alpha") == ["llm/a/A"]


def test_rowids_of_other_programs_may_be_the_lowest_there_is(index, tmp_path):
    index.take_up([[_row("llm/a/A", "alpha")]])
    index.close()
    with closing(sqlite3.connect(tmp_path / "models.db")) as db:
        columns = "path, cleaned_name, official_name, model_type, tags_json, hashes_json, metadata_json, updated_at"
        db.execute(f"INSERT INTO models(rowid, id, {columns}) SELECT -1 << 63, 'low', {columns} FROM models")
        schema.drop_triggers(db)
        db.execute("DROP TABLE model_search")
        db.commit()
    again = Index(Database(tmp_path / "models.db", is_writable=True))
    assert _ids(again, "alpha") == ["low", "llm/a/A"]
    again.close()
