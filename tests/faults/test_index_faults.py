"""The index and the cache damaged, on full drives and under clocks that are set back: real files, real drives."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from support.drives import can_mount_in_child, on_own_drive, remount
from support.roots import write_model

from pumas import PumasApi
from pumas.config import Config
from pumas.errors import NoSpace, PumasError, Unavailable
from pumas.library import survey
from pumas.rpc import wrapping

PLACES = 50
MODELS = 40
PAGE = 4096


def fill(library: Path) -> None:
    """Models whose rows take more than one page each, so that the file has pages of every kind."""
    chance = random.Random(1)
    for n in range(MODELS):
        words = " ".join(f"w{chance.randrange(500)}" for _ in range(40 if n % 8 else 1500))
        write_model(library, f"llm/f{n % 3}/M{n}", description=f"shared {words}", tags=["a", f"t{n % 5}"])


def end_jobs(api: PumasApi) -> None:
    """Wait for whatever runs in the background, also for what that begins; failures are told by whoever asks."""
    for job in api._root.jobs.jobs():
        if not job.is_ended:
            with suppress(PumasError):
                job.result(30)


def shown(api: PumasApi) -> tuple[object, ...]:
    """All that the index answers, apart from the times of writing."""
    found: list[object] = [sorted(api.list_models(), key=repr)]
    for query in ("shared", "w1", "M7", "tags:t3", ""):
        page = api.search_models_fts(query, limit=1000)
        hits = [(hit.model.model_id, hit.tags_json, hit.hashes_json, hit.metadata_json) for hit in page.hits]
        found.extend((page.total_count, sorted(hits, key=repr)))
    return tuple(found)


def shown_once_healed(api: PumasApi) -> tuple[object, ...]:
    """The same; whoever meets the damage is told to come back, and a second call has the answer."""
    for _ in range(6):  # the list and each query may meet it
        try:
            return shown(api)
        except PumasError as exc:
            assert "Traceback" not in str(exc)
            end_jobs(api)
    return shown(api)


def check_integrity(path: Path, *, may_waste: bool = False) -> None:
    """See that the file is whole; with `may_waste`, pages may belong to nothing: that costs room only."""
    with closing(sqlite3.connect(path)) as db:
        told = "\n".join(row[0] for row in db.execute("PRAGMA integrity_check")).splitlines()
        wrong = [line for line in told if not (may_waste and (line.startswith("***") or "never used" in line))]
        assert wrong in ([], ["ok"])
        db.execute("INSERT INTO model_search(model_search) VALUES ('integrity-check')")


@dataclass(frozen=True)
class Sound:
    """A root, its index as files (once with a log, once without), and what a fresh one shows."""

    root: Path
    library: Path
    closed: dict[str, bytes]
    killed: dict[str, bytes]
    expected: tuple[object, ...]

    def restore(self, files: dict[str, bytes]) -> None:
        for path in self.library.glob("models.db*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        for name, data in files.items():
            (self.library / name).write_bytes(data)


def index_files(library: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in library.glob("models.db*") if path.suffix != ".db-shm"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Sound:
    root = tmp_path_factory.mktemp("sound")
    library = root / "shared-resources" / "models"
    fill(library)
    with PumasApi(root, config=Config()) as api:
        api.refresh_models().result(30)
        expected = shown(api)
        killed = index_files(library)
    closed = index_files(library)
    assert closed.keys() == {"models.db"}
    assert killed.keys() == {"models.db", "models.db-wal"}
    assert len(killed["models.db-wal"]) > 20 * PAGE
    return Sound(root, library, closed, killed, expected)


def truncated(data: bytes, place: int) -> bytes:
    return data[: len(data) * place // PLACES]


def zeroed(data: bytes, place: int) -> bytes:
    start = len(data) // PAGE * place // PLACES * PAGE
    return data[:start] + bytes(PAGE) + data[start + PAGE :]


def flipped(data: bytes, place: int) -> bytes:
    """One bit; every second one in the first bytes of a page, where its kind, its fill and its cells stand."""
    chance = random.Random(place)
    byte = chance.randrange(len(data))
    if place % 2:
        byte = byte // PAGE * PAGE + chance.randrange(100)
    byte = min(byte, len(data) - 1)
    return data[:byte] + bytes([data[byte] ^ 1 << chance.randrange(8)]) + data[byte + 1 :]


@pytest.mark.parametrize("name", ["models.db", "models.db-wal"])
@pytest.mark.parametrize("damage", [truncated, zeroed, flipped], ids=lambda damage: damage.__name__)
def test_a_damaged_index_is_healed(sound, damage, name):
    files = sound.closed if name == "models.db" else sound.killed
    for place in range(PLACES):
        sound.restore({**files, name: damage(files[name], place)})
        with PumasApi(sound.root, config=Config()) as api:
            shown_once_healed(api)
            api.refresh_models().result(30)
            found = shown_once_healed(api)
            # SQLite has no checksums: one bit in a text is seen by nobody, until the text is written again.
            assert found == sound.expected or damage is flipped, place
            api.rebuild_index().result(30)
            assert shown(api) == sound.expected, place
        check_integrity(sound.library / "models.db", may_waste=True)


def as_empty(path: Path) -> None:
    path.write_bytes(b"")


def as_noise(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(50_000))


def as_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    (path / "full").mkdir(parents=True)


@pytest.mark.parametrize(
    ("replace", "name"),
    [
        (replace, name)
        for replace in (as_empty, as_noise, as_folder)
        for name in ("models.db", "models.db-wal", "models.db-shm")
    ],
)
def test_something_else_in_place_of_a_file_of_the_index(sound, replace, name):
    sound.restore(sound.killed)
    replace(sound.library / name)
    for _ in range(2):
        with PumasApi(sound.root, config=Config()) as api:
            shown_once_healed(api)
            api.refresh_models().result(30)
            assert shown_once_healed(api) == sound.expected
            api.rebuild_index().result(30)
            assert shown(api) == sound.expected
    check_integrity(sound.library / "models.db")


# What one bit makes of a column: the kind of each value stands in its row.
WRONG_KINDS = {
    "averages": "UPDATE model_search_data SET block = NULL WHERE id = 1",
    "structure": "UPDATE model_search_data SET block = 5 WHERE id = 10",
    "document": "UPDATE models SET metadata_json = NULL WHERE id = 'llm/f0/M0'",
    "id": "UPDATE models SET id = x'ff' WHERE id = 'llm/f0/M0'",
    "name": "UPDATE models SET official_name = NULL, cleaned_name = 5 WHERE id = 'llm/f0/M0'",
    "json": "UPDATE models SET tags_json = NULL, hashes_json = 1.5 WHERE id = 'llm/f0/M0'",
    "time": "UPDATE models SET updated_at = NULL WHERE id = 'llm/f0/M0'",
}


@pytest.mark.parametrize("kind", WRONG_KINDS)
def test_a_value_of_a_wrong_kind_is_healed(sound, kind):
    sound.restore(sound.closed)
    with closing(sqlite3.connect(sound.library / "models.db", isolation_level=None)) as db:
        (text,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'models'").fetchone()
        triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        db.execute("PRAGMA writable_schema = ON")
        loose = text.replace(" TEXT NOT NULL", "").replace(" TEXT", "")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'models'", (loose,))
    with closing(sqlite3.connect(sound.library / "models.db", isolation_level=None)) as db:
        db.execute(WRONG_KINDS[kind])
        for _, sql in triggers:
            db.execute(sql)
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'models'", (text,))
    with PumasApi(sound.root, config=Config()) as api:
        shown_once_healed(api)
        api.refresh_models().result(30)
        assert shown_once_healed(api) == sound.expected
        api.rebuild_index().result(30)
        assert shown(api) == sound.expected


# The cache, as the answers see it


# For each place the whole cache is replaced by a damaged one, then one document changes while Pumas is closed: what the
# cache remembers of the disk must not hide it, and no answer that it keeps ready may be another than the rows give.
ANSWERING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from faults import test_index_faults as faults

faults.answer_from_damaged_caches(Path(sys.argv[1]), sys.argv[2])
print("done")
"""


def answer_from_damaged_caches(root: Path, kind: str) -> None:
    """Run in a child: damage in a file that is mapped could end the process."""
    damage = {"truncated": truncated, "zeroed": zeroed, "flipped": flipped}[kind]
    library = root / "shared-resources" / "models"
    cache = library / ".pumas" / "cache"
    for place in range(PLACES):
        print(place, flush=True)
        whole = (cache / "data.mdb").read_bytes()
        assert len(whole) > 20 * PAGE
        shutil.rmtree(cache)
        cache.mkdir()
        (cache / "data.mdb").write_bytes(damage(whole, place))
        write_model(library, "llm/f0/M0", description=f"shared words, place {place}")
        with PumasApi(root, config=Config()) as api:
            api.prepare_answers()
            check_ready(api, is_needed=False)
            api.refresh_models().result(30)
            check_ready(api, is_needed=False)
            end_jobs(api)
            check_ready(api, is_needed=False)
            api.rebuild_index().result(30)
            end_jobs(api)
            check_ready(api, is_needed=True)
            assert api.get_model("llm/f0/M0").model.description.endswith(f" {place}")
            assert api.search_models_fts("shared").total_count == MODELS


def check_ready(api: PumasApi, *, is_needed: bool) -> None:
    """An answer from ready bytes, if there is one, is the one that the rows give."""
    listing, page = api.ready_listing(), api.ready_search("shared", limit=1000)
    assert listing is not None or not is_needed
    assert page is not None or not is_needed
    if listing is not None:
        made = wrapping.models_response(api.list_models()).models
        assert json.loads(listing) == json.loads(msgspec.json.encode(made))
    if page is not None:
        hits = wrapping.search_response(api.search_models_fts("shared", limit=1000), api.library).models
        assert page.hits == msgspec.json.encode(hits)


@pytest.mark.parametrize("kind", ["truncated", "zeroed", "flipped"])
def test_answers_from_a_damaged_cache_are_right(library, kind):
    fill(library)
    with PumasApi(library.parents[1], config=Config()) as api:
        api.refresh_models().result(30)
        api.prepare_answers()
        end_jobs(api)
        check_ready(api, is_needed=True)
    command = [sys.executable, "-c", ANSWERING, str(library.parents[1]), kind, str(Path(__file__).parents[1])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, (done.returncode, done.stdout[-20:], done.stderr[-3000:])
    assert done.stdout.endswith("done\n")


LONG_VALUES = """
import shutil, sys
from contextlib import closing
from pathlib import Path
from pumas.store.cache import Table, open_cache, row_key

library = Path(sys.argv[1])
values = {row_key(n): b"%d " % n * 9000 for n in range(12)}
with closing(open_cache(library, is_writable=True, fallback=None)) as it:
    for n in range(20):  # makes free pages: single ones are taken from them, long values lie at the end
        assert it.put_many(Table.META, [(b"n", b"%d" % n)])
    assert it.put_many(Table.RECORDS, values.items())
cache = library / ".pumas" / "cache"
whole = (cache / "data.mdb").read_bytes()
for page in range(1, len(whole) // 4096 - 2):
    print(page, flush=True)
    shutil.rmtree(cache)
    cache.mkdir()
    (cache / "data.mdb").write_bytes(whole[: -4096 * page])
    with closing(open_cache(library, is_writable=True, fallback=None)) as it:
        assert all(value in (None, values[key]) for key, value in zip(values, it.get_many(Table.RECORDS, list(values))))
        assert it.put_many(Table.RECORDS, values.items())
        assert it.get_many(Table.RECORDS, list(values)) == list(values.values())
"""


def test_a_cache_that_lacks_the_end_of_a_long_value_ends_nothing(library):
    done = subprocess.run(
        [sys.executable, "-c", LONG_VALUES, str(library)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stdout[-20:], done.stderr[-3000:])


def test_a_damaged_record_is_made_again(library):
    fill(library)
    with PumasApi(library.parents[1], config=Config()) as api:
        api.refresh_models().result(30)
        api.prepare_answers()
        end_jobs(api)
    data = library / ".pumas" / "cache" / "data.mdb"
    data.write_bytes(data.read_bytes().replace(b"llm/f1/M13", b"llm/f1/M12"))
    with PumasApi(library.parents[1], config=Config()) as api:
        api.prepare_answers()
        end_jobs(api)
        check_ready(api, is_needed=False)
        api.refresh_models().result(30)
        end_jobs(api)
        check_ready(api, is_needed=True)


# Drives


FULL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from faults import test_index_faults as faults

def limit(number):
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, resource.RLIM_INFINITY))

def fill():
    if sys.argv[1] == "limit":
        return limit(1000)
    with (Path(sys.argv[2]) / "filler").open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                pass

def free():
    limit(resource.RLIM_INFINITY) if sys.argv[1] == "limit" else (Path(sys.argv[2]) / "filler").unlink()

faults.work_on_a_full_drive(Path(sys.argv[2]) / "root", fill, free)
print("done")
"""


def work_on_a_full_drive(root: Path, fill_drive: Callable[[], None], free_drive: Callable[[], None]) -> None:
    """Run in a child, whose drives or limits are its own."""
    library = root / "shared-resources" / "models"
    fill(library)
    with PumasApi(root, config=Config()) as api:
        api.prepare_answers()
        api.refresh_models().result(30)
        end_jobs(api)
        for turn in range(3):
            before = shown(api)
            for n in range(0, MODELS, 1 + turn * 20):
                write_model(library, f"llm/f{n % 3}/M{n}", description=f"shared turn{turn} " + "x" * 5000)
            write_model(library, f"llm/new/N{turn}", description="shared")
            fill_drive()
            for begin in (api.refresh_models, api.rebuild_index, api.refresh_models):
                with pytest.raises((Unavailable, NoSpace), match="; ") as failure:
                    begin().result(30)
                assert "disk" not in str(failure.value), "no text of SQLite"
                end_jobs(api)
                assert shown(api) == before
                check_ready(api, is_needed=False)
            free_drive()
            report = api.refresh_models().result(30)
            assert report.model_count == MODELS + turn + 1
            end_jobs(api)
            check_ready(api, is_needed=True)
            assert api.search_models_fts(f"turn{turn}").total_count == len(range(0, MODELS, 1 + turn * 20))
    check_integrity(library / "models.db")
    assert list(library.glob("models.db.damaged-*")) == []


@pytest.mark.parametrize("mode", ["limit", "drive"])
def test_a_refresh_on_a_full_drive_fails_with_a_sentence_and_works_again_after(tmp_path, mode):
    if mode == "drive" and not can_mount_in_child():
        pytest.skip("needs permission to mount")  # the limit shows the same without
    prefix = on_own_drive(tmp_path, "size=6m") if mode == "drive" else ()
    command = [*prefix, sys.executable, "-c", FULL, mode, str(tmp_path), str(Path(__file__).parents[1])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, (done.returncode, done.stdout[-200:], done.stderr[-3000:])
    assert done.stdout == "done\n"


READ_ONLY = """
import shutil, subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from faults import test_index_faults as faults

faults.work_on_a_read_only_drive(Path(sys.argv[1]))
print("done")
"""


def work_on_a_read_only_drive(drive: Path) -> None:
    """Run in a child that has its own mounts."""
    root = drive / "root"
    fill(root / "shared-resources" / "models")
    with PumasApi(root, config=Config()) as api:
        api.prepare_answers()
        api.refresh_models().result(30)
        end_jobs(api)
        before = shown(api)
    write_model(root / "shared-resources" / "models", "llm/f0/M0", description="changed")
    remount(drive, "ro")
    with PumasApi(root, config=Config(cache_dir=drive / "none")) as api:
        api.prepare_answers()
        end_jobs(api)
        for begin in (api.refresh_models, api.rebuild_index):
            with pytest.raises(Unavailable, match="no permission to write the index"):
                begin().result(30)
            assert shown(api) == before
            check_ready(api, is_needed=False)
    remount(drive, "rw")
    with PumasApi(root, config=Config()) as api:
        assert api.refresh_models().result(30).changed == 1


def test_a_read_only_drive_is_served(tmp_path):
    if not can_mount_in_child():
        pytest.skip("needs permission to mount")
    command = [*on_own_drive(tmp_path), sys.executable, "-c", READ_ONLY, str(tmp_path), str(Path(__file__).parents[1])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, (done.returncode, done.stdout[-200:], done.stderr[-3000:])


# Clocks


LATE = 4_000_000_000_000_000_000  # the year 2096
EARLY = 1_000_000_000  # 1970


def change(path: Path, text: str, *, mtime_ns: int, is_replaced: bool) -> None:
    """Give a document another text of the same size and any mtime; the ctime is what the system makes of it."""
    before = path.stat()
    content = path.read_text("utf-8").replace(json.loads(path.read_text("utf-8"))["description"], text)
    while True:  # until the file system's clock has ticked
        if is_replaced:
            beside = path.with_name("beside")
            beside.write_text(content, encoding="utf-8")
            beside.replace(path)
        else:
            path.write_text(content, encoding="utf-8")
        os.utime(path, ns=(mtime_ns, mtime_ns))
        after = path.stat()
        assert after.st_size == before.st_size
        if after.st_ctime_ns != before.st_ctime_ns:
            return


@pytest.mark.parametrize("is_replaced", [False, True])
@pytest.mark.parametrize("clock", ["right", "an hour back", "an hour ahead"])
def test_a_change_is_seen_whatever_the_clocks_say(library, monkeypatch, clock, is_replaced):
    ahead_ns = {"right": 0, "an hour back": -3600, "an hour ahead": 3600}[clock] * 10**9
    monkeypatch.setattr(survey, "time_ns", lambda: time.time_ns() + ahead_ns)
    if clock == "right":
        # Documents so young are read with every refresh; here each is trusted, so that what is remembered is shown.
        monkeypatch.setattr(survey, "RACY_NS", -LATE)
    path = write_model(library, "llm/a/A", description="word-000") / "metadata.json"
    write_model(library, "llm/a/B", description="other")
    times = [LATE, LATE, EARLY, EARLY, EARLY - 1, time.time_ns(), LATE]
    with PumasApi(library.parents[1], config=Config()) as api:
        api.refresh_models().result(30)
        for turn, mtime_ns in enumerate(times, 1):
            change(path, f"word-{turn:03}", mtime_ns=mtime_ns, is_replaced=is_replaced)
            report = api.refresh_models().result(30)
            assert (report.changed, report.model_count) == (1, 2)
            assert api.search_models_fts(f"{turn:03}").total_count == 1
            assert api.get_model("llm/a/A").model.description == f"word-{turn:03}"
            assert api.refresh_models().result(30).changed == 0
