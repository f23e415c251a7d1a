"""What a user types → an FTS5 match expression (`library.md` §3.1).

Words are OR-ed and each is a prefix. A word of letters and digits stands as it is; any other is quoted, so that no
character is an operator; `column:word` narrows to a column for the seven column names only.

    llama 3.1        llama* OR "3.1"*
    tags:lora it's   tags:lora* OR "it's"*
"""

from __future__ import annotations

import re

from pumas.config import MAX_QUERY_CHARACTERS, MAX_QUERY_WORDS
from pumas.errors import InvalidInput

COLUMNS = ("id", "official_name", "cleaned_name", "model_type", "tags", "family", "description")

# FTS5's barewords are ASCII letters, digits, `_` and everything beyond ASCII; `_` separates tokens, so it is quoted.
_BAREWORD = re.compile(r"[A-Za-z0-9\u0080-\U0010ffff]+")
_FILTER = re.compile(rf"({'|'.join(COLUMNS)}):([^:]+)")


def match_expression(text: str) -> str:
    """Build the expression; empty when there is no word.

    Raises:
        InvalidInput: The text is longer than 10,000 characters or has more than 256 words.
    """
    if len(text) > MAX_QUERY_CHARACTERS:
        raise InvalidInput(f"`query` is longer than {MAX_QUERY_CHARACTERS} characters; shorten it", parameter="query")
    # A NUL would end the text inside SQLite.
    words = text.replace("\0", " ").lower().split()
    if len(words) > MAX_QUERY_WORDS:
        raise InvalidInput(f"`query` has more than {MAX_QUERY_WORDS} words; shorten it", parameter="query")
    return " OR ".join(map(_prefix, words))


def _prefix(word: str) -> str:
    match = _FILTER.fullmatch(word)
    if match:
        return f"{match[1]}:{quote(match[2])}*"
    return f"{quote(word)}*"


def quote(word: str) -> str:
    """A word as FTS5 takes it literally."""
    if _BAREWORD.fullmatch(word):
        return word
    return '"' + word.replace('"', '""') + '"'
