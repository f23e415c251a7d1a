"""What the hub may send, and what is made of it: anything at all, and nothing is believed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumas.net.hub_answers import files_of, hub_model, is_repo_id, repo_of, whole_number

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA256 = "ab" * 32
ENTRY = {
    "id": "owner/name",
    "author": "owner",
    "sha": COMMIT,
    "lastModified": "2024-05-01T10:00:00.000Z",
    "downloads": 7,
    "pipeline_tag": "text-generation",
    "tags": ["gguf", "license:mit"],
    "gated": "manual",
    "private": True,
    "siblings": [{"rfilename": "a-Q4_0.gguf"}],
    "cardData": {"license": "mit"},
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_a_repo_as_the_hub_sends_it():
    repo = repo_of(ENTRY)
    assert repo is not None
    assert (repo.repo_id, repo.name, repo.author, repo.commit) == ("owner/name", "name", "owner", COMMIT)
    assert (repo.changed_at, repo.downloads, repo.pipeline_tag) == ("2024-05-01T10:00:00+00:00", 7, "text-generation")
    assert (repo.tags, repo.paths, repo.gated, repo.is_private) == (
        ("gguf", "license:mit"),
        ("a-Q4_0.gguf",),
        "manual",
        True,
    )
    assert repo.card == {"license": "mit"}


def test_an_old_repo_has_no_owner():
    repo = repo_of({"modelId": "gpt2"})
    assert repo is not None
    assert (repo.repo_id, repo.name, repo.author, repo.commit, repo.downloads) == ("gpt2", "gpt2", "", None, None)


@pytest.mark.parametrize(
    "wrong",
    [None, 5, "owner/name", [], {}, {"id": 5}, {"id": ""}, {"id": "a/b/c"}, {"id": "../x"}, {"id": "a/.."}]
    + [
        {"id": name}
        for name in ("a/b?x=1", "a/b#c", "a /b", "a/b\n", "/b", "a/", "a/b--c", "ü/b", "a/b.git", "a" * 200)
    ],
)
def test_what_has_no_usable_id_is_left_out(wrong):
    assert repo_of(wrong) is None


@given(st.sampled_from(sorted(ENTRY)), ANYTHING)
def test_a_wrong_field_spoils_no_other(name, value):
    repo = repo_of({**ENTRY, "modelId": "owner/name", name: value})
    if repo is None:
        assert name == "id"
        return
    given_repo = repo_of({**ENTRY, "modelId": "owner/name"})
    assert given_repo is not None
    changed = {field for field in repo.__struct_fields__ if getattr(repo, field) != getattr(given_repo, field)}
    assert len(changed) <= (2 if name == "id" else 1)
    json.dumps(hub_model(repo, None).repo_id).encode()


@given(st.lists(ANYTHING | st.fixed_dictionaries({}, optional={"path": ANYTHING, "size": ANYTHING, "lfs": ANYTHING})))
def test_files_of_anything(entries):
    for file in files_of(entries):
        assert file.path
        file.path.encode()
        assert file.size_bytes is None or 0 <= file.size_bytes < 2**63


def test_files_as_the_hub_sends_them():
    tree = [
        {"type": "directory", "path": "sub", "oid": COMMIT, "size": 0},
        {
            "type": "file",
            "path": "sub/a.gguf",
            "size": 5000,
            "oid": COMMIT,
            "lfs": {"oid": SHA256, "size": 5000, "pointerSize": 134},
            "xetHash": "cd" * 32,
        },
        {"type": "file", "path": "empty", "size": 0, "oid": COMMIT},
        {"type": "file", "path": "odd", "size": -5, "oid": "x", "lfs": {"oid": SHA256.upper()}, "xetHash": 5},
    ]
    large, empty, odd = files_of(tree)
    assert (large.path, large.size_bytes, large.sha256, large.git_oid, large.xet_hash) == (
        "sub/a.gguf",
        5000,
        SHA256,
        COMMIT,
        "cd" * 32,
    )
    assert (empty.size_bytes, empty.sha256) == (0, None)
    assert (odd.size_bytes, odd.sha256, odd.git_oid, odd.xet_hash) == (None, None, None, None)
    (sibling,) = files_of([{"rfilename": "a", "blobId": COMMIT, "lfs": {"sha256": SHA256, "size": 7}}])
    assert (sibling.size_bytes, sibling.sha256, sibling.git_oid) == (7, SHA256, COMMIT)


@pytest.mark.parametrize("value", ["9" * 5000, float("inf"), float("nan"), 1e400, "٣"])
def test_numbers_that_are_none(value):
    assert whole_number(value) == 0


def test_a_hit_without_sizes_still_names_its_quantizations():
    repo = repo_of({**ENTRY, "pipeline_tag": None})
    assert repo is not None
    model = hub_model(repo, None)
    assert [(option.quantization, option.size_bytes) for option in model.options] == [("q4_0", None)]
    assert (model.total_size_bytes, model.formats, model.kind) == (None, ("gguf",), "unknown")


def test_ids_that_are_some():
    assert all(map(is_repo_id, ("gpt2", "a/b", "TheBloke/Llama-2-7B.Q4-GGUF", "_x/y_z", "01-ai/Yi-6B")))


def test_tags_are_bounded_as_those_of_a_user():
    repo = repo_of({"id": "a/b", "tags": ["x" * 501, *map(str, range(5000))]})
    assert repo is not None
    assert repo.tags == tuple(map(str, range(999)))
