"""Changes on disk show by themselves: nobody asks for a list, only searches are made."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest
from support.process import server_process
from support.roots import write_model

from pumas import PumasApi
from pumas.config import Config

_PATIENCE_S = 15.0


def _found(client) -> set[str]:
    return {model["id"] for model in client.call("search_models_fts", {"query": "watched"})["models"]}


def _wait_for(client, expected: set[str]) -> float:
    begun = time.monotonic()
    while (found := _found(client)) != expected:
        assert time.monotonic() - begun < _PATIENCE_S, found
        time.sleep(0.02)
    return time.monotonic() - begun


@pytest.fixture
def filled(library):
    write_model(library, "llm/f/one", description="watched")
    return library


def _change_everything(client, library) -> None:
    _wait_for(client, {"llm/f/one"})
    write_model(library, "vae/g/two", description="watched")
    _wait_for(client, {"llm/f/one", "vae/g/two"})
    (library / "vae" / "g").rename(library / "vae" / "h")
    _wait_for(client, {"llm/f/one", "vae/h/two"})
    write_model(library, "llm/f/one", description="no longer")
    _wait_for(client, {"vae/h/two"})
    shutil.rmtree(library / "vae")
    _wait_for(client, set())


def test_a_server_sees_models_come_change_move_and_go(filled):
    with server_process(filled.parents[1]) as (_, client):
        _change_everything(client, filled)


def test_without_events_the_library_is_looked_through_now_and_then(filled, monkeypatch):
    monkeypatch.setenv("PUMAS_WATCH", "0")
    monkeypatch.setenv("PUMAS_SCAN_INTERVAL_S", "1")
    with server_process(filled.parents[1]) as (process, client):
        _change_everything(client, filled)
        client.call("shutdown")
        _, errors = process.communicate(timeout=10)
    told = [line for line in errors.splitlines() if "looked for every 1 s" in line]
    assert len(told) == 1, errors
    assert "PUMAS_WATCH" in told[0]


_LIMITED = [
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    'echo 2 >/proc/sys/user/max_inotify_watches && exec "$@"',
    "sh",
]


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*_LIMITED, "true"], check=False, capture_output=True).returncode != 0,
    reason="needs permission to mount, or a user namespace: a limit of its own",
)
def test_too_few_watches_fall_back_to_looking(filled, monkeypatch):
    monkeypatch.setenv("PUMAS_SCAN_INTERVAL_S", "1")
    with server_process(filled.parents[1], before=_LIMITED) as (process, client):
        _change_everything(client, filled)
        client.call("shutdown")
        _, errors = process.communicate(timeout=10)
    assert len([line for line in errors.splitlines() if "looked for every 1 s" in line]) == 1, errors


def test_a_library_that_is_away_when_watching_begins_is_looked_for(filled):
    with PumasApi(filled.parents[1], config=Config(scan_interval_s=1)) as api:
        away = filled.with_name("away")
        filled.rename(away)
        api.watch_library()
        time.sleep(0.3)
        away.rename(filled)
        begun = time.monotonic()
        while api.search_models_fts("watched").total_count != 1:
            assert time.monotonic() - begun < _PATIENCE_S
            time.sleep(0.02)


def test_what_a_refresh_writes_wakes_nobody(filled):
    with PumasApi(filled.parents[1]) as api:
        api.watch_library()
        time.sleep(2)  # the first look
        before = len(api.list_jobs())
        write_model(filled, "llm/f/three", description="watched")
        time.sleep(2)
        assert [job.kind for job in api.list_jobs()[before:]] in (["refresh_models"], ["refresh_models"] * 2)


def test_files_of_a_model_and_hidden_ones_wake_nobody(filled):
    with PumasApi(filled.parents[1]) as api:
        api.watch_library()
        time.sleep(2)  # the first look
        before = len(api.list_jobs())
        (filled / "llm" / "f" / "one" / "one.gguf").write_bytes(b"GGUF" * 100)
        (filled / "llm" / "f" / "one" / ".part").write_bytes(b"GGUF" * 100)
        (filled / ".trash").mkdir()
        time.sleep(1)
        assert len(api.list_jobs()) == before


def test_a_server_that_watches_ends_within_a_second(filled):
    with server_process(filled.parents[1]) as (process, client):
        _wait_for(client, {"llm/f/one"})
        begun = time.monotonic()
        client.call("shutdown")
        assert process.wait(5) == 0
        assert time.monotonic() - begun < 1.5


def test_a_library_that_is_replaced_by_another_folder_is_watched_on(filled):
    with PumasApi(filled.parents[1]) as api:
        api.watch_library()
        time.sleep(2)  # the first look
        filled.rename(filled.with_name("before"))
        filled.mkdir()
        time.sleep(1.5)  # it takes note of it within a second
        write_model(filled, "llm/f/other", description="watched")
        begun = time.monotonic()
        while [hit.model.model_id for hit in api.search_models_fts("watched").hits] != ["llm/f/other"]:
            assert time.monotonic() - begun < _PATIENCE_S
            time.sleep(0.02)
