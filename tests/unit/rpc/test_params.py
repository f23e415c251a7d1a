from __future__ import annotations

import pytest

from pumas.errors import InvalidInput
from pumas.rpc.params import NewOverridesParams, NoParams, SearchParams, read_params


def test_names_positions_and_defaults():
    by_name = read_params(SearchParams, {"query": "a", "limit": 5})
    assert by_name == read_params(SearchParams, ["a", 5]) == SearchParams(query="a", limit=5)
    assert read_params(NoParams, []) == read_params(NoParams, {}) == NoParams()


def test_null_means_not_given_for_an_optional_parameter():
    given = {"query": "a", "limit": None, "offset": None, "model_type": None, "tags": None}
    assert read_params(SearchParams, given) == SearchParams(query="a")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "missing parameter `query` (text)"),
        ({"query": None}, "`query` must be text, but null came"),
        ({"query": 5}, "`query` must be text, but a number came"),
        ({"query": "a", "limit": "5"}, "`limit` must be a whole number or null, but a text came"),
        ({"query": "a", "limit": 1.5}, "`limit` must be a whole number or null, but a number with a fraction came"),
        ({"query": "a", "limit": True}, "`limit` must be a whole number or null, but true or false came"),
        ({"query": "a", "tags": "x"}, "`tags` must be a list of text or null, but a text came"),
        ({"query": "a", "tags": [1]}, "`tags` must be a list of text or null, but a list with something else in it"),
        ({"query": "a", "model_type": {}}, "`model_type` must be text, a list of text or null, but an object came"),
        ({"query": "a", "nope": 1}, "unexpected parameter `nope`"),
        (["a", 1, 2, None, None, 9], "at most 5 parameters are expected, but 6 came"),
        ("text", "Expected object"),
        (None, "Expected object"),
    ],
)
def test_a_refusal_names_what_is_wrong(given, message):
    with pytest.raises(InvalidInput) as caught:
        read_params(SearchParams, given)
    assert message in str(caught.value)


def test_a_long_unknown_name_is_not_echoed_whole():
    with pytest.raises(InvalidInput) as caught:
        read_params(NoParams, {"x" * 10_000: 1})
    assert len(str(caught.value)) < 200


def test_an_object_is_an_object():
    assert read_params(NewOverridesParams, ["a", {"x": 1}]).overrides == {"x": 1}
    with pytest.raises(InvalidInput, match="`overrides` must be an object, but a list came"):
        read_params(NewOverridesParams, ["a", []])
