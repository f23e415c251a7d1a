"""Words → tokens, exactly as the search table's tokenizer cuts them (`unicode61 remove_diacritics 1`).

Of ASCII text the tokens are the runs of letters and digits. Python's tables of other characters are newer than
SQLite's, so SQLite itself cuts such text: it goes into a table in memory and is read back from its vocabulary (19 µs).
"""

from __future__ import annotations

import re
import sqlite3
from threading import Lock

from pumas.search.schema import TOKENIZE

_ASCII_TOKEN = re.compile("[a-z0-9]+")


class Tokenizer:
    """Cuts words into tokens; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._db: sqlite3.Connection | None = None

    def tokens(self, word: str) -> list[bytes]:
        """The tokens of one lower-case word as UTF-8; none when it has neither letters nor digits."""
        if word.isascii():
            return [token.encode() for token in _ASCII_TOKEN.findall(word)]
        with self._lock:
            db = self._connection()
            db.execute("BEGIN")
            try:
                db.execute("INSERT INTO words VALUES (?)", (word,))
                return [row[0] for row in db.execute("SELECT CAST(term AS BLOB) FROM tokens ORDER BY offset")]
            finally:
                db.execute("ROLLBACK")

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            self._db.execute(f"CREATE VIRTUAL TABLE words USING fts5(word, {TOKENIZE})")
            self._db.execute("CREATE VIRTUAL TABLE tokens USING fts5vocab('words', 'instance')")
        return self._db

    def close(self) -> None:
        """Give the table back; it is made again when it is needed."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None
