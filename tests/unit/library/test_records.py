from __future__ import annotations

import json

import pytest

from pumas.library.records import model_of


def _model(**document):
    return model_of("llm/x/X", json.dumps(document))


def test_a_field_of_any_form_makes_a_record():
    odd_values: tuple[object, ...] = (None, 5, True, "x", [], {}, [None], {"a": {}}, 1.5)
    for odd in odd_values:
        names = ("official_name", "family", "description", "subtype", "tags", "size_bytes", "files", "model_card")
        model = _model(**dict.fromkeys(names, odd))
        assert model.model_id == "llm/x/X"
        assert isinstance(model.family, str)
        assert all(isinstance(tag, str) for tag in model.tags)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", "[" * 100_000])
def test_what_is_no_object_is_no_model(text):
    assert model_of("x", text) is None


@pytest.mark.parametrize(
    ("files", "primary"),
    [
        ([{"name": "a.gguf", "size": 1}, {"name": "b.gguf", "size": 2}, {"name": "c.txt", "size": 9}], "b.gguf"),
        ([{"name": "unet/model.SAFETENSORS"}], "unet/model.SAFETENSORS"),
        ([{"name": "../../etc/x.gguf", "size": 5}, {"name": "/x.gguf", "size": 5}, {"name": "a\0.gguf"}], None),
        ([{"name": 5}, "x", {}], None),
        ("x", None),
    ],
)
def test_the_primary_file_lies_inside(files, primary):
    assert _model(files=files).primary_file == primary
