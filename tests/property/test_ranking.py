"""The ranker answers what FTS5 answers: the same rowids in the same order with the same bits, whatever is stored."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
from contextlib import closing
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.corpora import change, expected, insert, make_table, new_table, query

from pumas.search.leaves import NotReadable, read_arrays, read_arrays_slowly, read_totals
from pumas.search.postings import build_changed, build_postings
from pumas.search.ranking import Ranker
from pumas.search.tokenizer import Tokenizer

QUERIES = 350  # of each of 30 tables: over 10,000


def compare(db, ranker, typed, *, limit, offset=0, model_types=(), tags=()):
    page = ranker.rank(typed, limit=limit, offset=offset, model_types=model_types, tags=tags)
    hits = expected(db, typed, model_types=model_types, tags=tags)
    assert list(zip(page.rowids, page.ranks, strict=True)) == hits[offset : offset + limit], typed
    assert page.total_count == len(hits), typed


def compare_many(db, ranker, random, count):
    for _ in range(count):
        compare(
            db,
            ranker,
            query(random),
            limit=random.choice((0, 1, 10, 100, 10_000)),
            offset=random.choice((0, 0, 0, 3, 50, 10**9)),
            model_types=random.choice(((), (), ("llm",), ("llm", "audio"), ("none",))),
            tags=random.choice(((), (), (), ("gguf",), ("ÉTÉ", "en"), ("none",))),
        )


@pytest.mark.parametrize("seed", range(30))
def test_random_queries_on_a_table_that_was_written_to(seed):
    with closing(make_table(seed, 40 + seed, 3 * seed)) as db:
        compare_many(db, Ranker(build_postings(db), Tokenizer()), Random(seed), QUERIES)


def test_ranges_with_many_postings():
    """Champions and merged lists come with 1024 postings and more."""
    with closing(make_table(99, 2600, 60)) as db:
        postings = build_postings(db)
        heavy = postings.arrays["heavy"]
        assert len(heavy) > 5
        assert np.any(heavy[:, 4] > heavy[:, 3])
        assert np.any(heavy[:, 6] > heavy[:, 5])
        ranker = Ranker(postings, Tokenizer())
        compare_many(db, ranker, Random(1), 60)
        for word in ("a", "w", "l", "q", "m", "q4", "llama"):
            for limit in (1, 256, 257, 10_000):
                compare(db, ranker, word, limit=limit)


@pytest.mark.parametrize("seed", range(6))
def test_what_was_written_since_beside_a_base(seed):
    random = Random(seed)
    with closing(make_table(seed, 60)) as db:
        base = build_postings(db)
        before = _rows(db)
        for number in range(1000, 1000 + 15 * (seed + 1)):
            change(db, random, number)
        after = _rows(db)
        written = [rowid for rowid, row in after.items() if before.get(rowid) != row]
        gone = [rowid for rowid in before if rowid not in after or before[rowid] != after[rowid]]
        changed = build_changed(db, written) if written else None
        ranker = Ranker(base, Tokenizer(), changed=changed, gone=gone, totals=read_totals(db))
        compare_many(db, ranker, random, 150)


def _rows(db):
    return {row[0]: row[1:] for row in db.execute("SELECT rowid, * FROM models")}


def test_rows_taken_away_from_ranges_with_many_postings():
    with closing(make_table(7, 2000)) as db:
        base = build_postings(db)
        for count in (1, 100, 300):
            gone = [row[0] for row in db.execute("SELECT rowid FROM models ORDER BY random() LIMIT ?", (count,))]
            db.execute("BEGIN")
            db.execute("DELETE FROM models WHERE rowid IN (SELECT value FROM json_each(?))", (json.dumps(gone),))
            ranker = Ranker(base, Tokenizer(), gone=gone, totals=read_totals_flushed(db))
            for word in ("a", "w", "l"):
                for limit in (1, 100, 200, 256):
                    compare(db, ranker, word, limit=limit)
            db.execute("ROLLBACK")


def read_totals_flushed(db):
    """Inside a transaction the averages are not written yet: they are counted."""
    rows = db.execute("SELECT count(*) FROM model_search_docsize").fetchone()[0]
    db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.counted USING fts5vocab('main', 'model_search', 'row')")
    return rows, db.execute("SELECT sum(cnt) FROM temp.counted").fetchone()[0]


CELL = st.text(
    st.sampled_from("aAbB1 -_.\t\0éÉñßİ\u0131ﬁ日本Σς\u0301\u200d\u00a0🦙") | st.characters(exclude_categories=["Cs"]),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(CELL, min_size=4, max_size=4), max_size=8), st.lists(CELL, min_size=1, max_size=12))
def test_any_text_is_cut_and_ranked_as_fts5_does(rows, typed):
    with closing(new_table()) as db:
        for number, (name, cleaned, family, description) in enumerate(rows):
            document = json.dumps({"family": family, "description": description})
            values = (f"m{number}", cleaned, name, document)
            db.execute("INSERT INTO models VALUES (?, '', ?, ?, 'llm', '[]', '{}', ?, '')", values)
        ranker = Ranker(build_postings(db), Tokenizer())
        for text in [*typed, *(cell for row in rows for cell in row)]:
            page = ranker.rank(text, limit=100)
            if page is not None:
                hits = expected(db, text)
                assert list(zip(page.rowids, page.ranks, strict=True)) == hits
                assert page.total_count == len(hits)


@pytest.mark.parametrize("seed", range(5))
def test_both_readers_agree(seed):
    with closing(make_table(seed, 50, 20 * seed)) as db:
        fast, slow = read_arrays(db), read_arrays_slowly(db)
        assert fast.keys() == slow.keys()
        for name, array in fast.items():
            assert np.array_equal(array, slow[name]), name


@pytest.mark.parametrize("seed", range(4))
def test_damaged_pages_are_refused_or_read_rightly(seed):
    """Bits turn anywhere in the index: the reader refuses, or what it read is what the second reader reads."""
    random = Random(seed)
    with closing(make_table(seed, 60, 25)) as db:
        pages = db.execute("SELECT id, block FROM model_search_data").fetchall()
        whole = read_arrays(db)
        refused = 0
        for _ in range(200):
            number, block = random.choice(pages)
            damaged = bytearray(block)
            for _ in range(random.choice((1, 1, 3))):
                damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
            if random.random() < 0.2:
                del damaged[random.randrange(len(damaged)) :]
            db.execute("UPDATE model_search_data SET block = ? WHERE id = ?", (bytes(damaged), number))
            try:
                arrays = read_arrays(db)
            except NotReadable:
                refused += 1
            else:
                # What is not noticed is another spelling or place, of as many tokens: the scores tell.
                assert len(arrays["tokens"]) == len(whole["tokens"])
                assert not np.any(arrays["tokens"] & 0x7FFFFFFF >= len(arrays["term_starts"]) - 1)
            db.execute("UPDATE model_search_data SET block = ? WHERE id = ?", (block, number))
        assert refused > 50


def test_a_row_of_many_equal_words():
    """Over 255 occurrences are counted in the text itself, alone, in a merged prefix and in a phrase."""
    with closing(new_table()) as db:
        random = Random(3)
        for number in range(30):
            insert(db, random, number)
        for number, description in enumerate(("a b " * 400, "ab " * 200 + "a " * 200, "a " * 255, "a " * 256)):
            document = json.dumps({"description": description})
            values = (f"many{number}", document)
            db.execute("INSERT INTO models VALUES (?, '', '', '', 'llm', '[]', '{}', ?, '')", values)
        ranker = Ranker(build_postings(db), Tokenizer())
        for typed in ("a", "ab", "a-b", "a-b-a", "b-a-b-a", "a a", "a-a b", "a-a-a", "q"):
            compare(db, ranker, typed, limit=100)


def test_long_phrases_of_few_words():
    """Counted once, not with each of their words: with 2000 of them that would take minutes."""
    with closing(new_table()) as db:
        random = Random(4)
        descriptions = ["0 " * 65_000, *(" ".join(random.choices("01", (9, 1), k=300)) for _ in range(60))]
        for number, description in enumerate(descriptions):
            values = (f"many{number}", json.dumps({"description": description}))
            db.execute("INSERT INTO models VALUES (?, '', '', '', 'llm', '[]', '{}', ?, '')", values)
        ranker = Ranker(build_postings(db), Tokenizer())
        for count in (2, 3, 4, 5, 9, 16, 40, 2000):
            compare(db, ranker, "-".join("0" * count), limit=100)
            if count < 100:
                compare(db, ranker, "-".join(random.choices("01", (9, 1), k=count)), limit=100)


def test_a_row_too_long_is_left_to_fts5():
    with closing(new_table()) as db:
        document = json.dumps({"description": "a " * 65_536})
        db.execute("INSERT INTO models VALUES ('m', '', '', '', 'llm', '[]', '{}', ?, '')", (document,))
        with pytest.raises(NotReadable, match="size record"):
            build_postings(db)


def test_sizes_that_only_claim_much_take_no_memory():
    """Each row claims 60,000 tokens, and the averages agree."""
    with closing(make_table(1, 500)) as db:
        size = b"\0" * 6 + b"\x83\xd4\x60"
        db.execute("UPDATE model_search_docsize SET sz = ?", (size,))
        total = 500 * 60_000
        varint = bytes((0x80 | total >> 21, 0x80 | total >> 14 & 0x7F, 0x80 | total >> 7 & 0x7F, total & 0x7F))
        averages = b"\x83\x74" + b"\0" * 6 + varint
        db.execute("UPDATE model_search_data SET block = ? WHERE id = 1", (averages,))
        tracemalloc.start()
        with pytest.raises(NotReadable, match="fewer occurrences"):
            read_arrays(db)
        with pytest.raises(NotReadable):
            build_postings(db)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()


def test_a_table_that_is_not_ours_is_left_to_fts5():
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db, pytest.raises(NotReadable):
        build_postings(db)
