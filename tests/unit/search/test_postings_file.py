"""Postings on disk: what was written comes back, anything else is refused."""

from __future__ import annotations

import struct
from contextlib import closing
from random import Random

import numpy as np
import pytest
import xxhash
from support.corpora import expected, make_table

from pumas.search.postings import build_postings
from pumas.search.postings_file import DamagedPostings, open_postings, write_postings
from pumas.search.ranking import Ranker
from pumas.search.tokenizer import Tokenizer

ENTRIES_AT = 48
ENTRY = struct.Struct("<24s 8s QQQQ")


@pytest.fixture(scope="module")
def postings():
    with closing(make_table(1, 1300, 20)) as db:
        yield build_postings(db)


@pytest.fixture
def path(postings, tmp_path):
    write_postings(postings, tmp_path / "1.postings")
    return tmp_path / "1.postings"


def entry(data, name):
    """Place in the header of an array's entry, and its offset and length."""
    at = data.index(name.encode().ljust(24, b"\0"), ENTRIES_AT)
    _, _, offset, length, _, _ = ENTRY.unpack_from(data, at)
    return at, offset, length


def sealed(data):
    """The same with the checksums that belong to it: what only looking at the arrays can tell."""
    data = bytearray(data)
    (count,) = struct.unpack_from("<I", data, 12)
    for number in range(count):
        at = ENTRIES_AT + number * ENTRY.size
        name, kind, offset, length, columns, _ = ENTRY.unpack_from(data, at)
        sum_ = xxhash.xxh3_64_intdigest(bytes(data[offset : offset + length]))
        ENTRY.pack_into(data, at, name, kind, offset, length, columns, sum_)
    struct.pack_into("<Q", data, 40, 0)
    header = bytes(data[: ENTRIES_AT + count * ENTRY.size])
    struct.pack_into("<Q", data, 40, xxhash.xxh3_64_intdigest(header))
    return bytes(data)


def test_what_was_written_comes_back(postings, path):
    found = open_postings(path).verify()
    assert (found.rows, found.tokens) == (postings.rows, postings.tokens)
    for name, array in postings.arrays.items():
        assert np.array_equal(found.arrays[name], array), name
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert all(array.ctypes.data % 64 == 0 for array in found.arrays.values() if array.size)


def test_no_rows(tmp_path):
    with closing(make_table(1, 0)) as db:
        write_postings(build_postings(db), tmp_path / "empty")
    ranker = Ranker(open_postings(tmp_path / "empty").verify(), Tokenizer())
    page = ranker.rank("llama", limit=10)
    assert page is not None
    assert page.rowids == []


def test_a_mapped_file_can_be_replaced(postings, path, tmp_path):
    first = open_postings(path).verify()
    with closing(make_table(2, 10)) as db:
        write_postings(build_postings(db), path)
        second = Ranker(open_postings(path).verify(), Tokenizer())
        page = second.rank("a", limit=99)
        assert page is not None
        assert page.rowids == [rowid for rowid, _ in expected(db, "a")]
    assert np.array_equal(first.arrays["posts"], postings.arrays["posts"])


@pytest.mark.parametrize("size", [0, 7, 47, 48, 500, 4096, -1, +1])
def test_another_size_is_refused(path, size):
    data = path.read_bytes()
    path.write_bytes(data + b"\0" if size == 1 else data[:size])
    with pytest.raises(DamagedPostings, match=r"short|size|header"):
        open_postings(path)


def test_every_bit_of_the_header_counts(path):
    data = path.read_bytes()
    (count,) = struct.unpack_from("<I", data, 12)
    for at in range(ENTRIES_AT + count * ENTRY.size):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        with pytest.raises(DamagedPostings):
            open_postings(path)


def test_a_turned_bit_of_an_array_is_found(path, postings):
    data = path.read_bytes()
    random = Random(1)
    for name in postings.arrays:
        _, offset, length = entry(data, name)
        damaged = bytearray(data)
        damaged[offset + random.randrange(length)] ^= 1 << random.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(DamagedPostings, match=name):
            open_postings(path).verify()


@pytest.mark.parametrize("reseal", [True, False])
def test_damage_never_ends_the_process(path, postings, reseal):
    """Bytes turn in an array whose checksum is made to fit: it is refused, or can be ranked with safely."""
    data = path.read_bytes()
    random = Random(2)
    refused = 0
    structural = [name for name in postings.arrays if name not in ("term_bytes", "tag_bytes", "type_bytes")]
    for round_ in range(150):
        name = structural[round_ % len(structural)]
        _, offset, length = entry(data, name)
        damaged = bytearray(data)
        damaged[offset + random.randrange(length)] ^= 1 << random.randrange(8)
        path.write_bytes(sealed(damaged) if reseal else damaged)
        try:
            found = open_postings(path).verify()
        except DamagedPostings:
            refused += 1
            continue
        ranker = Ranker(found, Tokenizer())
        for typed in ("a", "w", "llama q4_k_m", "a-b-a w1", "über 日"):
            ranker.rank(typed, limit=500, model_types=("llm",), tags=("lora",))
    assert refused == 150 if not reseal else refused > 60


@pytest.mark.parametrize("numbers", [(2**64 - 1, 1), (1, 2**63), (0, 0)])
def test_other_numbers_of_rows_and_tokens_are_refused(path, postings, numbers):
    data = bytearray(path.read_bytes())
    assert struct.unpack_from("<QQ", data, 24) == (postings.rows, postings.tokens)
    struct.pack_into("<QQ", data, 24, *numbers)
    path.write_bytes(sealed(data))
    with pytest.raises(DamagedPostings, match="rows and tokens"):
        open_postings(path).verify()


def test_an_array_out_of_its_place_is_refused(path):
    data = path.read_bytes()
    for offset, length in ((1 << 60, 8), (64, 8), (len(data) - 8, 64), (0, 1 << 62)):
        damaged = bytearray(data)
        at, _, _ = entry(data, "posts")
        struct.pack_into("<QQ", damaged, at + 32, offset, length)
        struct.pack_into("<Q", damaged, 40, 0)
        (count,) = struct.unpack_from("<I", data, 12)
        struct.pack_into("<Q", damaged, 40, xxhash.xxh3_64_intdigest(bytes(damaged[: ENTRIES_AT + count * 64])))
        path.write_bytes(damaged)
        with pytest.raises(DamagedPostings, match="posts"):
            open_postings(path)


def test_a_failed_write_leaves_the_old_file(path, postings, monkeypatch):
    before = path.read_bytes()
    broken = type(postings)(postings.arrays | {"unions": np.array(["x"])}, postings.rows, postings.tokens)
    with pytest.raises(ValueError, match="x"):
        write_postings(broken, path)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]
