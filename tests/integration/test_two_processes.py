"""Two servers on one root: writers queue, readers never wait, nobody sees half a state."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing

from support.process import server_process
from support.roots import write_model

from pumas import PumasApi
from pumas.config import Config


def test_both_work_and_agree(library):
    root = library.parents[1]
    for n in range(50):
        write_model(library, f"llm/f{n % 5}/M{n}", description="shared words")
    with server_process(root) as (_, one), server_process(root) as (_, two):
        failures = []

        def work(client, offset) -> None:
            try:
                for n in range(15):
                    write_model(library, f"llm/new{offset}/N{n}", description="shared words")
                    assert client.call("refresh_model_index")["success"] is True
                    page = client.call("search_models_fts", {"query": "shared", "limit": 1000})
                    assert page["total_count"] == len(page["models"]) >= 50
                    overrides = {"rel_path": "llm/f0/M0", "overrides": {"by": offset, "n": n}}
                    assert client.call("update_model_overrides", overrides)["success"] is True
                    stored = client.call("get_model_overrides", {"rel_path": "llm/f0/M0"})["overrides"]
                    assert set(stored) == {"by", "n"}
            except AssertionError as exc:
                failures.append(exc)

        threads = [threading.Thread(target=work, args=(client, n)) for n, client in enumerate((one, two))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert one.call("get_models") == two.call("get_models")
        assert len(one.call("get_models")["models"]) == 80
        one.call("shutdown")
        assert len(two.call("get_models")["models"]) == 80
    with closing(sqlite3.connect(library / "models.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.execute("INSERT INTO model_search(model_search) VALUES ('integrity-check')")
        assert db.execute("SELECT count(*) FROM model_search").fetchone() == (80,)


def test_a_server_killed_while_it_writes_leaves_a_good_index(library):
    root = library.parents[1]
    for round_number in range(4):
        for n in range(150):
            write_model(library, f"llm/f{n % 5}/M{n}", description=f"round {round_number}")
        with server_process(root) as (process, client):
            caller = threading.Thread(target=lambda client=client: _ignore(client))
            caller.start()
            if round_number % 2:
                while not client.call("get_library_status")["indexing"] and caller.is_alive():
                    pass
            process.kill()
            caller.join(20)
    with server_process(root) as (_, client):
        assert len(client.call("get_models")["models"]) == 150
        assert client.call("search_models_fts", {"query": "round"})["total_count"] == 150
    with closing(sqlite3.connect(library / "models.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _ignore(client) -> None:
    try:
        client.call("get_models")
    except (OSError, AssertionError, ValueError, EOFError):
        return
    except Exception as exc:
        if type(exc).__module__ != "http.client":
            raise


def test_many_that_open_and_close_at_once_find_the_index_whole(library):
    """The last to close removes the files beside the index, while the next one looks at them."""
    for n in range(5):
        write_model(library, f"llm/f/M{n}")
    root = library.parents[1]
    with PumasApi(root, config=Config()) as api:
        api.refresh_models().result(30)
    found = []

    def work() -> None:
        for _ in range(60):
            with PumasApi(root, config=Config()) as api:
                found.append(len(api.list_models()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [5] * 240
    assert not list(library.glob("*damaged*"))


def test_an_index_deleted_without_the_files_beside_it_is_made_anew(library):
    """What lies beside it are pages of the old file; SQLite would take them for pages of the new one."""
    ids = [f"llm/f/M{n}" for n in range(60)]
    for model_id in ids:
        write_model(library, model_id, description="shared words")
    with server_process(library.parents[1]) as (_, one), server_process(library.parents[1]) as (_, two):
        for client in (one, two):
            assert len(client.call("get_models")["models"]) == 60
        for _ in range(4):
            (library / "models.db").unlink()
            for client in (one, two):
                assert _settled(client, 60)
    with closing(sqlite3.connect(library / "models.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _settled(client, count: int) -> bool:
    """Whether all models are listed and found within a few seconds; every answer until then is a proper one."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        listed, found = client.call("get_models"), client.call("search_models_fts", {"query": "shared", "limit": 0})
        assert listed["success"] is found["success"] is True, (listed, found)
        if len(listed["models"]) == found["total_count"] == count:
            return True
    return False
