from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import lmdb
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pumas.store import mounts
from pumas.store.cache import Cache, Table, clear_cache, open_cache, path_key, row_key


@pytest.fixture
def opened(library: Path):
    """Open the cache of the library; closed with the test."""
    with ExitStack() as stack:

        def start(fallback: Path | None = None, *, is_writable: bool = True) -> Cache:
            find = None if fallback is None else lambda: fallback
            cache = open_cache(library, is_writable=is_writable, fallback=find)
            stack.callback(cache.close)
            return cache

        yield start


def folder_of(library: Path) -> Path:
    return library / ".pumas" / "cache"


def rows(count: int, size: int = 2000, seed: int = 0) -> list[tuple[bytes, bytes]]:
    maker = random.Random(seed)
    return [(row_key(rowid), maker.randbytes(size)) for rowid in range(count)]


def payload(txn, db, key: bytes) -> bytes:
    value: bytes = txn.get(key, db=db)
    return value[8:]


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def child(code: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# What is stored and read


@pytest.mark.parametrize("table", Table)
def test_what_is_put_can_be_read(opened, table):
    keys = [b"generation", b"stamp"] if table is Table.META else [bytes([n]) * table.key_bytes for n in (7, 3)]
    cache = opened()
    assert cache.get(table, keys[0]) is None
    assert cache.put_many(table, [(keys[0], b"one"), (keys[1], b"")])
    assert cache.get(table, keys[0]) == b"one"
    assert cache.get_many(table, [keys[1], keys[0], keys[1]]) == [b"", b"one", b""]
    assert cache.put_many(table, [(keys[0], b"two")])
    assert cache.delete_many(table, [keys[1], keys[1]])
    assert cache.get_many(table, keys) == [b"two", None]


def test_it_is_still_there_after_a_restart(opened, library):
    with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
        cache.put_many(Table.RECORDS, rows(100))
    assert list(opened().items(Table.RECORDS)) == rows(100)


def test_the_bytes_on_disk(opened, library):
    cache = opened()
    cache.put_many(Table.FOLDERS, [(path_key("llm/llama"), b"payload")])
    cache.put_many(Table.RECORDS, [(row_key(258), b"{}")])
    cache.close()
    with lmdb.open(str(folder_of(library)), max_dbs=6, readonly=True) as env, env.begin() as txn:
        folders, records = env.open_db(b"folders", txn=txn), env.open_db(b"records", txn=txn)
        value = txn.get(xxhash.xxh3_128_digest(b"llm/llama"), db=folders)
        seed = xxhash.xxh3_64_intdigest(xxhash.xxh3_128_digest(b"llm/llama"))
        assert value == xxhash.xxh3_64_intdigest(b"payload", seed).to_bytes(8, "little") + b"payload"
        assert records.flags()["integerkey"]
        assert payload(txn, records, (258).to_bytes(8, sys.byteorder)) == b"{}"
        meta = env.open_db(b"meta", txn=txn)
        assert payload(txn, meta, b"format") == b"1"
        identity = (library / ".pumas" / "library-id").read_bytes()
        assert payload(txn, meta, b"library") + b"\n" == identity


def test_rows_come_in_order_of_number(opened):
    cache = opened()
    cache.put_many(Table.RECORDS, [(row_key(rowid), b"x") for rowid in (300, 2, 70_000, 255, -1)])
    order = [int.from_bytes(key, sys.byteorder) for key, _ in cache.items(Table.RECORDS)]
    assert order == [2, 255, 300, 70_000, (1 << 64) - 1]


def test_an_update_loses_none_of_another_thread(opened):
    cache = opened()

    def count() -> None:
        for _ in range(30):
            cache.update(Table.META, b"count", lambda before: str(int(before or b"0") + 1).encode())

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get(Table.META, b"count") == b"90"
    assert b"count" in cache.keys(Table.META)


def test_replacing_leaves_nothing_of_before(opened):
    cache = opened()
    cache.put_many(Table.RECORDS, rows(50))
    assert cache.replace_all(Table.RECORDS, rows(3, seed=1))
    assert list(cache.items(Table.RECORDS)) == rows(3, seed=1)
    assert cache.replace_all(Table.RECORDS, ())
    assert list(cache.items(Table.RECORDS)) == []


@pytest.mark.parametrize(
    ("table", "key"), [(Table.RECORDS, b"123"), (Table.RECORDS, b""), (Table.META, b""), (Table.META, b"n" * 512)]
)
def test_a_key_of_wrong_length_is_never_given_to_lmdb(opened, table, key):
    cache = opened()
    assert cache.get(table, key) is None
    for change in (cache.put_many, cache.replace_all):
        with pytest.raises(ValueError, match="right length"):
            change(table, [(key, b"x")])
    with pytest.raises(ValueError, match="right length"):
        cache.delete_many(table, [key])


def test_keys_of_paths_no_file_system_should_have():
    assert path_key("a") == xxhash.xxh3_128_digest(b"a")
    assert len({path_key("\udcff"), path_key("\ud800"), path_key("ÿ")}) == 3


_NAMES = st.sampled_from([b"a", b"b", b"c", b"d"])
_STEPS = st.one_of(
    st.tuples(st.just("put"), st.dictionaries(_NAMES, st.binary(max_size=9000), max_size=4)),
    st.tuples(st.just("replace"), st.dictionaries(_NAMES, st.binary(max_size=9000), max_size=4)),
    st.tuples(st.just("delete"), st.dictionaries(_NAMES, st.none(), max_size=4)),
)


@given(st.lists(_STEPS, max_size=12))
@settings(max_examples=30, deadline=None)
def test_it_is_a_dictionary(tmp_path_factory, steps):
    library = tmp_path_factory.mktemp("library")
    known: dict[bytes, bytes] = {}
    for verb, items in steps:
        with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
            padded = [(name * 16, value) for name, value in items.items()]
            if verb == "delete":
                assert cache.delete_many(Table.DIGESTS, [key for key, _ in padded])
                for key, _ in padded:
                    known.pop(key, None)
            else:
                assert (cache.put_many if verb == "put" else cache.replace_all)(Table.DIGESTS, padded)
                known = {**({} if verb == "replace" else known), **dict(padded)}
            assert dict(cache.items(Table.DIGESTS)) == known


# Damaged values


def test_a_damaged_value_is_a_miss_and_goes_with_the_next_write(opened, library, caplog):
    cache = opened()
    cache.put_many(Table.FOLDERS, [(path_key(name), name.encode() * 9) for name in "abc"])
    cache.close()
    with lmdb.open(str(folder_of(library)), max_dbs=6) as env:
        db = env.open_db(b"folders")
        with env.begin(write=True, db=db) as txn:
            txn.put(path_key("a"), b"checksum" + b"a" * 9)
            txn.put(path_key("b"), b"short")
            txn.put(path_key("d"), bytes(txn.get(path_key("c")) or b""))  # under another key
    cache = opened()
    assert cache.get_many(Table.FOLDERS, [path_key(name) for name in "abc"]) == [None, None, b"c" * 9]
    assert [value for _, value in cache.items(Table.FOLDERS)] == [b"c" * 9]
    assert cache.get(Table.FOLDERS, path_key("d")) is None
    assert cache.info().entries["folders"] == 4, "a reader waits for no writer"
    assert cache.put_many(Table.FOLDERS, [(path_key("b"), b"again")])
    assert cache.info().entries["folders"] == 2
    assert cache.get(Table.FOLDERS, path_key("b")) == b"again"
    assert len(warnings(caplog)) == 1


# One environment for all


def test_all_users_of_a_process_share_one_environment(opened, library, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(library)
    first = opened()
    with closing(open_cache(link, is_writable=True, fallback=None)) as second:
        assert second.put_many(Table.META, [(b"generation", b"7")])
    assert first.get(Table.META, b"generation") == b"7"
    first.close()
    first.close()
    assert first.get(Table.META, b"generation") is None
    assert not first.put_many(Table.META, [(b"generation", b"8")])
    assert opened().get(Table.META, b"generation") == b"7"


def test_threads_open_write_grow_and_close(library):
    failures: list[object] = []

    def work(number: int) -> None:
        for turn in range(8):
            with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
                key = row_key(number * 100 + turn)
                # 64 such values do not fit into the first map.
                if not cache.put_many(Table.RECORDS, [(key, bytes([number]) * 1_000_000)]):
                    failures.append((number, turn, "put"))
                if cache.get(Table.RECORDS, key) != bytes([number]) * 1_000_000:
                    failures.append((number, turn, "get"))
                cache.get_many(Table.RECORDS, [row_key(n) for n in range(20)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
        assert cache.info().entries["records"] == 64


def test_sixty_four_readers_at_once(opened):
    cache = opened()
    cache.put_many(Table.META, [(b"n", b"1")])
    together = threading.Barrier(64)
    found: list[bytes | None] = []

    def read() -> None:
        together.wait(30)
        found.extend(cache.get(Table.META, b"n") for _ in range(50))

    threads = [threading.Thread(target=read) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [b"1"] * 64 * 50


FORKING = """
import os, sys, threading, time
from pathlib import Path
from pumas.store.cache import Table, open_cache

cache = open_cache(Path(sys.argv[1]), is_writable=True, fallback=None)
cache.put_many(Table.META, [(b"from", b"parent")])
ended = threading.Event()
def read():
    while not ended.is_set():
        assert cache.get(Table.META, b"from") is not None
def write():
    took = 0.0
    while not ended.wait(0.005 + took):  # a writer that hardly rests leaves others no turn while the drive is slow
        begun = time.monotonic()
        assert cache.put_many(Table.META, [(b"busy", os.urandom(5000))])
        took = time.monotonic() - begun
threads = [threading.Thread(target=work, daemon=True) for work in (read, read, write)]
for thread in threads: thread.start()
for number in range(20):
    child = os.fork()
    if child == 0:
        ok = cache.get(Table.META, b"from") is not None
        ok = ok and cache.put_many(Table.META, [(b"from", b"child %d" % number)])
        ok = ok and cache.get(Table.META, b"from") == b"child %d" % number
        cache.close()
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert cache.get(Table.META, b"from") == b"child %d" % number
ended.set()
for thread in threads: thread.join()
cache.close()
print("done")
"""


def test_a_forked_child_opens_its_own(library):
    assert child(FORKING, library) == "done"


# Size of the map


def test_a_full_map_grows(opened):
    cache = opened()
    assert cache.info().map_size_bytes == 16 << 20
    for batch in range(5):
        assert cache.put_many(Table.RECORDS, [(row_key(batch), bytes([batch]) * (10 << 20))])
    assert cache.info().map_size_bytes == 64 << 20
    assert [value[:1] for value in cache.get_many(Table.RECORDS, [row_key(n) for n in range(5)])] == [
        bytes([n]) for n in range(5)
    ]


GROWING = """
import sys
from pathlib import Path
from pumas.store.cache import Table, open_cache, row_key
cache = open_cache(Path(sys.argv[1]), is_writable=True, fallback=None)
for n in range(4):
    assert cache.put_many(Table.RECORDS, [(row_key(n), b"x" * (20 << 20))])
cache.close()
"""


def test_what_another_process_made_of_the_map_is_adopted(opened, library):
    cache = opened()
    cache.put_many(Table.META, [(b"n", b"1")])
    child(GROWING, library)
    assert cache.get(Table.RECORDS, row_key(3)) == b"x" * (20 << 20)
    child(GROWING, library)
    assert cache.put_many(Table.META, [(b"n", b"2")])
    assert cache.get(Table.META, b"n") == b"2"


def test_a_read_of_everything_may_use_the_cache_meanwhile(opened):
    cache = opened()
    cache.put_many(Table.RECORDS, rows(20))
    for key, value in cache.items(Table.RECORDS):
        assert cache.get(Table.RECORDS, key) == value
        assert cache.put_many(Table.HEADERS, [(key * 2, b"x" * (2 << 20))])


# Where it lies


def test_a_library_that_can_not_be_written_to_is_cached_elsewhere(opened, library, tmp_path):
    fallback = tmp_path / "user-cache"
    cache = opened(fallback, is_writable=False)
    assert cache.put_many(Table.META, [(b"n", b"1")])
    info = cache.info()
    assert info.is_fallback
    assert info.path == fallback / xxhash.xxh3_128_hexdigest(os.fsencode(library))
    assert info.library_id.startswith("path-")
    assert not (library / ".pumas").exists()


def test_without_a_place_everything_is_a_miss(opened, library, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    for fallback in (None, tmp_path / "file"):
        cache = (
            opened(fallback, is_writable=False) if fallback is None else opened(fallback / "below", is_writable=False)
        )
        assert cache.get(Table.META, b"n") is None
        assert cache.get_many(Table.META, [b"n", b"m"]) == [None, None]
        assert list(cache.items(Table.META)) == []
        assert not cache.put_many(Table.META, [(b"n", b"1")])
        cache.clear()
        info = cache.info()
        assert (info.path, info.is_usable, info.entries["meta"]) == (None, False, 0)
    assert clear_cache(library, is_writable=False, fallback=None).path is None
    assert (tmp_path / "file").read_text() == "in the way"
    assert len(warnings(caplog)) == 3


def test_a_file_in_place_of_the_folder_goes(opened, library):
    folder_of(library).parent.mkdir()
    folder_of(library).write_text("?")
    assert opened().put_many(Table.META, [(b"n", b"1")])


def test_a_link_in_place_of_the_folder_is_left_alone(opened, library, tmp_path):
    target = tmp_path / "precious"
    target.mkdir()
    (target / "data.mdb").write_text("precious")
    folder_of(library).parent.mkdir()
    folder_of(library).symlink_to(target)
    cache = opened(tmp_path / "user-cache")
    cache.clear()
    assert cache.info().is_fallback
    assert (target / "data.mdb").read_text() == "precious"


@pytest.mark.parametrize("name", ["seal", "data.mdb", "lock.mdb"])
def test_a_link_inside_the_folder_is_not_followed(opened, library, tmp_path, name):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    folder_of(library).mkdir(parents=True)
    (folder_of(library) / name).symlink_to(precious)
    assert opened().put_many(Table.META, [(b"n", b"1")])
    assert precious.read_text() == "precious"


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:40 / /mnt/far\\040away rw - {kind} server:/models rw
31 22 0:41 / /mnt/far rw - ext4 /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("kind", "is_near"),
    [
        *((kind, False) for kind in ("nfs", "nfs4", "cifs", "9p", "fuse.sshfs", "fuse")),
        *((kind, True) for kind in ("fuseblk", "ext4", "btrfs", "tmpfs")),
    ],
)
def test_the_kind_of_a_file_system(kind, is_near):
    lines = MOUNTS.format(kind=kind).splitlines()
    assert mounts.kind_of_mount("/mnt/far away/models", lines) == kind
    assert mounts.is_near_kind(kind) is is_near
    assert mounts.kind_of_mount("/mnt/farther", lines) == "ext4"


def test_this_very_file_system_is_known(tmp_path):
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    assert mounts.kind_of_mount(str(tmp_path), lines) in {line.split(" - ")[1].split(" ")[0] for line in lines}


# Whose it is


@pytest.mark.parametrize("text", [b"", b"not an id\n", b"0" * 32, b"\xff" * 33])
def test_a_damaged_library_id_is_made_anew_and_the_cache_with_it(opened, library, caplog, text):
    with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
        cache.put_many(Table.META, [(b"n", b"1")])
        before = cache.info().library_id
    (library / ".pumas" / "library-id").write_bytes(text)
    cache = opened()
    assert cache.get(Table.META, b"n") is None
    assert cache.info().library_id != before
    assert len(warnings(caplog)) == 1
    assert "thrown away" in warnings(caplog)[0]


def test_a_cache_of_another_format_is_thrown_away(opened, library, caplog):
    with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
        cache.put_many(Table.META, [(b"format", b"0"), (b"n", b"1")])
    cache = opened()
    assert cache.get(Table.META, b"n") is None
    assert cache.put_many(Table.META, [(b"n", b"2")])
    assert len(warnings(caplog)) == 1


def test_a_moved_library_keeps_its_cache(library, tmp_path):
    with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
        cache.put_many(Table.META, [(b"n", b"1")])
    moved = library.rename(tmp_path / "moved")
    with closing(open_cache(moved, is_writable=True, fallback=None)) as cache:
        assert cache.get(Table.META, b"n") == b"1"


# Seal, clearing


def test_only_an_unsealed_file_is_verified(opened, library, monkeypatch):
    with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
        cache.put_many(Table.RECORDS, rows(50))
    data = folder_of(library) / "data.mdb"
    for _ in range(2):
        cache = opened()
        assert cache.get(Table.RECORDS, row_key(3)) is not None
        cache.close()
        before = (folder_of(library) / "seal").read_text()
        assert time.time_ns() - data.stat().st_mtime_ns > 5_000_000_000, "no clock is too coarse to tell a later write"
        assert before == f"{data.stat().st_ino} {data.stat().st_size} {data.stat().st_mtime_ns}"
    os.utime(data)
    opened().close()
    after = (folder_of(library) / "seal").read_text()
    assert after != before, "it was verified, and sealed again"
    assert after == f"{data.stat().st_ino} {data.stat().st_size} {data.stat().st_mtime_ns}"


def test_clearing_removes_all_that_lies_in_the_folder(library):
    with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
        cache.put_many(Table.RECORDS, rows(2000))
    (folder_of(library) / "postings-7.bin").write_bytes(b"x" * 1000)
    removed = clear_cache(library, is_writable=True, fallback=None)
    assert removed.entries["records"] == 2000
    assert removed.freed_bytes > 4_000_000
    assert sorted(os.listdir(folder_of(library))) == ["open.lock", "write.lock"]
    assert os.listdir(library) == [".pumas"]


CLEARING = """
import sys
from pathlib import Path
from pumas.store.cache import clear_cache
print(clear_cache(Path(sys.argv[1]), is_writable=True, fallback=None).entries["records"])
"""


def test_clearing_what_another_process_has_open_empties_it(opened, library):
    cache = opened()
    cache.put_many(Table.RECORDS, rows(100))
    cache.put_many(Table.META, [(b"n", b"1")])
    assert child(CLEARING, library) == "100"
    assert list(cache.items(Table.RECORDS)) == []
    assert cache.get(Table.META, b"n") is None
    assert cache.put_many(Table.RECORDS, rows(1))
    cache.close()
    assert list(opened().items(Table.RECORDS)) == rows(1)


def test_it_can_be_used_after_clearing(opened):
    cache = opened()
    cache.put_many(Table.RECORDS, rows(100))
    cache.clear()
    assert cache.get(Table.RECORDS, row_key(1)) is None
    assert cache.put_many(Table.RECORDS, rows(2))
    assert list(cache.items(Table.RECORDS)) == rows(2)
