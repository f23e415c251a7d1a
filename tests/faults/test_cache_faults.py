"""Damage, kills, full and read-only drives, done to real files; whatever could end a process runs in a child."""

from __future__ import annotations

import fcntl
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.drives import can_mount_in_child, on_own_drive

from pumas.store import cache, cache_file
from pumas.store.cache import Table, open_cache, path_key, row_key

PLACES = 50


def values(table: Table, count: int = 300, size: int = 300) -> dict[bytes, bytes]:
    maker = random.Random(table.label)
    return {bytes(maker.randbytes(table.key_bytes or 8)): maker.randbytes(size) for _ in range(count)}


def fill(library: Path) -> None:
    with closing(open_cache(library, is_writable=True, fallback=None)) as it:
        for table in (Table.DIGESTS, Table.HEADERS, Table.FOLDERS):
            assert it.put_many(table, values(table).items())
        assert it.put_many(Table.RECORDS, values(Table.RECORDS, size=3000).items())
        for turn in range(4):  # free pages, as in a file that has been used
            assert it.delete_many(Table.RECORDS, list(values(Table.RECORDS))[turn::9])


def folder_of(library: Path) -> Path:
    return library / ".pumas" / "cache"


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def run(code: str, *arguments: object, prefix: tuple[str, ...] = ()) -> str:
    command = [*prefix, sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, (done.returncode, done.stdout[-200:], done.stderr[-2000:])
    return done.stdout


# A damaged file


def truncated(data: bytes, place: int) -> bytes:
    return data[: len(data) * place // PLACES]


def truncated_by_pages(data: bytes, place: int) -> bytes:
    return data[: len(data) - 4096 * (place + 1)]


def zeroed(data: bytes, place: int) -> bytes:
    start = len(data) // 4096 * place // PLACES * 4096
    return data[:start] + bytes(4096) + data[start + 4096 :]


def flipped(data: bytes, place: int) -> bytes:
    bit = random.Random(place).randrange(len(data) * 8)
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def flipped_in_a_head(data: bytes, place: int) -> bytes:
    """In the first bytes of a page, where its kind, its fill and its nodes stand, or in a meta page."""
    maker = random.Random(place)
    byte = maker.randrange(len(data) // 4096 if place % 2 else 2) * 4096 + maker.randrange(160)
    return data[:byte] + bytes([data[byte] ^ 1 << maker.randrange(8)]) + data[byte + 1 :]


DAMAGES = (truncated, truncated_by_pages, zeroed, flipped, flipped_in_a_head)

OPENING = """
import os, random, shutil, sys
from contextlib import closing
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from faults import test_cache_faults as faults
from pumas.store.cache import Table, open_cache

library = Path(sys.argv[1])
damage = getattr(faults, sys.argv[3])
whole = (faults.folder_of(library) / "data.mdb").read_bytes()
for place in range(faults.PLACES):
    print(place, flush=True)
    shutil.rmtree(faults.folder_of(library))
    faults.folder_of(library).mkdir()
    (faults.folder_of(library) / "data.mdb").write_bytes(damage(whole, place))
    for _ in range(2):
        with closing(open_cache(library, is_writable=True, fallback=None)) as it:
            for table in (Table.DIGESTS, Table.HEADERS, Table.FOLDERS):
                known = {**faults.values(table), b"\\7" * 16: b"new"}
                assert all(known[key] == value for key, value in it.items(table))
                assert all(value in (None, known[key]) for key, value in zip(known, it.get_many(table, list(known))))
                assert it.put_many(table, [(b"\\7" * 16, b"new")])
                assert it.delete_many(table, list(known)[:9])
                assert it.get(table, b"\\7" * 16) == b"new"
            assert it.replace_all(Table.RECORDS, [(b"\\7" * 8, b"x" * 5000)] * 3)
print("done")
"""


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_neither_ends_the_process_nor_lies(library, damage):
    fill(library)
    assert run(OPENING, library, Path(__file__).parents[1], damage.__name__).endswith("done\n")


SOUND_AFTER = """
import sys
from contextlib import closing
from pathlib import Path
from pumas.store.cache import Table, open_cache
with closing(open_cache(Path(sys.argv[1]), is_writable=True, fallback=None)) as it:
    print(it.info().entries["digests"])
    assert it.put_many(Table.META, [(b"n", b"1")]) and it.get(Table.META, b"n") == b"1"
"""


def as_empty(path: Path) -> None:
    path.write_bytes(b"")


def as_random(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(100_000))


def as_folder(path: Path) -> None:
    path.unlink()
    (path / "full").mkdir(parents=True)


def as_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize("name", ["data.mdb", "lock.mdb", "seal"])
@pytest.mark.parametrize("replace", [as_empty, as_random, as_folder, as_fifo, as_dangling_link])
def test_something_else_in_place_of_a_file(library, name, replace):
    fill(library)
    replace(folder_of(library) / name)
    kept = int(run(SOUND_AFTER, library))
    if name == "data.mdb":
        assert kept == 0
    elif replace in (as_empty, as_random):
        assert kept == 300, "what the file holds is as good as before"


def test_a_sound_file_is_kept_and_whatever_is_thrown_away_is_told_once(library, caplog):
    fill(library)
    whole = (folder_of(library) / "data.mdb").read_bytes()
    (folder_of(library) / "seal").unlink()
    with closing(open_cache(library, is_writable=True, fallback=None)) as it:
        assert dict(it.items(Table.DIGESTS)) == values(Table.DIGESTS)
    assert warnings(caplog) == []
    (folder_of(library) / "data.mdb").write_bytes(whole[:-4096])
    with closing(open_cache(library, is_writable=True, fallback=None)) as it:
        assert it.get(Table.META, b"n") is None
    assert [f"the cache {folder_of(library)} was thrown away" in line for line in warnings(caplog)] == [True]


def test_what_lmdb_finds_wrong_later_is_a_miss_and_the_next_write_begins_anew(library, caplog):
    fill(library)
    key, value = list(values(Table.DIGESTS).items())[150]
    data = folder_of(library) / "data.mdb"
    content = bytearray(data.read_bytes())
    page = content.index(value) // 4096 * 4096
    content[page : page + 4096] = bytes(4096)
    data.write_bytes(content)
    cache_file.seal(folder_of(library))  # as if the drive had changed it
    with closing(open_cache(library, is_writable=True, fallback=None)) as it:
        other = next(iter(values(Table.HEADERS).items()))
        assert it.get(Table.HEADERS, other[0]) == other[1]
        assert it.get(Table.DIGESTS, key) is None
        assert it.get(Table.HEADERS, other[0]) is None, "nothing of it is trusted any more"
        assert not it.info().is_usable
        assert len(warnings(caplog)) == 1
        assert it.put_many(Table.DIGESTS, [(key, b"new")])
        assert it.get(Table.DIGESTS, key) == b"new"
        assert it.info().entries["headers"] == 0
        assert len(warnings(caplog)) == 2


# Several processes


WRITING = """
import sys
from pathlib import Path
from pumas.store.cache import Table, open_cache, row_key
it = open_cache(Path(sys.argv[1]), is_writable=True, fallback=None)
number = int(sys.argv[2])
while True:
    number += 1
    assert it.put_many(Table.RECORDS, [(row_key(n), b"%d " % number * 500) for n in range(200)])
    print(number, flush=True)
"""


def test_a_writer_is_killed_in_a_loop(library):
    number = 0
    for turn in range(15):
        with subprocess.Popen(
            [sys.executable, "-c", WRITING, str(library), str(number)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(1 + turn % 4):
                number = int(writer.stdout.readline())
            # Without a sleep: each turn reads another number of lines, so the kill falls anywhere in the next write.
            writer.kill()
            number = max([number, *map(int, writer.stdout.read().split())])
        begun = time.monotonic()
        with closing(open_cache(library, is_writable=True, fallback=None)) as it:
            found = it.get_many(Table.RECORDS, [row_key(n) for n in range(200)])
            took_s = time.monotonic() - begun
            assert len(set(found)) == 1, "all of a write or nothing"
            assert found[0] in (b"%d " % number * 500, b"%d " % (number + 1) * 500), "what was acknowledged is there"
            assert it.put_many(Table.META, [(b"turn", b"%d" % turn)])
        assert took_s < 1
        number += 1


HAMMERING = """
import sys
from contextlib import closing
from pathlib import Path
from pumas.store.cache import Table, open_cache, row_key
me = int(sys.argv[2])
for turn in range(12):
    with closing(open_cache(Path(sys.argv[1]), is_writable=True, fallback=None)) as it:
        for n in range(4):
            row = row_key(me * 1000 + turn * 10 + n)
            assert it.put_many(Table.RECORDS, [(row, bytes([me]) * 500_000)])
            assert it.get(Table.RECORDS, row) == bytes([me]) * 500_000
"""


def test_processes_write_open_and_grow_at_the_same_time(library):
    writers = [subprocess.Popen([sys.executable, "-c", HAMMERING, str(library), str(me)]) for me in (1, 2, 3)]
    assert [writer.wait(100) for writer in writers] == [0, 0, 0]
    with closing(open_cache(library, is_writable=True, fallback=None)) as it:
        assert it.info().entries["records"] == 3 * 12 * 4
        assert {value[:1] for _, value in it.items(Table.RECORDS)} == {b"\1", b"\2", b"\3"}


DYING_READER = """
import os, signal, sys
from pathlib import Path
from pumas.store.cache import open_cache
it = open_cache(Path(sys.argv[1]), is_writable=True, fallback=None)
reading = [it._environment.opened.env.begin() for _ in range(int(sys.argv[2]))]
os.kill(os.getpid(), signal.SIGKILL)
"""


def let_readers_die(library: Path, count: int) -> None:
    command = [sys.executable, "-c", DYING_READER, str(library), str(count)]
    died = subprocess.run(command, check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr


def test_readers_of_a_killed_process_are_cleared_at_the_next_start(library):
    fill(library)
    with closing(open_cache(library, is_writable=True, fallback=None)) as it:
        let_readers_die(library, 3)
        environment = it._environment
        assert environment is not None
        assert environment.opened is not None
        env = environment.opened.env
        assert "no active" not in env.readers()
        run(SOUND_AFTER, library)
        assert "no active" in env.readers()


def test_a_reader_finds_room_when_a_killed_process_took_it_all(library):
    fill(library)
    with closing(open_cache(library, is_writable=True, fallback=None)) as it:
        environment = it._environment
        assert environment is not None
        assert environment.opened is not None
        let_readers_die(library, environment.opened.env.max_readers())
        assert dict(it.items(Table.DIGESTS)) == values(Table.DIGESTS)


def test_a_process_that_was_stopped_while_it_wrote_stops_nobody(library, monkeypatch, caplog):
    fill(library)
    monkeypatch.setattr(cache, "_WRITE_WAIT_S", 0.05)
    monkeypatch.setattr(cache_file, "_OPEN_WAIT_S", 0.05)
    with closing(open_cache(library, is_writable=True, fallback=None)) as it:
        with (folder_of(library) / "write.lock").open("r+b") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            for _ in range(2):
                assert not it.put_many(Table.META, [(b"n", b"1")])
            assert dict(it.items(Table.DIGESTS)) == values(Table.DIGESTS)
        assert it.put_many(Table.META, [(b"n", b"1")])
        assert len(warnings(caplog)) == 1


def test_a_start_while_another_process_writes_for_long_is_without_a_cache(library, monkeypatch):
    fill(library)
    monkeypatch.setattr(cache_file, "_OPEN_WAIT_S", 0.05)
    for name in ("write.lock", "open.lock"):
        with (folder_of(library) / name).open("r+b") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            it = open_cache(library, is_writable=True, fallback=None)
            assert it.get(Table.DIGESTS, next(iter(values(Table.DIGESTS)))) is None
            assert not it.info().is_usable
        assert it.put_many(Table.META, [(b"n", b"1")])
        assert dict(it.items(Table.DIGESTS)) == values(Table.DIGESTS)
        it.close()


def test_a_damaged_file_that_another_process_has_open_is_left_alone(library, caplog):
    fill(library)
    with (folder_of(library) / "open.lock").open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        data = folder_of(library) / "data.mdb"
        whole = data.read_bytes()
        data.write_bytes(whole[: len(whole) // 2])
        with closing(open_cache(library, is_writable=True, fallback=None)) as it:
            assert not it.put_many(Table.META, [(b"n", b"1")])
            assert data.stat().st_size == len(whole) // 2
            fcntl.flock(other, fcntl.LOCK_UN)
            assert it.put_many(Table.META, [(b"n", b"1")])


# Drives


DRIVE = """
import logging, resource, sys
from pathlib import Path
from pumas.store.cache import Table, open_cache, row_key
logging.basicConfig(stream=sys.stdout)
mode, library = sys.argv[1], Path(sys.argv[2])
filler = library / "filler"

def fill():
    if mode == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))
        return
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1000))
        except OSError:
            pass

def free():
    if mode == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        filler.unlink()

LIMIT = 1000
fill()
it = open_cache(library, is_writable=True, fallback=None)
assert it.get(Table.META, b"n") is None
assert not it.put_many(Table.META, [(b"n", b"1")])
print("STARTED FULL")
free()
assert it.put_many(Table.RECORDS, [(row_key(n), b"%d" % n * 500) for n in range(50)])
LIMIT = 300_000
fill()
for _ in range(3):
    assert not it.put_many(Table.RECORDS, [(row_key(n), b"?" * 500_000) for n in range(50)])
    assert not it.replace_all(Table.RECORDS, [(row_key(n), b"?" * 500_000) for n in range(50)])
    assert it.get_many(Table.RECORDS, [row_key(n) for n in range(50)]) == [b"%d" % n * 500 for n in range(50)]
it.close()
it = open_cache(library, is_writable=True, fallback=None)
assert it.get(Table.RECORDS, row_key(7)) == b"7" * 500
print("STAYED")
free()
assert it.put_many(Table.RECORDS, [(row_key(1), b"new")])
assert it.get_many(Table.RECORDS, [row_key(1), row_key(2)]) == [b"new", b"2" * 500]
it.close()
print("RECOVERED")
"""


@pytest.mark.parametrize("mode", ["limit", "drive"])
def test_a_full_drive(library, mode):
    if mode == "drive" and not can_mount_in_child():
        pytest.skip("needs permission to mount")
    told = run(DRIVE, mode, library, prefix=on_own_drive(library, "size=3m") if mode == "drive" else ())
    lines = told.splitlines()
    assert [line for line in lines if not line.startswith("WARNING")] == ["STARTED FULL", "STAYED", "RECOVERED"]
    # Once at the start and once later, not for each of the writes.
    assert 2 <= len(lines) - 3 <= 4, told


READ_ONLY = """
import sys
from pathlib import Path
from pumas.store.cache import Table, open_cache
it = open_cache(Path(sys.argv[1]), is_writable=True, fallback=lambda: Path(sys.argv[2]))
assert it.info().is_fallback, it.info()
assert it.put_many(Table.META, [(b"n", b"1")]) and it.get(Table.META, b"n") == b"1"
it.close()
it = open_cache(Path(sys.argv[1]), is_writable=True, fallback=None)
assert it.info().path is None and it.get(Table.META, b"n") is None
"""


def test_a_read_only_drive(library, tmp_path):
    if not can_mount_in_child():
        pytest.skip("needs permission to mount")
    run(READ_ONLY, library, tmp_path / "user-cache", prefix=on_own_drive(library, "ro"))


def test_a_folder_deleted_while_it_is_open(library):
    with closing(open_cache(library, is_writable=True, fallback=None)) as it:
        it.put_many(Table.META, [(b"n", b"1")])
        shutil.rmtree(folder_of(library))
        assert it.get(Table.META, b"n") == b"1"
        assert it.put_many(Table.FOLDERS, [(path_key("a"), b"1")])
        threading.Thread(target=it.get, args=(Table.META, b"n")).start()
    assert int(run(SOUND_AFTER, library)) == 0
