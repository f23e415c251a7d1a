"""Random tables of models, and what the contract's SQL answers on them."""

from __future__ import annotations

import json
import sqlite3
from random import Random

from pumas.search import schema
from pumas.search.query import match_expression

WORDS = (
    *("llama", "q4", "k", "m", "3", "1", "chat", "gpt", "2", "v1", "5", "a", "ab", "abc", "b", "über", "naïve"),
    *("Ñandú", "straße", "日本語", "模型", "ΑΒΓ", "x", "é", "ﬁ", "İstanbul"),
    *("q4_k_m", "llama-3.1", "gpt-2", "it's", "Q8_0", "a.b.a"),
)


def new_table() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    schema.create_models(db)
    schema.refill_search(db)
    return db


def text(random: Random, most: int) -> str:
    chosen = (random.choice(WORDS) if random.random() < 0.7 else f"w{random.randrange(40)}" for _ in range(most))
    return " ".join(list(chosen)[: random.randint(0, most)])


def insert(db: sqlite3.Connection, random: Random, number: int) -> None:
    """One model; some descriptions are empty, some long, some repeat one word."""
    kind = random.random()
    description = text(random, 12)
    if kind < 0.03:
        description = text(random, 400)
    elif kind < 0.05:
        description = "a " * random.randint(250, 300)
    document = {"family": text(random, 2), "description": None if kind > 0.9 else description}
    tags = random.sample(["GGUF", "lora", "Été", "en"], random.randint(0, 3))
    row = (f"m/{number}", text(random, 3), text(random, 3), random.choice(["llm", "audio", "LLM"]), json.dumps(tags))
    db.execute("INSERT INTO models VALUES (?, '', ?, ?, ?, ?, '{}', ?, '')", (*row, json.dumps(document)))


def change(db: sqlite3.Connection, random: Random, number: int) -> None:
    """One insert, update or delete, each in a transaction of its own: a segment of the index."""
    what = random.random()
    if what < 0.4:
        insert(db, random, number)
    elif what < 0.7:
        sql = "UPDATE models SET official_name = ? WHERE rowid = (SELECT rowid FROM models ORDER BY random() LIMIT 1)"
        db.execute(sql, (text(random, 5),))
    else:
        db.execute("DELETE FROM models WHERE rowid = (SELECT rowid FROM models ORDER BY random() LIMIT 1)")


def make_table(seed: int, count: int, changes: int = 0) -> sqlite3.Connection:
    """A table filled in a few transactions, then changed row by row."""
    random = Random(seed)
    db = new_table()
    for start in range(0, count, max(count // 3, 1)):
        db.execute("BEGIN")
        for number in range(start, min(start + max(count // 3, 1), count)):
            insert(db, random, number)
        db.execute("COMMIT")
    for number in range(changes):
        change(db, random, count + number)
    return db


def query(random: Random) -> str:
    words = []
    for _ in range(random.choice((1, 1, 2, 3, 5, 8))):
        word = random.choice(WORDS)
        kind = random.random()
        if kind < 0.3:
            word = word[: random.randint(1, len(word))]
        elif kind < 0.4:
            word = "-".join(random.choices(WORDS, k=random.randint(2, 4)))
        elif kind < 0.45:
            word = random.choice((".", "zzz", "w1", "-", "w"))
        words.append(word)
    return " ".join(words)


def expected(db, typed, *, model_types=(), tags=()):
    """Rowids and ranks of all hits, as the contract's query orders them."""
    expression = match_expression(typed)
    sql = "SELECT model_search.rowid, model_search.rank FROM model_search JOIN models ON models.id = model_search.id "
    sql += "WHERE model_search MATCH ?"
    values = [expression, *model_types]
    if model_types:
        sql += f" AND models.model_type IN ({', '.join('?' * len(model_types))})"
    for tag in tags:
        db.create_function("fold", 1, lambda value: value.lower() if isinstance(value, str) else value)
        sql += " AND EXISTS (SELECT 1 FROM json_each(models.tags_json) WHERE fold(value) = ?)"
        values.append(tag.lower())
    return db.execute(f"{sql} ORDER BY model_search.rank, model_search.rowid", values).fetchall()
