"""Damaged documents: found, restored from their backups where that is safe, else only told."""

from __future__ import annotations

import json
import os

import pytest
from support.health import INDEX, MODELS, found, repaired, snapshot
from support.roots import write_model

from pumas import PumasApi
from pumas.api.examine import examine_root
from pumas.config import Config
from pumas.store.metadata import VERSIONS, load, locate
from pumas.store.paths import Layout


def test_a_damaged_document_is_restored_from_its_backup(root):
    path = root / "launcher-data" / "metadata" / "versions.json"
    path.write_bytes(b'{"installed": {')
    [finding] = examine_root(Layout(root), Config())
    assert (finding.kind, finding.severity, finding.is_repairable) == ("document_damaged", "problem", True)
    [repair] = repaired(root)
    assert repair.is_done
    assert repair.moved_to is not None
    assert repair.moved_to.read_bytes() == b'{"installed": {'
    assert load(locate(Layout(root), VERSIONS, "comfyui"))["defaultVersion"] == "v1"
    assert found(root) == []


@pytest.mark.parametrize("backup", [None, b"\0\0", "link"], ids=["none", "damaged", "link"])
def test_a_damaged_document_without_a_usable_backup_is_only_told(root, backup):
    path = root / "launcher-data" / "metadata" / "versions.json"
    beside = path.with_name("versions.json.bak")
    path.write_bytes(b"[]")
    if backup == "link":
        beside.rename(beside.with_name("elsewhere"))
        beside.symlink_to("elsewhere")
    elif backup is None:
        beside.unlink()
    else:
        beside.write_bytes(backup)
    before = snapshot(path.parent)
    [finding] = examine_root(Layout(root), Config())
    assert (finding.kind, finding.is_repairable) == ("document_damaged", False)
    assert "by hand" in finding.remedy
    assert repaired(root) == ()
    assert snapshot(path.parent) == before


def test_a_damaged_model_is_restored_and_indexed(root, library):
    path = library / "llm/llama/one/metadata.json"
    path.write_bytes(b"")
    assert found(root) == [("document_damaged", f"{MODELS}/llm/llama/one/metadata.json"), ("index_behind", INDEX)]
    assert all(repair.is_done for repair in repaired(root))
    assert found(root) == []
    assert json.loads(path.read_bytes())["official_name"] == "one"
    assert sorted(os.listdir(path.parent)) == ["metadata.json", "metadata.json.bak", "one.gguf", "overrides.json"]
    with PumasApi(root, config=Config()) as api:
        assert len(api.list_models()) == 3


def test_a_model_that_the_index_left_out_comes_back(root, library):
    path = library / "llm/llama/one/metadata.json"
    path.write_bytes(b"")
    with PumasApi(root, config=Config()) as api:
        assert api.rebuild_index().result().model_count == 2
        assert [repair.kind for repair in api.repair()] == ["document_damaged", "index_behind"]
        assert len(api.list_models()) == 3
    assert found(root) == []


def test_damaged_overrides_of_a_model(root, library):
    (library / "llm/llama/two/overrides.json").write_text("[]")
    assert found(root) == [("document_damaged", f"{MODELS}/llm/llama/two/overrides.json")]


def test_a_document_that_can_not_be_read(root, library):
    path = library / "llm/llama/two/overrides.json"
    path.unlink()
    path.symlink_to(path.name + ".away")
    assert found(root) == [("document_unreadable", f"{MODELS}/llm/llama/two/overrides.json")]


def test_a_document_that_only_the_index_refuses(root, library):
    write_model(library, "llm/llama/three", cleaned_name="x").joinpath("metadata.json").write_text(
        '{"a":' * 300 + "1" + "}" * 300
    )
    assert ("document_unusable", f"{MODELS}/llm/llama/three/metadata.json") in found(root)


def test_a_backup_without_its_document(root, library):
    (library / "llm/llama/one/metadata.json").unlink()
    kinds = [kind for kind, _ in found(root)]
    assert sorted(kinds) == ["document_missing", "index_behind"]


def test_backups_without_their_documents_are_told_of_every_kind_that_has_some(root, library):
    lost = [root / "launcher-data/metadata/versions.json", root / "launcher-data/config/version-configs/v1-config.json"]
    lost.append(library / "llm/llama/two/overrides.json")
    for path in lost:
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.bak").write_text("{}")
    (root / "launcher-data/config/model-library-translation/x.json.bak").write_text("{}")  # of a kind without
    told = [one for one in examine_root(Layout(root), Config()) if one.kind == "document_missing"]
    assert sorted(one.path.name.removesuffix(".bak") for one in told) == sorted(path.name for path in lost)


def test_a_restored_document_whose_damage_can_not_be_moved_says_where_that_lies(root):
    path = root / "launcher-data" / "metadata" / "versions.json"
    path.write_text("{")
    (root / "launcher-data" / "quarantine").write_text("no folder")
    [repair] = repaired(root)
    assert repair.is_done
    assert repair.moved_to.parent == path.parent
    assert repair.moved_to.read_text() == "{"


def test_a_folder_in_the_place_of_a_models_document_is_told_and_set_aside(root, library):
    path = library / "llm/llama/one/metadata.json"
    path.unlink()
    (path / "inside").mkdir(parents=True)
    assert ("document_damaged", f"{MODELS}/llm/llama/one/metadata.json") in found(root)
    assert all(repair.is_done for repair in repaired(root))
    assert json.loads(path.read_bytes())["official_name"] == "one"
    assert found(root) == []


@pytest.mark.parametrize("thing", ["file", "link"])
def test_what_blocks_the_folders_of_a_root_is_told_once(tmp_path, thing):
    if thing == "file":
        (tmp_path / "launcher-data").write_text("")
    else:
        (tmp_path / "launcher-data").symlink_to("away")
    told = [
        one for one in examine_root(Layout(tmp_path), Config()) if one.path.is_relative_to(tmp_path / "launcher-data")
    ]
    assert [(one.kind, one.path.name) for one in told] == [("folder_blocked", "launcher-data")]
    assert ("a link to nothing" in told[0].what) == (thing == "link")


@pytest.mark.parametrize("name", ["versions.json", "metadata.json"])
def test_a_document_that_is_a_link_to_itself_is_restored(root, library, name):
    folder = library / "llm/llama/one" if name == "metadata.json" else root / "launcher-data/metadata"
    path = folder / name
    before = json.loads(path.with_name(f"{name}.bak").read_bytes())
    path.unlink()
    path.symlink_to(path)
    told = found(root)
    assert ("document_damaged", path.relative_to(root).as_posix()) in told
    assert all(repair.is_done for repair in repaired(root))
    assert json.loads(path.read_bytes()) == before
    assert not path.is_symlink()
    assert found(root) == []


def test_a_document_that_is_a_link_to_a_damaged_file_is_repaired_where_that_lies(root):
    path = root / "launcher-data" / "metadata" / "versions.json"
    path.rename(root / "elsewhere.json")
    path.symlink_to(root / "elsewhere.json")
    (root / "elsewhere.json").write_text("{")
    [finding] = examine_root(Layout(root), Config())
    assert (finding.kind, finding.is_repairable) == ("document_damaged", False)
    assert repaired(root) == ()
    assert path.is_symlink()


def test_a_document_that_is_a_link_to_nothing_is_told(root):
    path = root / "launcher-data" / "metadata" / "versions.json"
    path.unlink()
    path.symlink_to("away")
    assert found(root) == [("document_unreadable", "launcher-data/metadata/versions.json")]
