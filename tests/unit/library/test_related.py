"""Which repos of the hub are related to a model."""

from __future__ import annotations

import pytest

from pumas.library.related import relatives

MODEL = {"family": "Llama", "base_model": "Owner/Llama-Base", "download_url": "https://huggingface.co/Owner/Llama-GGUF"}


@pytest.mark.parametrize(
    ("repo_id", "is_one"),
    [
        ("Owner/Llama-2", True),
        ("owner/my-LLAMA", True),
        ("Owner/Llama-Base", True),
        ("Owner/l.l.a.m.a", True),
        ("Owner/Llama-GGUF", False),
        ("owner/llama-gguf", False),
        ("Owner/Mistral", False),
        ("Other/Llama-2", False),
        ("Ownerx/Llama-2", False),
        ("llama", False),
    ],
)
def test_they_are_of_the_same_owner_and_family(repo_id, is_one):
    found = relatives(MODEL)
    assert found is not None
    assert found.owner == "Owner"
    assert found.include(repo_id) == is_one


@pytest.mark.parametrize(
    "document",
    [{}, {"family": "llama"}, {"base_model": "a/b"}, {**MODEL, "family": "unknown"}, {**MODEL, "family": None}],
)
def test_without_family_or_base_there_are_none(document):
    assert relatives(document) is None


def test_the_repo_that_a_model_was_imported_for_is_its_own():
    found = relatives({"family": "llama", "base_model": "a/llama", "repo_id": "a/Llama-own"})
    assert found is not None
    assert [found.include(name) for name in ("a/Llama-own", "a/llama-2")] == [False, True]
