from __future__ import annotations

import json

import pytest
from support.cases import check, library_cases
from support.roots import write_model

from pumas.errors import InvalidInput, ModelNotFound, NotFound, Unavailable
from pumas.store import metadata
from pumas.store.metadata import find_documents, load, locate, restore, safe_filename, save, update, update_metadata
from pumas.store.paths import Layout
from pumas.store.times import TimeForm


@pytest.fixture
def layout(library) -> Layout:
    return Layout(library.parents[1])


_PLACES = [
    (metadata.VERSIONS, "comfyui", "metadata/versions.json"),
    (metadata.VERSIONS, "ollama", "metadata/versions-ollama.json"),
    (metadata.VERSIONS, "ComfyUI", "metadata/versions-ComfyUI.json"),
    (metadata.VERSIONS, "../a b", "metadata/versions-..-a-b.json"),
    (metadata.VERSIONS, "..", "metadata/versions-...json"),
    (metadata.VERSIONS, "", "metadata/versions-unnamed.json"),
    (metadata.CATALOGUE, "", "metadata/models.json"),
    (metadata.CUSTOM_NODES, "", "metadata/custom_nodes.json"),
    (metadata.WORKFLOWS, "", "metadata/workflows.json"),
    (metadata.VERSION_CONFIG, "v0.6.0", "config/version-configs/v0.6.0-config.json"),
    (metadata.VERSION_CONFIG, "..", "config/version-configs/..-config.json"),
    (metadata.VERSION_CONFIG, "a b", "config/version-configs/a b-config.json"),
    (metadata.MAPPING, "comfyui_*_default", "config/model-library-translation/comfyui_*_default.json"),
    (metadata.RELEASES, "comfyanonymous/ComfyUI", "cache/github-releases.json"),
    (metadata.RELEASES, "ollama/ollama", "cache/github-releases-ollama-ollama.json"),
    (metadata.RELEASES, "/etc/passwd", "cache/github-releases-etc-passwd.json"),
    (metadata.RELEASE_PAGES, "", "cache/release-pages.json"),
    (metadata.INSTALL_STATE, "comfyui", "cache/installation-state.json"),
    (metadata.INSTALL_STATE, "ollama", "cache/installation-state-ollama.json"),
    (metadata.REQUIREMENTS, "", "cache/release-requirements.json"),
    (metadata.RELEASE_SIZES, "", "cache/release-sizes.json"),
    (metadata.PACKAGE_SIZES, "", "cache/package-sizes.json"),
    (metadata.CONSTRAINTS, "", "cache/constraints-cache.json"),
    (metadata.UPDATE_CHECK, "", "cache/launcher-update-check.json"),
]


@pytest.mark.parametrize(("kind", "name", "place"), _PLACES, ids=[place for *_, place in _PLACES])
def test_where_the_documents_of_the_launcher_lie(layout, kind, name, place):
    document = locate(layout, kind, name)
    assert document.path == layout.data / place
    assert document.locks == layout.data / ".locks"
    save(document, {"a": "é"})
    text = document.path.read_bytes()
    assert (b"\\u00e9" in text) == (place.split("/")[-1] in _ESCAPED)
    assert load(document) == {"a": "é"}
    save(document, {})
    assert document.path.with_name(f"{document.path.name}.bak").exists() == kind.has_backup
    assert [one.path for one in find_documents(layout)] == [document.path]


_ESCAPED = {"release-requirements.json", "release-sizes.json", "package-sizes.json", "launcher-update-check.json"}


def test_every_kind_has_its_place_tested():
    assert {kind.file for kind, *_ in _PLACES} == {kind.file for kind in metadata.LAUNCHER_KINDS}


def test_the_default_app_has_the_plain_names(layout):
    for app, repo, versions, releases in (
        ("comfyui", "comfyanonymous/ComfyUI", "versions.json", "github-releases.json"),
        ("ollama", "ollama/ollama", "versions-ollama.json", "github-releases-ollama-ollama.json"),
    ):
        assert locate(layout, metadata.VERSIONS, app).path == layout.data / "metadata" / versions
        assert locate(layout, metadata.RELEASES, repo).path == layout.data / "cache" / releases


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "a\0b", "x" * 300, "\ud800", ""])
def test_a_name_that_is_no_file_name_is_refused(layout, name):
    for kind in (metadata.VERSION_CONFIG, metadata.MAPPING):
        with pytest.raises(InvalidInput, match="file name"):
            locate(layout, kind, name)


@pytest.mark.parametrize("name", ["../x", "/etc", "a/../../b", "x\0", "\ud800" * 3, "-/-"])
def test_a_safe_name_never_leads_out_of_its_folder(layout, name):
    for kind in (metadata.VERSIONS, metadata.RELEASES, metadata.INSTALL_STATE):
        path = locate(layout, kind, name).path
        assert path.resolve().parent == (layout.data / kind.file).resolve().parent


@pytest.mark.parametrize(("case_id", "case"), library_cases("naming.safe_filename"))
def test_safe_names(case_id, case):
    check(case_id, case["out"], safe_filename(case["value"]))


def test_the_documents_of_a_model(layout, library):
    for kind, file in ((metadata.METADATA, "metadata.json"), (metadata.OVERRIDES, "overrides.json")):
        document = locate(layout, kind, "llm/llama/A")
        assert document.path == library / "llm/llama/A" / file
        assert document.locks == library / ".pumas/locks"
        assert document.lock_name == f"llm/llama/A/{file}"
        assert locate(layout, kind, "llm/./llama//A") == document


@pytest.mark.parametrize("model_id", ["", ".", "..", "../x", "/etc", "a/../..", ".pumas", "llm/.hidden/A", "a\0"])
def test_what_can_be_no_model_has_no_documents(layout, model_id):
    with pytest.raises(InvalidInput):
        locate(layout, metadata.METADATA, model_id)
    with pytest.raises(ModelNotFound):
        update_metadata(layout, model_id, lambda value: value)


def test_a_model_behind_a_link_out_of_the_library_has_no_documents(layout, library, tmp_path):
    (tmp_path / "outside").mkdir()
    (library / "linked").symlink_to(tmp_path / "outside")
    with pytest.raises(InvalidInput):
        locate(layout, metadata.METADATA, "linked")


def test_the_empty_values(layout):
    empty: dict[str, object] = {"installed": {}, "lastSelectedVersion": None, "defaultVersion": None}
    assert load(locate(layout, metadata.VERSIONS, "comfyui")) == empty
    assert load(locate(layout, metadata.PACKAGE_SIZES)) == {"packages": {}}
    for kind in metadata.LAUNCHER_KINDS:
        first, second = load(locate(layout, kind, "x")), load(locate(layout, kind, "x"))
        assert first == second
        assert first is not second
    assert list(find_documents(layout)) == []


def test_an_update_keeps_what_it_does_not_know(layout):
    document = locate(layout, metadata.VERSIONS, "comfyui")
    text = json.dumps({"z": [1.0, {"é": 12345678901234567890123}], "installed": {"b": {}, "a": {}}, "y": 1}, indent=2)
    document.path.parent.mkdir(parents=True)
    document.path.write_text(text)
    assert update(document, lambda value: value) == json.loads(text)
    assert document.path.read_text() == text.replace("\\u00e9", "é")
    update(document, lambda value: {**value, "defaultVersion": "a"})
    assert list(load(document)) == ["z", "installed", "y", "defaultVersion"]


def test_a_deleted_model_does_not_come_back(layout, library):
    folder = write_model(library, "llm/llama/A")
    update_metadata(layout, "llm/llama/A", lambda value: {**value, "notes": "mine"})
    assert load(locate(layout, metadata.METADATA, "llm/llama/A"))["notes"] == "mine"
    assert list(library.glob("**/*.lock")) == list((library / ".pumas/locks").iterdir())
    for one in folder.iterdir():
        one.unlink()
    folder.rmdir()
    with pytest.raises(ModelNotFound):
        update_metadata(layout, "llm/llama/A", lambda value: value)
    assert not folder.exists()
    with pytest.raises(NotFound, match=r"versions\.json does not exist"):
        update(locate(layout, metadata.VERSIONS, "comfyui"), lambda value: value, must_exist=True)


def test_damaged_metadata_is_updated_from_its_backup(layout, library):
    folder = write_model(library, "llm/llama/A")
    update_metadata(layout, "llm/llama/A", lambda value: {**value, "notes": "mine"})
    (folder / "metadata.json").write_text("{")
    written = update_metadata(layout, "llm/llama/A", lambda value: {**value, "tags": ["x"]})
    assert (written["model_id"], written["tags"]) == ("A", ["x"])
    assert "notes" not in written
    assert [one.read_text() for one in folder.glob("metadata.json.damaged-*")] == ["{"]


def test_which_times_a_document_has(layout):
    times = {
        "versions.json": TimeForm.ZULU,
        "versions-ollama.json": TimeForm.OFFSET,
        "github-releases.json": TimeForm.ZULU,
        "github-releases-ollama-ollama.json": TimeForm.ZULU,
        "installation-state-ollama.json": TimeForm.OFFSET,
        "launcher-update-check.json": TimeForm.LOCAL,
        "constraints-cache.json": None,
    }
    for kind, name, place in _PLACES:
        file = place.rsplit("/", maxsplit=1)[-1]
        if file in times:
            assert locate(layout, kind, name).times == times[file]


def test_restoring_a_document_that_is_whole_by_now_does_nothing(layout):
    document = locate(layout, metadata.VERSIONS, "comfyui")
    for n in range(2):
        save(document, {"n": n})
    with pytest.raises(Unavailable, match="whole by now"):
        restore(document)
    assert dict(load(document)) == {"n": 1}
    document.path.write_text("{")
    left = document.path.with_name("versions.json.999999999.1.tmp")
    left.write_text("half")
    restore(document)
    assert dict(load(document)) == {"n": 0}
    assert left.read_text() == "half"
