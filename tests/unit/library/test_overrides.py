from __future__ import annotations

import json

import pytest
from support.roots import write_model

from pumas import PumasApi
from pumas.errors import InvalidInput, ModelNotFound


@pytest.fixture
def api(library):
    write_model(library, "llm/llama/A")
    with PumasApi(library.parents[1]) as api:
        yield api


def test_what_is_stored_is_read_again(api, library):
    assert api.get_model_overrides("llm/llama/A") == {}
    api.update_model_overrides("llm/llama/A", {"version_ranges": {"comfyui": ">=0.6"}, "mine": [1]})
    assert api.get_model_overrides("llm/llama/A") == {"version_ranges": {"comfyui": ">=0.6"}, "mine": [1]}
    path = library / "llm/llama/A/overrides.json"
    assert path.read_text() == json.dumps({"version_ranges": {"comfyui": ">=0.6"}, "mine": [1]}, indent=2)
    assert sorted(one.name for one in path.parent.iterdir()) == ["A.gguf", "metadata.json", "overrides.json"]


@pytest.mark.parametrize(
    "model_id",
    [
        "nope",
        "",
        ".",
        "..",
        "../..",
        "/etc",
        "llm",
        "llm/llama",
        "llm/llama/A/../A",
        "a\0b",
        "llm\\..\\..",
        ".downloads/x",
    ],
)
def test_what_is_no_model_is_not_found(api, library, model_id, tmp_path):
    write_model(library, ".downloads/x")
    before = [path for path in sorted(tmp_path.rglob("*")) if ".pumas" not in str(path)]
    assert api.get_model_overrides(model_id) == {}
    with pytest.raises(ModelNotFound):
        api.update_model_overrides(model_id, {"x": 1})
    assert [path for path in sorted(tmp_path.rglob("*")) if ".pumas" not in str(path)] == before


def test_links_out_of_the_library_are_not_followed(api, library, tmp_path):
    outside = write_model(tmp_path, "outside")
    (outside / "overrides.json").write_text('{"secret": 1}')
    (library / "llm" / "linked").symlink_to(outside)
    assert api.get_model_overrides("llm/linked") == {}
    with pytest.raises(ModelNotFound):
        api.update_model_overrides("llm/linked", {})
    (library / "llm/llama/A/overrides.json").symlink_to(outside / "overrides.json")
    assert api.get_model_overrides("llm/llama/A") == {}
    api.update_model_overrides("llm/llama/A", {"mine": 1})
    assert json.loads((outside / "overrides.json").read_text()) == {"secret": 1}
    assert api.get_model_overrides("llm/llama/A") == {"mine": 1}


@pytest.mark.parametrize("ranges", [None, [], "x", {"comfyui": 5}, {"comfyui": None}])
def test_a_known_field_of_a_wrong_form_is_named(api, library, ranges):
    with pytest.raises(InvalidInput, match="version_ranges"):
        api.update_model_overrides("llm/llama/A", {"version_ranges": ranges})
    assert not (library / "llm/llama/A/overrides.json").exists()


def test_a_damaged_file_reads_as_empty_and_can_be_replaced(api, library):
    path = library / "llm/llama/A/overrides.json"
    for text in ("{", "[1]", "null"):
        path.write_text(text)
        assert api.get_model_overrides("llm/llama/A") == {}
    api.update_model_overrides("llm/llama/A", {"x": 1})
    assert api.get_model_overrides("llm/llama/A") == {"x": 1}
    assert sorted(one.read_text() for one in path.parent.glob("overrides.json.damaged-*")) == ["null"]


def test_a_damaged_file_is_read_from_its_backup(api, library):
    path = library / "llm/llama/A/overrides.json"
    for n in range(2):
        api.update_model_overrides("llm/llama/A", {"n": n})
    path.write_text("{")
    assert api.get_model_overrides("llm/llama/A") == {"n": 0}
    path.with_name("overrides.json.bak").unlink()
    path.with_name("overrides.json.bak").symlink_to(library / "llm/llama/A/metadata.json")
    assert api.get_model_overrides("llm/llama/A") == {}


def test_two_spellings_of_an_id_share_a_lock_outside_the_model_folder(api, library):
    for model_id in ("llm/llama/A", "llm//llama/./A"):
        api.update_model_overrides(model_id, {})
    assert len(list((library / ".pumas/locks").iterdir())) == 1
    assert list((library / "llm").rglob("*.lock")) == []


@pytest.mark.parametrize("rel_path", ["llm/llama/A/metadata.json", "llm/llama/A/A.gguf"])
def test_a_file_is_no_model(api, rel_path):
    assert api.get_model_overrides(rel_path) == {}
    with pytest.raises(ModelNotFound):
        api.update_model_overrides(rel_path, {})


def test_a_folder_in_the_place_of_the_file_reads_as_empty(api, library):
    (library / "llm/llama/A/overrides.json").mkdir()
    assert api.get_model_overrides("llm/llama/A") == {}


def test_overrides_that_could_not_be_read_again_are_refused(api):
    with pytest.raises(InvalidInput, match="more than"):
        api.update_model_overrides("llm/llama/A", {"x": [1] * 2_500_000})
    assert api.get_model_overrides("llm/llama/A") == {}
