"""The ranker's own ways: queries that are not its own, pages, threads, the check against FTS5."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from threading import Barrier, Thread
from time import perf_counter

import numpy as np
import pytest
from support.corpora import expected, make_table, new_table

from pumas.errors import InvalidInput
from pumas.search import oracle
from pumas.search.leaves import NotReadable
from pumas.search.oracle import check_scores
from pumas.search.postings import Postings, build_postings
from pumas.search.ranking import Ranker
from pumas.search.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def db():
    with closing(make_table(5, 400, 30)) as db:
        yield db


@pytest.fixture(scope="module")
def ranker(db):
    return Ranker(build_postings(db), Tokenizer())


@pytest.mark.parametrize("text", ["", "  \t\n", "\0", "tags:lora", "llama family:x"])
def test_queries_for_fts5(ranker, text):
    assert ranker.rank(text, limit=10) is None


@pytest.mark.parametrize("text", [".", "- _ ''", "…"])
def test_words_without_tokens_find_nothing(ranker, text):
    page = ranker.rank(text, limit=10)
    assert (page.rowids, page.total_count) == ([], 0)


def test_too_long_a_query_is_refused(ranker):
    with pytest.raises(InvalidInput, match="shorten"):
        ranker.rank("a" * 10_001, limit=1)


def test_half_a_surrogate_pair_finds_nothing_wrong(ranker):
    assert ranker.rank("\ud800 a", limit=1, model_types=("\ud800",), tags=("\udfff",)).total_count == 0


def test_256_words(db, ranker):
    text = " ".join(["a", "llama", "q4_k_m", "w1"] * 64)
    page = ranker.rank(text, limit=50)
    assert list(zip(page.rowids, page.ranks, strict=True)) == expected(db, text)[:50]


def test_pages_join_to_the_whole(ranker):
    whole = ranker.rank("a llama", limit=10_000)
    pages = [ranker.rank("a llama", limit=7, offset=offset) for offset in range(0, whole.total_count + 7, 7)]
    assert [rowid for page in pages for rowid in page.rowids] == whole.rowids
    assert {page.total_count for page in pages} == {whole.total_count} == {len(whole.rowids)}


def test_the_tokenizer_cuts_as_sqlite(db):
    tokenizer = Tokenizer()
    assert tokenizer.tokens("q4_k_m") == [b"q4", b"k", b"m"]
    assert tokenizer.tokens("ñandú") == [b"nandu"]
    assert tokenizer.tokens("straße") == ["straße".encode()]
    assert tokenizer.tokens("日本語-x") == ["日本語".encode(), b"x"]
    assert tokenizer.tokens("…") == []
    tokenizer.close()
    assert tokenizer.tokens("é") == [b"e"]


def test_scores_are_compared(db):
    postings = build_postings(db)
    assert check_scores(db, postings) > 500


def test_scores_of_rare_words_are_compared_where_others_take_fts5_too_long(db, monkeypatch):
    """As in a table of a million models."""
    monkeypatch.setattr(oracle, "_MAX_POSTINGS", 10)
    assert check_scores(db, build_postings(db)) > 200


def test_words_longer_than_a_query_may_be_are_no_hindrance():
    """A description may hold a picture in base 16."""
    with closing(new_table()) as db:
        for number in range(40):
            document = json.dumps({"description": f"{number:05}" * 2200})
            values = (f"m{number}", document)
            db.execute("INSERT INTO models VALUES (?, '', '', '', 'llm', '[]', '{}', ?, '')", values)
        postings = build_postings(db)
        assert check_scores(db, postings) > 500
        ranker = Ranker(postings, Tokenizer())
        page = ranker.rank("000170001700017", limit=10)
        assert page is not None
        assert list(zip(page.rowids, page.ranks, strict=True)) == expected(db, "000170001700017")


def test_scores_that_differ_are_refused(db):
    postings = build_postings(db)
    longer = postings.arrays["lengths"] + (np.arange(len(postings.arrays["lengths"])) % 2).astype(np.uint16)
    with pytest.raises(NotReadable, match="ranks otherwise"):
        check_scores(db, Postings(postings.arrays | {"lengths": longer}, postings.rows, postings.tokens))


def test_wrong_filters_are_refused(db):
    matches = build_postings(db).ranking.match([[b"a"]])
    with pytest.raises(ValueError, match="filter"):
        matches.rank(matches.counts, 400, 20_000, 10, documents=np.ones(3, np.uint8))
    with pytest.raises(ValueError, match="filter"):
        matches.rank(matches.counts, 400, 20_000, 10, types=np.ones(1, np.uint8))
    with pytest.raises(ValueError, match="range"):
        matches.rank([], 400, 20_000, 10)


def test_what_follows_is_believed_only_where_the_postings_have_it():
    """Arrays from a forged file: the walk along a list of postings ends with the list."""
    with closing(new_table()) as db:
        for name in ("b a", "a c a"):
            db.execute("INSERT INTO models VALUES (?, '', ?, '', '', '[]', '{}', '{}', '')", (f"m{name[0]}", name))
        postings = build_postings(db)
    arrays = postings.arrays
    terms = [arrays["term_bytes"][begin:end].tobytes() for begin, end in pairwise(arrays["term_starts"])]
    forged = np.where(arrays["next"] == terms.index(b"c"), terms.index(b"b"), arrays["next"]).astype(np.uint32)
    ranker = Ranker(replace(postings, arrays=arrays | {"next": forged}), Tokenizer())
    for one, text, rowids in ((Ranker(postings, Tokenizer()), "a-c-a", [2]), (ranker, "a-b-a", [])):
        page = one.rank(text, limit=9)
        assert page is not None
        assert page.rowids == rowids


@pytest.fixture
def only_given_up():
    """Threads change only where one gives the interpreter up by itself."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(60)
    yield
    sys.setswitchinterval(before)


def test_threads_rank_at_the_same_time_and_alike(only_given_up):
    """While one thread ranks another gets on: intervals overlap, and every answer is the same."""
    with closing(make_table(8, 3000)) as db:
        ranker = Ranker(build_postings(db), Tokenizer())
    text = " ".join(["a", "w", "l", "q", "m", "b", "1", "3"] * 16)
    wanted = ranker.rank(text, limit=2000)
    spans: list[list[tuple[float, float]]] = [[], []]
    barrier = Barrier(2)

    def work(mine: list[tuple[float, float]]) -> None:
        barrier.wait()
        for _ in range(40):
            begun = perf_counter()
            assert ranker.rank(text, limit=2000) == wanted
            mine.append((begun, perf_counter()))

    threads = [Thread(target=work, args=(mine,)) for mine in spans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(mine) == 40 for mine in spans)
    overlaps = sum(begun < end and other < ended for begun, ended in spans[0] for other, end in spans[1])
    assert overlaps > 0
