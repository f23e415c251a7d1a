"""Which links lead to a model, told without touching the register."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from pumas.errors import Unavailable
from pumas.store.link_registry import links_to

_TABLE = (
    "CREATE TABLE links (link_id INTEGER PRIMARY KEY AUTOINCREMENT, model_id TEXT NOT NULL, source_path TEXT NOT NULL, "
    "target_path TEXT NOT NULL UNIQUE, app_id TEXT NOT NULL, app_version TEXT NOT NULL)"
)


@pytest.fixture
def registry(tmp_path):
    path = tmp_path / "link_registry.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(_TABLE)
        db.commit()
    return path


def _register(db, model_id, source, target) -> None:
    db.execute(
        "INSERT INTO links(model_id, source_path, target_path, app_id, app_version) VALUES (?, ?, ?, 'comfyui', '1')",
        (model_id, str(source), str(target)),
    )
    db.commit()


def _targets(registry, model_id):
    return [link.target_path for link in links_to(registry, model_id, registry.parent / model_id)]


def test_links_are_found_by_id_and_by_file(registry, tmp_path):
    with closing(sqlite3.connect(registry)) as db:
        _register(db, "llm/f/a_b", "/moved/elsewhere", "/app/1")
        _register(db, "old/name", tmp_path / "llm/f/a_b/unet/x.gguf", "/app/2")
        _register(db, "llm/f/aXb", tmp_path / "llm/f/aXb/x.gguf", "/app/3")
        _register(db, "llm/f/a_b-2", tmp_path / "llm/f/a_b-2/x.gguf", "/app/4")
        # Another process has it open, and what it wrote last is in the -wal only.
        assert _targets(registry, "llm/f/a_b") == ["/app/1", "/app/2"]
    assert _targets(registry, "llm/f/a_b") == ["/app/1", "/app/2"]
    assert _targets(registry, "llm/f/none") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link_registry.db"]


def test_a_register_that_is_not_there_or_empty_has_none(tmp_path):
    path = tmp_path / "link_registry.db"
    assert _targets(path, "llm/f/A") == []
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE settings (key TEXT)")
    assert _targets(path, "llm/f/A") == []


def test_a_register_of_another_form_is_never_taken_for_an_empty_one(tmp_path):
    path = tmp_path / "link_registry.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE links (id INTEGER PRIMARY KEY, model TEXT)")
    with pytest.raises(Unavailable):
        _targets(path, "llm/f/A")
    path.unlink()
    path.symlink_to(tmp_path / "nothing")
    with pytest.raises(Unavailable):
        _targets(path, "llm/f/A")
