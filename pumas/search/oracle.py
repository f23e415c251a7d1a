"""FTS5's own scores as the measure of ours: postings are used only if they agree to the last bit (`ranking.md` §1).

SQLite may have been compiled to round otherwise (fused multiply-add on arm64), or be linked with another `log`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice
from random import Random

from pumas.search.leaves import NotReadable
from pumas.search.postings import Postings
from pumas.search.query import match_expression
from pumas.search.ranking import Ranker
from pumas.search.tokenizer import Tokenizer

_SCORES = 2000
_QUERIES = 200  # at most, for so many scores
_TRIES = 5_000  # to find words for them; of a million models nearly all words are too frequent
_MAX_POSTINGS = 50_000  # of a term: FTS5 needs 12 ms for as many
_MAX_BYTES = 1_000  # of a term: six of them are no query too long


def check_scores(db: sqlite3.Connection, postings: Postings) -> int:
    """Compare what FTS5 answers with the ranking, in the read transaction that the postings were made in.

    Returns:
        How many scores were compared.

    Raises:
        NotReadable: Rowids, order or scores differ.
    """
    ranker = Ranker(postings, Tokenizer())
    compared = 0
    sql = "SELECT rowid, rank FROM model_search WHERE model_search MATCH ? ORDER BY rank, rowid"
    for text in islice(filter(None, _queries(postings)), _QUERIES):
        expected = db.execute(sql, (match_expression(text),)).fetchall()
        page = ranker.rank(text, limit=len(expected) + 1)
        if page is None or list(zip(page.rowids, page.ranks, strict=True)) != expected:
            raise NotReadable(f"FTS5 ranks otherwise than computed, for example {text!r}")
        compared += len(expected)
        if compared >= _SCORES:
            break
    return compared


def _queries(postings: Postings) -> Iterator[str]:
    """One to three words each, every third of them a phrase; taken from the texts, the same for the same postings."""
    random = Random(len(postings.arrays["posts"]))  # noqa: S311 - a sample, no secret
    tokens = postings.arrays["tokens"]
    for _ in range(_TRIES if len(tokens) else 0):
        words = []
        for _ in range(random.randint(1, 3)):
            place = random.randrange(len(tokens))
            phrase = tokens[place : place + (2 if random.random() < 1 / 3 else 1)].tolist()
            words.append("-".join(filter(None, (_text(postings, token) for token in phrase))))
        yield " ".join(filter(None, words))


def _text(postings: Postings, token: int) -> str:
    """The text of a token without its end mark; empty where FTS5 would take long, or no query may be so long."""
    arrays, term = postings.arrays, token & 0x7FFFFFFF
    text = arrays["term_bytes"][arrays["term_starts"][term] : arrays["term_starts"][term + 1]]
    if len(text) > _MAX_BYTES or arrays["post_starts"][term + 1] - arrays["post_starts"][term] > _MAX_POSTINGS:
        return ""
    return text.tobytes().decode("utf-8", "replace").strip(chr(0xFFFD))
