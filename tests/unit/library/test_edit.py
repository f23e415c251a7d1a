"""What a user says of a model, through all three doors, and what identification leaves alone after that."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.drives import can_mount, fill_drive, mounted_drive
from support.headers import Gguf
from support.roots import write_model

from pumas import PumasApi
from pumas.config import Config
from pumas.errors import Damaged, InvalidInput, ModelNotFound, NoSpace
from pumas.organised import ModelEdit


@pytest.fixture
def api(library):
    write_model(library, "llm/f/A", tags=["one"], mine={"kept": 1})
    with PumasApi(library.parents[1], config=Config()) as api:
        api.refresh_models().result(30)
        yield api


def _document(library, model_id="llm/f/A"):
    return json.loads((library / model_id / "metadata.json").read_text("utf-8"))


def _edit(api, model_id="llm/f/A", **fields):
    return api.edit_model(model_id, ModelEdit(**fields)).result(30)


def test_what_is_set_is_listed_found_and_remembered(api, library):
    before = _document(library)
    model = _edit(api, official_name=" Näme ", model_type="audio", subtype="", tags=("b", "a", "b"), notes="two\nlines")
    assert (model.official_name, model.model_type, model.tags) == ("Näme", "audio", ("b", "a"))
    assert api.list_models() == [model]
    assert api.search_models_fts("näme").hits[0].model == model
    after = _document(library)
    assert after.pop("updated_date").endswith("Z")
    assert after.pop("edited_fields") == ["official_name", "model_type", "subtype", "tags", "notes"]
    changed = {"official_name": "Näme", "model_type": "audio", "subtype": "", "tags": ["b", "a"], "notes": "two\nlines"}
    assert after == {**before, **changed}
    assert [*after][: len(before)] == [*before], "the order of the keys stays"


def test_tags_come_and_go_one_by_one(api, library):
    assert _edit(api, add_tags=("two", "one")).tags == ("one", "two")
    assert _edit(api, add_tags=("three",), remove_tags=("one", "never there")).tags == ("two", "three")
    assert _document(library)["edited_fields"] == ["tags"]
    write_model(library, "llm/f/A", tags="as a text")
    assert _edit(api, add_tags=("x",)).tags == ("as a text", "x")


def test_released_fields_are_protected_no_more(api, library):
    _edit(api, family="mine", notes="n")
    _edit(api, released=("family",))
    assert _document(library)["edited_fields"] == ["notes"]
    assert _document(library)["family"] == "mine"
    _edit(api, released=("notes",))
    assert "edited_fields" not in _document(library)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "at least one"),
        ({"official_name": "  "}, "official_name"),
        ({"official_name": "a\nb"}, "official_name"),
        ({"official_name": "\x1b[2J"}, "official_name"),
        ({"official_name": "\udcff"}, "official_name"),
        ({"official_name": "x" * 501}, "official_name"),
        ({"family": "a\0b"}, "family"),
        ({"model_type": ""}, "model_type"),
        ({"model_type": "../llm"}, "model_type"),
        ({"model_type": "a/b"}, "model_type"),
        ({"model_type": ".hidden"}, "model_type"),
        ({"subtype": "a\\b"}, "subtype"),
        ({"tags": ("",)}, "tags"),
        ({"tags": ("a\tb",)}, "tags"),
        ({"add_tags": tuple(map(str, range(1001)))}, "tags"),
        ({"notes": "\x00"}, "notes"),
        ({"notes": "x" * 100_001}, "notes"),
        ({"preview_image": "none.png"}, "preview_image"),
        ({"preview_image": "../B/B.gguf"}, "preview_image"),
        ({"preview_image": "/etc/passwd"}, "preview_image"),
        ({"preview_image": "linked.png"}, "preview_image"),
        ({"released": ("files",)}, "released"),
    ],
)
def test_what_can_t_be_is_named_and_nothing_is_written(api, library, fields, named):
    write_model(library, "llm/f/B")
    (library / "llm/f/A/linked.png").symlink_to("/etc/passwd")
    before = (library / "llm/f/A/metadata.json").read_bytes()
    with pytest.raises(InvalidInput, match=named) as caught:
        _edit(api, **fields)
    assert caught.value.parameter == (named if fields else None)
    assert (library / "llm/f/A/metadata.json").read_bytes() == before
    assert not (library / "llm/f/A/metadata.json.bak").exists()


def test_a_preview_is_a_file_of_the_model(api, library):
    (library / "llm/f/A/shots").mkdir()
    (library / "llm/f/A/shots/1.png").write_bytes(b"png")
    _edit(api, preview_image="shots/1.png")
    assert _document(library)["preview_image"] == "shots/1.png"
    _edit(api, preview_image="")
    assert _document(library)["preview_image"] == ""


@pytest.mark.parametrize(
    "model_id", ["nope", "", "..", "../..", "/etc", "llm/f", "llm/f/A/inner", "llm/linked", "\udcff"]
)
def test_what_is_no_model_is_not_found(api, library, model_id, tmp_path):
    write_model(library, "llm/f/A/inner")
    (library / "llm/linked").symlink_to(write_model(tmp_path, "outside"))
    for job in (
        api.edit_model(model_id, ModelEdit(notes="x")),
        api.mark_metadata_as_manual(model_id),
    ):
        with pytest.raises(ModelNotFound):
            job.result(30)
    assert not list(tmp_path.rglob("*.bak"))


def test_a_document_that_can_t_be_read_is_not_replaced(api, library):
    path = library / "llm/f/A/metadata.json"
    path.write_bytes(b'{"official_name": "half')
    with pytest.raises(Damaged):
        _edit(api, notes="x")
    assert path.read_bytes() == b'{"official_name": "half'
    assert not list(path.parent.glob("*damaged*"))


@pytest.mark.skipif(not can_mount(), reason="needs permission to mount")
def test_a_full_drive_leaves_the_document(tmp_path):
    with mounted_drive(tmp_path / "root", "size=8m") as root:
        library = root / "shared-resources/models"
        write_model(library, "llm/f/A")
        with PumasApi(root, config=Config()) as api:
            api.refresh_models().result(30)
            before = (library / "llm/f/A/metadata.json").read_bytes()
            fill_drive(root / "filler")
            with pytest.raises(NoSpace):
                _edit(api, notes="x" * 50_000)
        assert (library / "llm/f/A/metadata.json").read_bytes() == before


def _write_gguf(path, architecture) -> None:
    path.write_bytes(Gguf().file([("general.architecture", "string", architecture)]))


def _reidentify(api, *model_ids):
    return api.reidentify_models(model_ids or None).result(30)


def test_identification_sets_what_the_user_did_not(api, library):
    _write_gguf(library / "llm/f/A/A.gguf", "qwen2")
    write_model(library, "llm/f/B", family="old", model_type="diffusion", subtype="checkpoints")
    _write_gguf(library / "llm/f/B/B.gguf", "qwen2")
    _edit(api, family="mine")
    one, other = _reidentify(api)
    assert (one.model_id, one.changes, one.kept) == ("llm/f/A", {}, ("family",))
    assert other.changes == {
        "model_type": ("diffusion", "llm"),
        "subtype": ("checkpoints", ""),
        "family": ("old", "qwen"),
    }
    assert (_document(library)["family"], _document(library, "llm/f/B")["family"]) == ("mine", "qwen")
    assert [model.family for model in api.list_models()] == ["mine", "qwen"]
    assert [one.changes for one in _reidentify(api)] == [{}, {}]
    _edit(api, released=("family",))
    assert _reidentify(api, "llm/f/A")[0].changes == {"family": ("mine", "qwen")}


def test_a_model_marked_as_manual_is_left_as_it_is(api, library):
    _write_gguf(library / "llm/f/A/A.gguf", "flux")
    api.mark_metadata_as_manual("llm/f/A").result(30)
    before = (library / "llm/f/A/metadata.json").read_bytes()
    assert _reidentify(api, "llm/f/A", "nope")[1].problem == "Model not found"
    assert (library / "llm/f/A/metadata.json").read_bytes() == before


def test_only_what_nothing_speaks_for_is_listed_for_review(api, library):
    write_model(library, "audio/f/B", needs_review=True)
    (library / "audio/f/B/B.gguf").write_bytes(b"no model that anyone knows")
    write_model(library, "x/f/C", model_type="")
    write_model(library, "x/f/D", needs_review=True, match_source="manual")
    write_model(library, "x/f/E", notes='"needs_review": true')
    api.refresh_models().result(30)
    assert [(item.model.model_id, item.reason) for item in api.list_models_needing_review()] == [
        ("audio/f/B", "only the name of its file says what it is"),
        ("x/f/C", "its document names no type"),
    ]
    _reidentify(api, "audio/f/B")
    assert _document(library, "audio/f/B")["model_type"] == "audio", "a guess replaces nothing"
    assert _document(library, "audio/f/B")["needs_review"] is True
    _edit(api, "audio/f/B", model_type="audio")
    _edit(api, "x/f/C", model_type="llm")
    assert api.list_models_needing_review() == []
    _reidentify(api, "audio/f/B")
    assert api.list_models_needing_review() == []


def test_shards_are_told(api, library):
    for number in (1, 3):
        (library / f"llm/f/A/model-0000{number}-of-00003.safetensors").write_bytes(b"x")
    (found,) = api.shards_of_model("llm/f/A")
    assert (found.is_complete, found.missing, found.found_count, found.expected_count) == (False, (2,), 2, 3)
    shown = _pumas("show", "llm/f/A", "--root", str(library.parents[1])).stdout
    assert "2 of 3; missing: 2" in shown
    (library / "llm/f/A/model-00002-of-00003.safetensors").write_bytes(b"x")
    assert "3 of 3, complete" in _pumas("show", "llm/f/A", "--root", str(library.parents[1])).stdout


def test_edits_of_two_at_once_are_both_there(library):
    write_model(library, "llm/f/A")
    root = library.parents[1]
    with PumasApi(root, config=Config()) as one, PumasApi(root, config=Config()) as two:
        jobs = [api.edit_model("llm/f/A", ModelEdit(add_tags=(f"{n}",))) for n, api in enumerate((one, two) * 10)]
        for job in jobs:
            job.result(30)
        assert sorted(_document(library)["tags"], key=int) == [str(n) for n in range(20)]
        one.refresh_models().result(30)
        assert len(one.list_models()[0].tags) == 20


def _pumas(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pumas", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_commands(library):
    write_model(library, "llm/f/A", needs_review=True)
    _write_gguf(library / "llm/f/A/A.gguf", "qwen2")
    root = ("--root", str(library.parents[1]))
    assert "only the name" in _pumas("review", *root).stdout
    edited = _pumas("edit", "llm/f/A", "--name", "New", "--add-tag", "a", "--add-tag", "b", *root)
    assert edited.stdout == "llm/f/A: New, llm, f; a, b\n"
    wrong = _pumas("edit", "llm/f/A", *root)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert _pumas("edit", "nope", "--name", "x", *root).returncode == 3
    done = _pumas("reidentify", *root)
    assert "llm/f/A: family: f is now qwen\n" in done.stdout
    assert json.loads(_pumas("review", "--json", *root).stdout) == []
    assert _pumas("reidentify", "nope", *root).returncode == 1


def test_the_methods(serve, library):
    write_model(library, "llm/f/A", needs_review=True)
    client = serve(library.parents[1])
    assert list(client.call("get_models")["models"]) == ["llm/f/A"]
    (item,) = client.call("list_models_needing_review")["models"]
    assert item["model_id"] == item["model"]["path"] == "llm/f/A"
    edit = {"model_id": "llm/f/A", "model_type": "audio", "subtype": None, "add_tags": ["x"], "released": None}
    answer = client.call("edit_model", edit)
    assert (answer["success"], answer["model"]["modelType"]) == (True, "audio")
    assert client.call("search_models_fts", {"query": "tags:x"})["total_count"] == 1
    assert client.call("list_models_needing_review")["models"] == []
    refused = client.envelope("edit_model", {"model_id": "llm/f/A", "tags": "x"})["error"]
    assert (refused["code"], "`tags` must be a list of text" in refused["message"]) == (-32602, True)
    assert client.call("edit_model", {"model_id": "nope", "notes": ""}) == {
        "success": False,
        "error": "Model not found",
    }
    answer = client.call("reidentify_models", {"model_ids": ["llm/f/A", "nope"]})
    assert (answer["success"], answer["error"]) == (False, "nope: Model not found")
    assert answer["models"][0]["kept"] == ["model_type", "tags"]
