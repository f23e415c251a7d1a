"""Postings: the search table as arrays that `_ranking` reads (`ranking.md` §3).

Documents are ordinals in order of rowid, terms are numbers in order of their bytes, so a prefix is a range of terms and
one contiguous range of postings. All arrays are flat, little-endian.

    term_bytes u8, term_starts u32       the terms one after the other
    posts u32, post_starts u32           per term its documents, ascending: document << 8 | occurrences;
                                         255 = 255 or more
    next u32, next_starts u32            per occurrence, in order of `posts`, the term after it; 1 << 31 = column ends
    tokens u32, token_starts u32         per document its terms in order of the text; + 1 << 31 at the end of a column
    lengths u16, rowids i64              per document its tokens, its rowid
    types u16, type_bytes, type_starts   per document the number of its type; their texts
    tag_bytes, tag_starts                the tags, lower-case, in order of their bytes
    tag_docs u32, tag_doc_starts u32     per tag its documents
    heavy u32 x 7, champions, unions     ranges of terms with 1024 postings and more: first, last, documents, where
                                         their champions and merged list begin and end

What can't be stored so is left to FTS5: 16.7 million documents, one of over 65,535 tokens, over 65,535 types.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import msgspec
import numpy as np

from pumas.search import schema
from pumas.search._ranking import Arrays as RankingArrays
from pumas.search._ranking import Heavy
from pumas.search.leaves import Arrays, NotReadable, read_arrays, read_arrays_slowly, read_totals

logger = logging.getLogger(__name__)

CHAMPIONS = 256
"""A page that ends within the first so many hits of one word needs no other documents."""
_HEAVY_FROM = 1024
_UNION_FROM = 4096
_MAX_TYPES = 1 << 16

_TAGS = msgspec.json.Decoder(list[str])


@dataclass(frozen=True)
class Postings:
    """One state of the search table."""

    arrays: Arrays
    rows: int
    tokens: int
    """Rows and tokens of the table by its own averages record."""

    @cached_property
    def ranking(self) -> RankingArrays:
        """The arrays as the compiled module takes them."""
        return RankingArrays(self.arrays, CHAMPIONS)

    @cached_property
    def types(self) -> dict[bytes, int]:
        """Number of each type that a model has."""
        return {text: number for number, text in enumerate(_texts(self.arrays, "type"))}

    @cached_property
    def tags(self) -> dict[bytes, int]:
        """Number of each tag, lower-case."""
        return {text: number for number, text in enumerate(_texts(self.arrays, "tag"))}

    def documents_of_tag(self, tag: str) -> np.ndarray:
        """The documents that have a tag, ascending."""
        number = self.tags.get(tag.encode())
        if number is None:
            return np.empty(0, np.uint32)
        starts = self.arrays["tag_doc_starts"]
        return self.arrays["tag_docs"][starts[number] : starts[number + 1]]


def build_postings(db: sqlite3.Connection) -> Postings:
    """Make the postings of the search table, inside the caller's read transaction.

    Raises:
        NotReadable: The table is not one that can be ranked: not the contract's, its rows not related to the models by
            rowid, too large, or damaged; the message says which.
        sqlite3.Error: The database can't be read.
    """
    if not schema.is_contracts(db) or not schema.is_ours(db):
        raise NotReadable("the search table does not follow the models by rowid")
    if not schema.is_related_by_rowid(db):
        raise NotReadable("the search rows are not those of the models")
    try:
        arrays = read_arrays(db)
    except NotReadable as exc:
        logger.info("the search table is read the slow way: %s", exc)
        arrays = read_arrays_slowly(db)
    found = db.execute("SELECT rowid, model_type, tags_json FROM models ORDER BY rowid")
    return _completed(db, arrays, found)


def build_changed(db: sqlite3.Connection, rowids: Sequence[int]) -> Postings:
    """Make the postings of some rows only, through a table in memory; `rows` and `tokens` are those of these rows.

    Raises:
        NotReadable, sqlite3.Error: As with `build_postings`.
    """
    chosen = json.dumps(list(rowids))
    columns = ", ".join(schema.SEARCH_COLUMNS)
    where = "WHERE rowid IN (SELECT value FROM json_each(?)) ORDER BY rowid"
    memory = sqlite3.connect(":memory:", isolation_level=None)
    try:
        schema.create_search(memory)
        memory.execute("BEGIN")
        marks = ", ".join("?" * (len(schema.SEARCH_COLUMNS) + 1))
        memory.executemany(
            f"INSERT INTO model_search(rowid, {columns}) VALUES ({marks})",
            db.execute(f"SELECT rowid, {columns} FROM model_search {where}", (chosen,)),
        )
        memory.execute("COMMIT")
        arrays = read_arrays(memory)
        models = db.execute(f"SELECT rowid, model_type, tags_json FROM models {where}", (chosen,))
        return _completed(memory, arrays, models)
    finally:
        memory.close()


def _completed(db: sqlite3.Connection, arrays: Arrays, models: Iterable[tuple[int, object, object]]) -> Postings:
    """With types and tags, and what is made ahead."""
    rows, tokens = read_totals(db)
    count = len(arrays["rowids"])
    arrays |= _filters(db, arrays["rowids"], models)
    arrays |= Heavy(arrays, _HEAVY_FROM, _UNION_FROM + count // 64, CHAMPIONS).run()
    return Postings(arrays, rows, tokens)


def _filters(db: sqlite3.Connection, rowids: np.ndarray, models: Iterable[tuple[int, object, object]]) -> Arrays:
    types: dict[object, int] = {}
    codes: list[int] = []
    seen: list[int] = []
    documents: defaultdict[str, list[int]] = defaultdict(list)
    for ordinal, (rowid, model_type, tags) in enumerate(models):
        seen.append(rowid)
        # A type that is no text equals none that is asked for.
        key = model_type if isinstance(model_type, str) else None
        codes.append(types.setdefault(key, len(types)))
        for tag in _folded_tags(db, tags):
            documents[tag].append(ordinal)
    if not np.array_equal(np.array(seen, np.int64), rowids):
        raise NotReadable("the search rows are not those of the models")
    if len(types) > _MAX_TYPES:
        raise NotReadable("there are too many types")
    tags_sorted = sorted((tag.encode(), found) for tag, found in documents.items())
    return {
        "types": np.array(codes, np.uint16),
        **_packed("type", [_NO_TEXT if text is None else str(text).encode() for text in types]),
        **_packed("tag", [tag for tag, _ in tags_sorted]),
        "tag_docs": np.array([one for _, found in tags_sorted for one in found], np.uint32),
        "tag_doc_starts": _starts(len(found) for _, found in tags_sorted),
    }


_NO_TEXT = b"\xff"  # UTF-8 never holds it


def _folded_tags(db: sqlite3.Connection, tags: object) -> set[str]:
    """The texts among the members of `tags_json` as a search compares them: lower-case."""
    if tags == "[]":
        return set()
    if isinstance(tags, str) and "\\u0000" not in tags:
        try:
            return {tag.lower() for tag in _TAGS.decode(tags)}
        except msgspec.MsgspecError:
            pass
    # Anything but a plain list of texts: as SQLite sees it.
    sql = f"SELECT value FROM json_each({schema.valid_json('?1')}) WHERE typeof(value) = 'text'"
    return {value.lower() for (value,) in db.execute(sql, (tags,))}


def _packed(name: str, texts: Sequence[bytes]) -> Arrays:
    return {
        f"{name}_bytes": np.frombuffer(b"".join(texts), np.uint8),
        f"{name}_starts": _starts(map(len, texts)),
    }


def _starts(sizes: Iterable[int]) -> np.ndarray:
    counts = np.fromiter(sizes, np.uint32)
    starts = np.zeros(len(counts) + 1, np.uint32)
    np.cumsum(counts, out=starts[1:])
    return starts


def _texts(arrays: Arrays, name: str) -> Iterator[bytes]:
    data = arrays[f"{name}_bytes"].tobytes()
    starts = arrays[f"{name}_starts"].tolist()
    return (data[begin:end] for begin, end in pairwise(starts))
