"""What the hub answered, kept in the library's cache (`store.cache`, table `hub`): losing it costs a request.

    key      xxh3_128 of the name
    name     what was asked, its parts a line break between: server, "files", repo, commit; server, "search", …
    value    MessagePack [name, seconds since 1970, answer]

What a repo holds at a commit never changes, so it is good for ever. Everything else is given with its age; a time that
lies ahead (the clock was set back) counts as long ago. A value that can't be read, or came under another name, is none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec
import xxhash

from pumas.net.hub_answers import commit_of
from pumas.repos import RepoFile, RepoFiles
from pumas.store.cache import Cache, Table

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_ENTRIES = 4096  # with 20 files a repo 10 MB; when there are more, the older half goes
_MOST_BYTES = 4 << 20  # of one answer: 30,000 files
_Value = tuple[str, float, msgspec.Raw]


class Kept(msgspec.Struct, Generic[T], frozen=True):
    """An answer as it was kept."""

    answer: T
    age_s: float


class HubStore:
    """Answers by what was asked; safe to use from several threads.

    Args:
        cache: Holds them.
        server: Who gave them: a mirror never speaks for another one.
    """

    def __init__(self, cache: Cache, server: str) -> None:
        self._cache = cache
        self._server = server

    def get(self, asked: Sequence[str], kind: type[T]) -> Kept[T] | None:
        """The answer that was kept of a question, if it is of this kind."""
        return self._get_many([asked], kind)[0]

    def put(self, *answers: tuple[Sequence[str], object]) -> None:
        """Keep answers of questions; one that is too large, or a cache that can't be written, keeps none."""
        now_s = time.time()
        named = [(self._name(asked), answer) for asked, answer in answers]
        encoded = [(_key(name), _encoded(name, now_s, answer)) for name, answer in named]
        items = [(key, value) for key, value in encoded if value is not None and len(value) <= _MOST_BYTES]
        if items and self._cache.put_many(Table.HUB, items):
            self._trim()

    def files(self, repos: Sequence[tuple[str, str]]) -> list[tuple[RepoFile, ...] | None]:
        """The files of repos at commits, in their order; None where they are not known."""
        kept = self._get_many([("files", *repo) for repo in repos], tuple[RepoFile, ...])
        return [None if one is None else one.answer for one in kept]

    def put_files(self, repos: Sequence[RepoFiles]) -> None:
        """Keep the files of repos at commits, in one transaction; not those of a branch, which changes, nor none."""
        kept = [repo for repo in repos if repo.files and commit_of(repo.commit)]
        self.put(*((("files", repo.repo_id, repo.commit), repo.files) for repo in kept))

    def _get_many(self, questions: Sequence[Sequence[str]], kind: type[T]) -> list[Kept[T] | None]:
        now_s = time.time()
        names = [self._name(asked) for asked in questions]
        values = self._cache.get_many(Table.HUB, [_key(name) for name in names])
        return [_kept(name, value, kind, now_s) for name, value in zip(names, values, strict=True)]

    def _name(self, asked: Sequence[str]) -> str:
        return "\n".join((self._server, *asked))

    def _trim(self) -> None:
        if len(self._cache.keys(Table.HUB)) <= MOST_ENTRIES:
            return
        ages = sorted((_kept_at_s(value), key) for key, value in self._cache.items(Table.HUB))
        self._cache.delete_many(Table.HUB, [key for _, key in ages[: len(ages) // 2]])


def _key(name: str) -> bytes:
    return xxhash.xxh3_128_digest(name.encode("utf-8", "replace"))


def _encoded(name: str, at_s: float, answer: object) -> bytes | None:
    try:
        return msgspec.msgpack.encode((name, at_s, answer))
    except OverflowError:  # a card with a number of more than 64 bits
        return None


def _kept(name: str, value: bytes | None, kind: type[T], now_s: float) -> Kept[T] | None:
    if value is None:
        return None
    try:
        kept_name, at_s, raw = msgspec.msgpack.decode(value, type=_Value)
        if kept_name != name:
            return None
        answer = msgspec.msgpack.decode(raw, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        logger.debug("an answer of the hub could not be read from the cache: %s", exc)
        return None
    age_s = now_s - at_s
    return Kept(answer, age_s if age_s >= 0 else float("inf"))


def _kept_at_s(value: bytes) -> float:
    try:
        kept: _Value = msgspec.msgpack.decode(value, type=_Value)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return 0.0
    return kept[1]
