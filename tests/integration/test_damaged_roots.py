"""Roots that are damaged, foreign or read-only: what can be served is, nothing is lost."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support.drives import can_mount, fill_drive, mounted_drive, remount
from support.process import server_process
from support.roots import write_model

from pumas import PumasApi
from pumas.errors import Damaged, NoSpace, Unavailable


@pytest.fixture
def root(library):
    for n in range(5):
        write_model(library, f"llm/llama/M{n}", description="words")
    root = library.parents[1]
    with PumasApi(root) as api:
        api.refresh_models().result(30)
        api.search_models_fts("words")
    return root


def _ids(api: PumasApi) -> list[str]:
    return [model.model_id for model in api.list_models()]


@pytest.mark.parametrize(
    "damage", ["text", "empty", "truncated", "zeroed", "folder", "fifo", "foreign", "other-columns"]
)
def test_an_index_that_is_none_is_set_aside_and_made_again(root, library, damage):
    path = library / "models.db"
    data = path.read_bytes()
    path.unlink()
    if damage == "text":
        path.write_text("this is not a database, but somebody may want to see it " * 100)
    elif damage == "empty":
        path.touch()
    elif damage == "truncated":
        path.write_bytes(data[: len(data) // 2 + 100])
    elif damage == "zeroed":
        path.write_bytes(data[:100] + bytes(len(data) - 100))
    elif damage == "folder":
        path.mkdir()
    elif damage == "fifo":
        os.mkfifo(path)
    else:
        with closing(sqlite3.connect(path)) as db:
            if damage == "foreign":
                db.execute("CREATE TABLE theirs (x)")
            else:
                db.execute("CREATE TABLE models (id TEXT PRIMARY KEY, title TEXT)")
            db.commit()
    with PumasApi(root) as api:
        api.refresh_models().result(30)
        assert _ids(api) == [f"llm/llama/M{n}" for n in range(5)]
        assert api.search_models_fts("words").total_count == 5
    kept = list(library.glob("models.db.damaged-*"))
    if damage in ("empty", "foreign"):
        assert kept == []  # an empty file is an empty database; other tables are left in peace
    else:
        assert len(kept) == 1
    if damage == "foreign":
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT count(*) FROM theirs").fetchone() == (0,)


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bits_never_stop_the_server(root, library, seed):
    path = library / "models.db"
    data = bytearray(path.read_bytes())
    for n in range(20):
        place = int.from_bytes(hashlib.sha256(f"{seed} {n}".encode()).digest()[:8]) % len(data)
        data[place] ^= 1 << (n % 8)
    path.write_bytes(data)
    with PumasApi(root) as api:
        for call in (api.list_models, lambda: api.search_models_fts("words"), api.get_library_status):
            try:
                call()
            except (Damaged, Unavailable) as exc:
                assert "Traceback" not in str(exc)  # a sentence, not a crash
        api.rebuild_index().result(30)
        assert _ids(api) == [f"llm/llama/M{n}" for n in range(5)]
        assert api.search_models_fts("words").total_count == 5


def test_the_missing_index_of_a_library_with_models_is_made_by_itself(root, library):
    for path in library.glob("models.db*"):
        path.unlink()
    with PumasApi(root) as api:
        for job in api._root.jobs.jobs():
            job.result(30)
        assert len(_ids(api)) == 5


def _snapshot(root: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            kind = os.readlink(path) if path.is_symlink() else "folder" if path.is_dir() else path.read_bytes()
            found[str(path.relative_to(root))] = kind
    return found


def test_opening_the_recorded_root_changes_nothing_but_the_log(fixture_root):
    before = _snapshot(fixture_root)
    with server_process(fixture_root) as (process, client):
        for method in ("get_status", "get_models", "get_library_status", "get_disk_space", "get_system_resources"):
            client.call(method)
        client.call("search_models_fts", {"query": "llama"})
        client.call("refresh_model_index")
        client.call("get_model_overrides", {"rel_path": "llm/llama/model"})
        client.call("shutdown")
        process.wait(5)
    after = _snapshot(fixture_root)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    ours = ("launcher-data/logs/launcher.log", "shared-resources/models/models.db", "shared-resources/models/.pumas")
    # The search table is the original's and is made ours (`sqlite.md` 2.6); the cache is our own folder.
    assert {name for name in changed if not name.startswith(ours)} == set()


@contextmanager
def _read_only(root: Path, mount_point: Path):
    """The root on a file system that refuses writes, also to the superuser."""
    with mounted_drive(mount_point):
        shutil.copytree(root, mount_point / "root", symlinks=True)
        remount(mount_point, "ro")
        yield mount_point / "root"


def test_a_read_only_root_is_served_and_writes_are_refused_with_a_sentence(root, tmp_path):
    if not can_mount():
        pytest.skip("needs permission to mount")
    with _read_only(root, tmp_path / "mounted") as mounted, server_process(mounted) as (process, client):
        assert len(client.call("get_models")["models"]) == 5
        assert client.call("search_models_fts", {"query": "words"})["total_count"] == 5
        assert client.call("get_status")["success"] is True
        answer = client.call("update_model_overrides", {"rel_path": "llm/llama/M1", "overrides": {}})
        assert answer["success"] is False
        assert "permission" in answer["error"]
        answer = client.call("refresh_model_index")
        assert answer["success"] is False
        assert "read-only" in answer["error"]
        remount(mounted.parent, "rw")
        assert client.call("refresh_model_index")["success"] is True
        answer = client.call("update_model_overrides", {"rel_path": "llm/llama/M1", "overrides": {}})
        assert answer["success"] is True
        client.call("shutdown")
        _, errors = process.communicate(timeout=5)
        assert process.returncode == 0
        assert "no place for the cache" not in errors, "it lies in the user's cache folder"


def test_a_full_drive_loses_nothing(root, tmp_path):
    if not can_mount():
        pytest.skip("needs permission to mount")
    with mounted_drive(tmp_path / "small", "size=12m") as small:
        shutil.copytree(root, small / "root", symlinks=True)
        with PumasApi(small / "root") as api:
            api.update_model_overrides("llm/llama/M1", {"mine": 1})
            fill_drive(small / "filler")
            with pytest.raises(NoSpace, match="full"):
                api.update_model_overrides("llm/llama/M1", {"mine": "x" * 100_000})
            assert api.get_model_overrides("llm/llama/M1") == {"mine": 1}
            assert api.search_models_fts("words").total_count == 5
            (small / "filler").unlink()
            api.update_model_overrides("llm/llama/M1", {"mine": 2})
            assert api.get_model_overrides("llm/llama/M1") == {"mine": 2}


def _wait_until(check) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline


def _found(client) -> int:
    answer = client.call("search_models_fts", {"query": "words"})
    return answer["total_count"] if answer["success"] else -1


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE models",
        "DELETE FROM model_search_data",
        "DROP TABLE model_search",
        "DELETE FROM model_search",
        "UPDATE models SET tags_json = 'no json'",
        "INSERT INTO models SELECT x'ff', path, '', '', '', '', '', '', '' FROM models LIMIT 1",
    ],
)
def test_an_index_that_is_spoiled_under_a_server_at_work_is_healed(root, library, statement):
    with server_process(root) as (process, client), ThreadPoolExecutor(6) as pool:
        client.call("get_models")
        ended = threading.Event()

        def search() -> None:
            while not ended.is_set():
                client.call("search_models_fts", {"query": "m w l a", "limit": 1000})

        searches = [pool.submit(search) for _ in range(6)]
        with closing(sqlite3.connect(library / "models.db")) as other:
            for name in ("model_search_ai", "model_search_au", "model_search_ad"):
                other.execute(f"DROP TRIGGER {name}")
            other.execute(statement)
            other.commit()
        write_model(library, "llm/llama/M0", description="words, changed")
        _wait_until(lambda: len(client.call("get_models").get("models", {})) == 5 and _found(client) == 5)
        ended.set()
        for one in searches:
            one.result()
        assert process.poll() is None


@pytest.mark.parametrize("way", ["deleted", "all deleted", "replaced"])
def test_an_index_that_is_taken_away_from_a_server_at_work_is_made_again(root, library, way):
    with server_process(root) as (_, client):
        client.call("get_models")
        if way == "replaced":
            (library / "models.db").rename(library / "models.db.mine")
            (library / "models.db").write_bytes(b"")
        else:
            (library / "models.db").unlink()
            for suffix in ("-wal", "-shm") if way == "all deleted" else ():
                (library / f"models.db{suffix}").unlink(missing_ok=True)
        write_model(library, "llm/llama/New", description="words")
        _wait_until(lambda: len(client.call("get_models").get("models", {})) == 6 and _found(client) == 6)


def test_two_servers_on_a_damaged_index_end_on_one_good_one(root, library):
    with server_process(root) as (_, one), server_process(root) as (_, two):
        for client in (one, two):
            assert _found(client) == 5
        path = library / "models.db"
        path.write_bytes(b"spoiled" * 5000)
        (library / "models.db-wal").unlink(missing_ok=True)
        write_model(library, "llm/llama/New", description="words")
        for client in (one, two):
            _wait_until(lambda client=client: len(client.call("get_models").get("models", {})) == 6)
        for client in (two, one):
            _wait_until(lambda client=client: _found(client) == 6)
        assert len(list(library.glob("models.db.damaged-*[0-9Z]"))) == 1


def test_a_root_on_a_full_drive_is_served(root, tmp_path):
    if not can_mount():
        pytest.skip("needs permission to mount")
    with mounted_drive(tmp_path / "small", "size=12m") as small:
        shutil.copytree(root, small / "root", symlinks=True)
        fill_drive(small / "filler")
        with server_process(small / "root") as (process, client):
            assert len(client.call("get_models")["models"]) == 5
            assert _found(client) == 5
            client.call("shutdown")
            assert process.wait(5) == 0


def test_a_read_only_root_without_an_index_is_served_from_one_made_for_the_run(root, library, tmp_path):
    if not can_mount():
        pytest.skip("needs permission to mount")
    for path in library.glob("models.db*"):
        path.unlink()
    with _read_only(root, tmp_path / "mounted") as mounted, server_process(mounted) as (process, client):
        _wait_until(lambda: len(client.call("get_models")["models"]) == 5)
        assert _found(client) == 5
        client.call("shutdown")
        assert process.wait(5) == 0
