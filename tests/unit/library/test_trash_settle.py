"""What a start finds in the trash that is not whole: settled where that is safe, else told and left as it is."""

from __future__ import annotations

import os

import pytest
from support.roots import write_model

from pumas import PumasApi
from pumas.api.examine import examine_root
from pumas.config import Config
from pumas.errors import Unavailable
from pumas.library.remove import remove_model
from pumas.library.trash import put_in_trash, restore_from_trash
from pumas.library.trash_entries import trash_of
from pumas.library.trash_settle import settle
from pumas.store.paths import Layout


@pytest.fixture
def layout(library):
    write_model(library, "llm/f/A")
    return Layout(library.parents[1])


def _entry(layout, state):
    """The entry of a removed model, in a state that a killed process leaves."""
    entry = trash_of(layout.library) / remove_model(layout, "llm/f/A").entry_id
    return entry.rename(entry.with_name(entry.name + state))


def _kinds(layout):
    with PumasApi(layout.root, config=Config()):  # makes the folders that every root has
        pass
    return [finding.kind for finding in examine_root(layout, Config())]


@pytest.mark.parametrize("state", [".removing", ".restoring"])
def test_a_model_without_its_manifest_is_told_and_stays(layout, state, caplog):
    entry = _entry(layout, state)
    (entry / "manifest.json").unlink()
    assert settle(layout) == 0
    assert "its files lie in" in caplog.text
    assert (entry / "model/A.gguf").exists()
    assert _kinds(layout) == ["trash_unfinished"]


@pytest.mark.parametrize("manifest", [b"{", b"[]", b'{"model_id": "../.."}'])
def test_a_manifest_that_can_t_be_read_costs_nothing(layout, manifest):
    entry = _entry(layout, ".removing")
    (entry / "manifest.json").write_bytes(manifest)
    assert settle(layout) == 0
    assert (entry / "model/A.gguf").exists()


@pytest.mark.parametrize("state", [".removing", ".restoring"])
def test_what_somebody_else_put_beside_a_model_stays(state, layout, caplog):
    entry = _entry(layout, state)
    (entry / "model").rename(layout.library / "llm/f/A")
    (layout.library / "llm/f/A/metadata.json.trashed").rename(layout.library / "llm/f/A/metadata.json")
    (entry / "mine.gguf").write_bytes(b"mine")
    assert settle(layout) == 0
    assert "can't be settled" in caplog.text
    assert (entry / "mine.gguf").read_bytes() == b"mine"


def test_an_entry_that_was_only_begun_goes_once_it_is_old(layout):
    entry = trash_of(layout.library) / "20260115T123456789012Z.removing"
    entry.mkdir(parents=True)
    (entry / "manifest.json.1.1.tmp").write_bytes(b"{")
    assert settle(layout) == 0
    assert entry.exists(), "a process may be about to write its manifest"
    os.utime(entry, (1, 1))
    assert settle(layout) == 1
    assert list(trash_of(layout.library).iterdir()) == []
    assert (layout.library / "llm/f/A/A.gguf").exists()


def test_what_is_being_deleted_is_deleted(layout):
    _entry(layout, ".emptied")
    assert settle(layout) == 1
    assert list(trash_of(layout.library).iterdir()) == []


def test_a_whole_trash_needs_nothing(layout):
    remove_model(layout, "llm/f/A")
    assert settle(layout) == 0
    assert _kinds(layout) == []


def test_a_move_that_fails_half_way_is_undone(layout):
    folder = layout.library / "llm/f/A"
    for name in ("a", "z"):
        (folder / name).mkdir()
        (folder / name / "metadata.json").write_text("{}")
    (folder / "z/metadata.json.trashed").write_text("mine")  # came between the plan and the move
    files = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    (folder / "z/metadata.json.trashed").rename(folder / "z/later")
    trashed = remove_model(layout, "llm/f/A")
    model = trash_of(layout.library) / trashed.entry_id / "model"
    (model / "z/later").rename(model / "z/metadata.json")
    with pytest.raises(Unavailable):
        restore_from_trash(layout, trashed.entry_id)
    (model / "z/metadata.json").rename(model / "z/later")
    restore_from_trash(layout, trashed.entry_id)
    (folder / "z/later").rename(folder / "z/metadata.json.trashed")
    with pytest.raises(Unavailable):
        put_in_trash(layout.library, folder, trashed)
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == files
    assert list(trash_of(layout.library).iterdir()) == []


def test_a_place_that_can_t_be_made_leaves_the_model_in_the_trash(layout):
    trashed = remove_model(layout, "llm/f/A")
    (layout.library / "llm/f").rmdir()
    (layout.library / "llm/f").write_bytes(b"a file")
    with pytest.raises(Unavailable):
        restore_from_trash(layout, trashed.entry_id)
    (layout.library / "llm/f").unlink()
    restore_from_trash(layout, trashed.entry_id)
    assert (layout.library / "llm/f/A/metadata.json").exists()
