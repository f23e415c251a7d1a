"""Answers joined from ready bytes: no row is read and no object is built on the way to the wire.

The cache holds each model's bytes (`library/ready.py`): under its rowid those for a search, under the rowid with the
highest bit set those for the list, so that a list touches no page of the longer ones. Beside them stands the stamp of
the index state that they belong to. Whoever reads looks at it in the same read transaction; when it is another, or
anything is missing, the answer is None and is made from the rows instead.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from threading import Lock

from pumas.jobs import Progress
from pumas.library.ready import list_entry, search_entry
from pumas.library.records import model_of
from pumas.models import Model, SearchHit
from pumas.search.index import Index, Row
from pumas.search.take_up import Changes
from pumas.store.cache import Cache, Table, row_key, row_keys
from pumas.store.locks import document_lock

logger = logging.getLogger(__name__)

_STAMP = b"records"
_FORM = b"3"  # changes with the shapes in `library/ready.py`
_BATCH = 500  # models held at once, beside the answer itself
_LISTED = 10_000  # entries of the list that are written at once, 0.3 KB each
_RECENT_BYTES = 4 << 20  # records of recent hits, some 2,000
_LIST = 1 << 63  # keys in ascending order fill their pages only behind all others: the list's pages are those to save

_Entry = tuple[bytes, bytes]


def hit_of(model: Model, row: Row) -> SearchHit:
    """One model with its row of the index."""
    return SearchHit(
        model=model,
        tags_json=row.tags_json,
        hashes_json=row.hashes_json,
        metadata_json=row.metadata_json,
        updated_at=row.updated_at,
    )


def place_key(stamp: bytes, library: Path) -> bytes:
    """A stamp of the index bound to one place, since what is kept for it names absolute paths; empty for none."""
    if not stamp:
        return b""
    return blake2b(stamp + b"\0" + str(library).encode("utf-8", "surrogateescape"), digest_size=16).digest()


@dataclass
class _Recent:
    """Records of the latest hits, all of one state of the index.

    PERF: each key that is read from LMDB gives the interpreter's lock away, and eight clients wait for it: a page whose
    hits were on pages before, as while somebody types, is made in half the time (`bench_search_http`).
    """

    key: bytes = b""
    records: dict[int, bytes] = field(default_factory=dict)
    size_bytes: int = 0


class ReadyRecords:
    """The ready bytes of one library."""

    def __init__(self, index: Index, cache: Cache, library: Path, locks: Path) -> None:
        self._index = index
        self._cache = cache
        self._library = library
        self._locks = locks
        self._lock = Lock()
        self._listing: tuple[bytes, list[bytes]] = (b"", [])
        self._recent = _Recent()
        self._is_lossy = False
        """Whether a record was missing although the stamp says that all are there: damage took it."""

    def listing(self) -> list[bytes] | None:
        """All models as the object of `get_models`, in order of ids, in pieces that nobody may change."""
        key = self._key(self._index.stamp())
        with self._lock:
            if key and self._listing[0] == key:
                return self._listing[1]
        page = self._index.listed_rowids()
        key = self._key(page.stamp)
        if min(page.rowids, default=0) < 0:
            return None
        pieces: list[bytes] = []
        for start in range(0, len(page.rowids), _BATCH):
            found = self._records([row_key(rowid | _LIST) for rowid in page.rowids[start : start + _BATCH]], key)
            if found is None:
                return None
            if found:
                pieces.append(b"".join((b"," if pieces else b"{", b",".join(found))))
        pieces.append(b"}" if pieces else b"{}")
        with self._lock:
            self._listing = (key, pieces)
        return pieces

    def hits(self, rowids: Sequence[int], stamp: bytes) -> bytes | None:
        """The hits of one page as the list of `search_models_fts`."""
        if min(rowids, default=0) < 0:
            return None
        found = self._hits(rowids, self._key(stamp))
        if not found:
            return None if found is None else b"[]"
        # PERF: a page is 200 KB, and is copied once.
        found[0] = b"[" + found[0]
        found[-1] += b"]"
        return b",".join(found)

    def _hits(self, rowids: Sequence[int], wanted: bytes) -> list[bytes] | None:
        recent = self._recent
        known = recent.records if recent.key == wanted else {}
        found = list(map(known.get, rowids))
        missing = [rowid for rowid, record in zip(rowids, found, strict=True) if record is None]
        if missing:
            records = self._records(row_keys(missing), wanted)
            if records is None:
                return None
            read = dict(zip(missing, records, strict=True))
            found = [record or read[rowid] for rowid, record in zip(rowids, found, strict=True)]
            self._keep(recent, wanted, read)
        return [record for record in found if record]

    def _keep(self, seen: _Recent, key: bytes, read: dict[int, bytes]) -> None:
        size_bytes = sum(map(len, read.values()))
        with self._lock:
            # Another may have taken the place meanwhile, or all may have been forgotten.
            if self._recent is not seen or size_bytes > _RECENT_BYTES:
                return
            if seen.key != key or seen.size_bytes + size_bytes > _RECENT_BYTES:
                self._recent = _Recent(key, read, size_bytes)
            else:
                seen.records.update(read)
                seen.size_bytes += size_bytes

    def _records(self, keys: Sequence[bytes], wanted: bytes) -> list[bytes] | None:
        # Another process may write meanwhile; it takes the stamp away first.
        found = self._cache.get_stamped(Table.RECORDS, keys, _STAMP, wanted) if wanted else None
        if found is None:
            return None
        if None in found:
            self._is_lossy = True
            return None
        return [record for record in found if record]

    def _is_stamped(self, key: bytes) -> bool:
        return bool(key) and self._cache.get(Table.META, _STAMP) == key

    def _key(self, stamp: bytes) -> bytes:
        return place_key(_FORM + stamp, self._library) if stamp else b""

    def forget(self) -> None:
        """Nothing that is kept belongs to any state of the index from now on."""
        with self._lock:
            self._listing = (b"", [])
            self._recent = _Recent()
        self._cache.put_many(Table.META, [(_STAMP, b"")])

    def follow(self, changes: Changes) -> bool:
        """Take up what a refresh wrote.

        Returns:
            Whether the records are those of the index now; if not, `fill` is needed.
        """
        if not changes.total:
            return not self._is_lossy and self._is_stamped(self._key(self._index.stamp()))
        if changes.is_all_new:
            return False
        with document_lock(self._locks, _STAMP.decode()):
            if not self._is_stamped(self._key(changes.stamp_before)):
                return False
            rows, stamp = self._index.rows_at(changes.rowids)
            if stamp != changes.stamp_after:
                return False
            self._cache.put_many(Table.META, [(_STAMP, b"")])
            gone = [row_key(rowid | bit) for rowid in changes.gone_rowids if rowid >= 0 for bit in (0, _LIST)]
            self._cache.delete_many(Table.RECORDS, gone)
            listed, found = self._entries(rows)
            is_written = self._cache.put_many(Table.RECORDS, found + listed)
            return is_written and self._cache.put_many(Table.META, [(_STAMP, self._key(stamp))])

    def fill(self, progress: Progress) -> None:
        """Make the records of all models; a job, since it takes 20 µs a model.

        Raises:
            Cancelled: The job is to end.
        """
        with document_lock(self._locks, _STAMP.decode()):
            stamp = self._index.stamp()
            if not stamp or (not self._is_lossy and self._is_stamped(self._key(stamp))):
                return
            self._is_lossy = False
            self._cache.put_many(Table.META, [(_STAMP, b"")])
            self._cache.replace_all(Table.RECORDS, [])
            last, done = -1, 0
            listed: list[_Entry] = []
            while True:
                progress.report(done, None, "preparing answers")
                rows, seen = self._index.rows_after(last, _BATCH)
                if seen != stamp:
                    logger.debug("the index changed while its records were made; the next refresh makes them again")
                    return
                some, found = self._entries(rows)
                listed += some
                # Written at once, the pages of a list lie side by side: reading it maps no others.
                if listed and (not rows or len(listed) >= _LISTED):
                    found += listed
                    listed = []
                if found and not self._cache.put_many(Table.RECORDS, found):
                    return
                if not rows:
                    break
                last, done = rows[-1][0], done + len(rows)
            self._cache.put_many(Table.META, [(_STAMP, self._key(stamp))])

    def _entries(self, rows: Iterable[tuple[int, Row]]) -> tuple[list[_Entry], list[_Entry]]:
        """What is kept of each row for the list, and for a search."""
        listed, found = [], []
        for rowid, row in rows:
            if rowid < 0:  # another program's; its bits would be those of a list's key, so such are made from the rows
                continue
            model = model_of(row.id, row.metadata_json)
            # Of a row whose document is none, nothing: it is left out of answers, but was not lost.
            listed.append((row_key(rowid | _LIST), b"" if model is None else list_entry(model)))
            hit = b"" if model is None else search_entry(hit_of(model, row), self._library)
            found.append((row_key(rowid), hit))
        return listed, found
