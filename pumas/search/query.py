"""What a user types → an FTS5 match expression (`library.md` §3.1).

Words are OR-ed and each is a prefix. A word of letters and digits stands as it is; any other is quoted, so that no
character is an operator; `column:word` narrows to a column for the seven column names only.

    llama 3.1        llama* OR "3.1"*
    tags:lora it's   tags:lora* OR "it's"*
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pumas.config import MAX_QUERY_CHARACTERS, MAX_QUERY_WORDS
from pumas.errors import InvalidInput
from pumas.search.schema import SEARCH_COLUMNS

# FTS5's barewords are ASCII letters, digits, `_` and everything beyond ASCII; `_` separates tokens, so it is quoted.
_BAREWORD = re.compile(r"[A-Za-z0-9\u0080-\U0010ffff]+")
_FILTER = re.compile(rf"({'|'.join(SEARCH_COLUMNS)}):([^:]+)")


@dataclass(frozen=True, slots=True)
class Query:
    """What was typed: the words, lower-case, and the expression for FTS5; empty when there is no word."""

    words: tuple[str, ...]
    expression: str
    has_column: bool
    """Whether a word is narrowed to a column; else the expression is a flat OR of the words as prefixes."""


def parse_query(text: str) -> Query:
    """Read what was typed.

    Raises:
        InvalidInput: The text is longer than 10,000 characters or has more than 256 words.
    """
    if len(text) > MAX_QUERY_CHARACTERS:
        raise InvalidInput(f"`query` is longer than {MAX_QUERY_CHARACTERS} characters; shorten it", parameter="query")
    # A NUL would end the text inside SQLite.
    words = tuple(storable(text).replace("\0", " ").lower().split())
    if len(words) > MAX_QUERY_WORDS:
        raise InvalidInput(f"`query` has more than {MAX_QUERY_WORDS} words; shorten it", parameter="query")
    filters = [_FILTER.fullmatch(word) if ":" in word else None for word in words]
    prefixes = (
        f"{found[1]}:{quote(found[2])}*" if found else f"{quote(word)}*"
        for word, found in zip(words, filters, strict=True)
    )
    return Query(words, " OR ".join(prefixes), any(filters))


def match_expression(text: str) -> str:
    """The expression for FTS5; empty when there is no word.

    Raises:
        InvalidInput: The text is longer than 10,000 characters or has more than 256 words.
    """
    return parse_query(text).expression


def storable(text: str) -> str:
    """A text that SQLite takes: half a surrogate pair finds nothing, so it may become any other character."""
    return text.encode("utf-8", "replace").decode()


def quote(word: str) -> str:
    """A word as FTS5 takes it literally."""
    if _BAREWORD.fullmatch(word):
        return word
    return '"' + word.replace('"', '""') + '"'
