"""The native reader against Python's `json`: same verdicts, same text."""

from __future__ import annotations

import json

import pumas_native
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
_documents = st.dictionaries(st.text(max_size=8), _values, min_size=1, max_size=6)
_fast = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    path = tmp_path_factory.mktemp("documents") / "metadata.json"

    def read(data: bytes) -> pumas_native.MetadataColumns:
        path.write_bytes(data)
        return pumas_native.read_metadata_files([path], max_bytes=1_000_000, max_depth=100)

    return read


@_fast
@given(_documents, st.booleans(), st.sampled_from([None, 1, 4]))
def test_the_text_is_what_python_writes(read, document, escaped, indent):
    columns = read(json.dumps(document, ensure_ascii=escaped, indent=indent).encode("utf-8", "surrogatepass"))
    if columns.positions:
        assert columns.metadata_json == [json.dumps(document, indent=2)]
        assert columns.tags_json == [json.dumps(document.get("tags", []))]
    else:
        assert columns.problems


@_fast
@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn \\u"abA\n', max_size=40))
def test_the_same_texts_are_json(read, text):
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        value = json.loads(text, parse_constant=refuse)
        json.dumps(value, allow_nan=False).encode()
        is_json = "\\ud" not in text.lower()
    except ValueError:
        is_json = False
    columns = read(text.encode())
    if is_json:
        assert [reason for _, reason in columns.problems if "JSON" in reason] == []
    else:
        assert columns.problems


@_fast
@given(st.binary(max_size=60))
def test_no_bytes_do_harm(read, data):
    columns = read(data)
    assert len(columns.positions) == len(columns.metadata_json) <= 1
