"""The method table against methods.json: every name, every parameter."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import NODEFAULT
from support.cases import load

from pumas.rpc.discover import document
from pumas.rpc.later import LATER
from pumas.rpc.methods import METHODS

_CONTRACT = {row["method"]: row for row in load("methods.json")}
_OURS = {"list_jobs", "get_job", "cancel_job", "classify_model_import_paths"} | {
    "refetch_model_metadata_from_hf",
    "get_hf_download_details",
    "edit_model",
    "reidentify_models",
    "list_models_needing_review",
    "plan_removal",
    "delete_model",
    "list_trash",
    "restore_from_trash",
    "empty_trash",
}


def test_every_method_of_the_contract_stands_in_one_table():
    later = [name for names in LATER.values() for name in names]
    assert sorted([*METHODS, *later]) == sorted([*_CONTRACT, *_OURS])
    for part, names in LATER.items():
        assert {_CONTRACT[name]["part"] for name in names} == {part}


@pytest.mark.parametrize("name", sorted(set(METHODS) - _OURS))
def test_parameters(name):
    expected = [(row["name"], row["required"], row["default"]) for row in _CONTRACT[name]["params"]]
    ours = [
        (field.name, field.default is NODEFAULT, None if field.default is NODEFAULT else field.default)
        for field in msgspec.structs.fields(METHODS[name].params)
    ]
    assert ours == expected


def test_discover_lists_all_and_says_what_is_available(serve, fixture_root):
    answer = serve(fixture_root).call("rpc.discover")
    by_name = {method["name"]: method for method in answer["methods"]}
    assert set(_CONTRACT) | _OURS | {"rpc.discover"} == set(by_name)
    assert by_name["search_models_fts"]["params"][0]["name"] == "query"
    assert by_name["search_models_fts"]["x-available"] is True
    assert by_name["get_link_health"]["x-available"] is False
    for method in by_name.values():
        reference = method.get("result", {}).get("schema", {}).get("$ref")
        assert reference is None or reference.rsplit("/", 1)[1] in answer["components"]["schemas"]
    assert answer["openrpc"] == document().openrpc
