"""Which models were found in order is kept, whoever else keeps something."""

from __future__ import annotations

from pumas.library.stamps import STAMPS_KEY, keep_stamps, recall_stamps
from pumas.store.cache import Table, path_key

ONE, TWO = (b"1" * 16, 1), (b"2" * 16, 2**32 - 1)


def test_stamps_of_models_that_are_there_are_kept_side_by_side(cache):
    keep_stamps(cache, {"a": ONE, "b": TWO, "gone": ONE}, ["a", "b", "c"])
    assert recall_stamps(cache) == {path_key("a"): ONE, path_key("b"): TWO}
    keep_stamps(cache, {"b": None, "c": TWO}, ["a", "b", "c"])
    assert recall_stamps(cache) == {path_key("a"): ONE, path_key("c"): TWO}
    keep_stamps(cache, {}, ["a"])
    assert recall_stamps(cache) == {path_key("a"): ONE}


def test_a_row_that_is_cut_counts_for_nothing(cache):
    keep_stamps(cache, {"a": ONE, "b": TWO}, ["a", "b"])
    kept = cache.get(Table.DIGESTS, STAMPS_KEY)
    assert kept is not None
    cache.put_many(Table.DIGESTS, [(STAMPS_KEY, kept[:-1])])
    assert recall_stamps(cache) == {path_key("a"): ONE}


def test_nothing_is_written_where_nothing_changed(cache):
    keep_stamps(cache, {"a": ONE}, ["a"])
    seal = cache.folder / "seal"  # another one after each write
    before = seal.read_bytes()
    keep_stamps(cache, {"a": ONE}, ["a"])
    keep_stamps(cache, {"b": None}, ["a"])
    assert seal.read_bytes() == before
    keep_stamps(cache, {"a": TWO}, ["a"])
    assert seal.read_bytes() != before
