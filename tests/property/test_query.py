"""Whatever is typed is an expression that FTS5 takes, and finds what its own tokens say."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumas.search import schema
from pumas.search.query import match_expression
from pumas.search.schema import SEARCH_COLUMNS


@pytest.fixture(scope="module")
def db():
    with closing(sqlite3.connect(":memory:")) as db:
        schema.create_models(db)
        names = ("alpha beta", "llama-3.1 Q4_K_M", "it's (odd)", "naïve Café", "模型 测试")
        for n, name in enumerate(names):
            document = f'{{"family": "fam{n}"}}'
            db.execute(
                "INSERT INTO models VALUES (?, ?, ?, ?, 'llm', '[]', '{}', ?, '')", (f"m{n}", "", name, name, document)
            )
        schema.refill_search(db)
        yield db


@settings(deadline=None)
@given(st.text(max_size=30).filter(lambda text: not any(0xD800 <= ord(char) <= 0xDFFF for char in text)))
def test_any_text_is_a_valid_expression(db, text):
    expression = match_expression(text)
    if expression:
        db.execute("SELECT count(*) FROM model_search WHERE model_search MATCH ?", (expression,)).fetchone()
    else:
        assert not text.replace("\0", " ").split()


@pytest.mark.parametrize("column", SEARCH_COLUMNS)
def test_each_column_can_be_a_filter(db, column):
    words = {"id": "m0", "model_type": "llm", "family": "fam0", "tags": "none", "description": "none"}
    word = words.get(column, "alpha")
    rows = db.execute(
        "SELECT id FROM model_search WHERE model_search MATCH ? ORDER BY rowid", (match_expression(f"{column}:{word}"),)
    ).fetchall()
    assert (("m0",) in rows) is (word != "none")


def test_every_word_is_found_as_it_was_written(db):
    for n, name in enumerate(("alpha", "llama-3.1", "Q4_K_M", "it's", "(odd)", "naive", "CAFÉ", "模型")):
        sql = "SELECT count(*) FROM model_search WHERE model_search MATCH ?"
        assert db.execute(sql, (match_expression(name),)).fetchone() == (1,), (n, name)
