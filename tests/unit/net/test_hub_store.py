"""Answers of the hub on disk: kept by what was asked, never believed when they are damaged."""

from __future__ import annotations

import time

import msgspec
import pytest
import xxhash

from pumas.net import hub_store
from pumas.net.hub_store import HubStore
from pumas.repos import RepoFile, RepoFiles
from pumas.store.cache import Cache, Table

FILES = (RepoFile(path="a.gguf", size_bytes=5, sha256="ab" * 32), RepoFile(path="b"))
COMMIT = "0" * 40


def at(commit: str, files: tuple[RepoFile, ...] = FILES) -> RepoFiles:
    return RepoFiles(repo_id="a/b", commit=commit, files=files)


@pytest.fixture
def store(cache) -> HubStore:
    return HubStore(cache, "https://hub.example")


def test_files_are_those_of_one_repo_at_one_commit_of_one_server(cache, store):
    store.put_files([at(COMMIT)])
    assert store.files([("a/b", COMMIT), ("a/b", "1" * 40), ("a/c", COMMIT)]) == [FILES, None, None]
    assert HubStore(cache, "https://mirror.example").files([("a/b", COMMIT)]) == [None]


def test_a_branch_changes_and_is_not_kept(store):
    store.put_files([at("main")])
    assert store.files([("a/b", "main")]) == [None]


def test_an_answer_tells_its_age(store, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    store.put((("search", "x"), ["a"]))
    monkeypatch.setattr(time, "time", lambda: 1100.0)
    kept = store.get(("search", "x"), list[str])
    assert kept is not None
    assert (kept.answer, kept.age_s) == (["a"], 100.0)
    monkeypatch.setattr(time, "time", lambda: 900.0)
    kept = store.get(("search", "x"), list[str])
    assert kept is not None
    assert kept.age_s == float("inf"), "a clock that is set back makes nothing young"


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\x00",
        b"\xc1",
        b"not msgpack at all",
        msgspec.msgpack.encode(5),
        msgspec.msgpack.encode(["name", "no time", []]),
        msgspec.msgpack.encode(["of another question", 1.0, ["a"]]),
        msgspec.msgpack.encode(["https://hub.example\nsearch\nx", 1.0, {"a": 1}]),
        msgspec.msgpack.encode(["https://hub.example\nsearch\nx", 1.0, [5]]),
        b"\x91" * 10_000,
    ],
)
def test_a_damaged_value_is_none(cache, store, damage):
    key = xxhash.xxh3_128_digest(b"https://hub.example\nsearch\nx")
    store.put((("search", "x"), ["a"]))
    assert cache.get(Table.HUB, key)
    cache.put_many(Table.HUB, [(key, damage)])
    assert store.get(("search", "x"), list[str]) is None
    store.put((("search", "x"), ["b"]))
    kept = store.get(("search", "x"), list[str])
    assert kept is not None
    assert kept.answer == ["b"]


def test_the_older_half_goes_when_there_are_too_many(cache, store, monkeypatch):
    monkeypatch.setattr(hub_store, "MOST_ENTRIES", 9)
    now = time.time()
    cache.put_many(Table.HUB, [(b"damaged".ljust(16), b"\xc1")])
    for n in range(9):
        monkeypatch.setattr(time, "time", lambda n=n: now + n)
        store.put_files([at(str(n) * 40)])
    assert store.files([("a/b", str(n) * 40) for n in range(9)]) == [None] * 4 + [FILES] * 5
    assert len(cache.keys(Table.HUB)) == 5


def test_what_is_too_large_is_not_kept(cache, store, monkeypatch):
    monkeypatch.setattr(hub_store, "_MOST_BYTES", 400)
    store.put_files([at(COMMIT, FILES * 10), at("1" * 40, FILES[:1])])
    assert store.files([("a/b", COMMIT), ("a/b", "1" * 40)]) == [None, FILES[:1]]


def test_without_a_cache_nothing_is_kept():
    store = HubStore(Cache(None, is_fallback=False), "x")
    store.put_files([at(COMMIT)])
    assert store.files([("a/b", COMMIT)]) == [None]


def test_a_commit_without_files_is_not_kept(store):
    store.put_files([at(COMMIT, ())])
    assert store.files([("a/b", COMMIT)]) == [None]


def test_a_number_that_the_cache_has_no_room_for_keeps_that_answer_out_only(store):
    store.put((("search", "a"), {"card": 10**30}), (("search", "b"), "kept"))
    assert store.get(("search", "a"), dict) is None
    assert store.get(("search", "b"), str).answer == "kept"
