"""What a look-up writes into a model's document, and what it leaves alone."""

from __future__ import annotations

import json

import pytest
from support.roots import write_model

from pumas.errors import Damaged, ModelNotFound
from pumas.library.edit import edit_model
from pumas.library.match_document import known_repo, write_match
from pumas.matched import HubMatch
from pumas.organised import ModelEdit
from pumas.repos import Repo
from pumas.store.paths import Layout

ID = "llm/unknown/A"
EMPTY = {"family": "unknown", "base_model": "", "download_url": "", "release_date": "", "model_card": {}}


def match(repo_id="o/Llama-X", **given):
    fields = {
        "repo_id": repo_id,
        "official_name": repo_id.partition("/")[2],
        "family": "llama",
        "model_type": "llm",
        "variant": "standard",
        "precision": "unknown",
        "tags": ("gguf", "chat"),
        "base_model": "a/from-tags",
        "download_url": f"https://huggingface.co/{repo_id}",
        "method": "hash",
        "confidence": 1.0,
        "requires_confirmation": False,
    }
    return HubMatch(**{**fields, **given})


REPO = Repo(
    repo_id="o/Llama-X",
    author="o",
    changed_at="2024-05-01T10:00:00+00:00",
    card={"base_model": ["a/b"], "license": "mit"},
)


@pytest.fixture
def layout(library):
    return Layout(library.parents[1])


@pytest.fixture
def written(library, layout):
    """Make a model, look it up, and give what came of it with the document that it has then."""

    def run(found=None, repo=REPO, **document):
        write_model(library, ID, **{**EMPTY, **document})
        return write_match(layout, ID, found or match(), repo), read(library)

    return run


def read(library):
    return json.loads((library / ID / "metadata.json").read_text("utf-8"))


def test_what_is_empty_is_filled(written):
    result, document = written()
    assert result.is_written
    assert document["family"] == "llama"
    assert document["tags"] == ["gguf", "chat"]
    assert document["base_model"] == ["a/b"], "the card says more than the tags"
    assert document["release_date"] == "2024-05-01T10:00:00+00:00"
    assert document["download_url"] == "https://huggingface.co/o/Llama-X"
    assert document["model_card"] == {"base_model": ["a/b"], "license": "mit"}
    assert (document["match_source"], document["match_method"], document["match_confidence"]) == ("auto", "hash", 1.0)
    assert document["pending_online_lookup"] is False
    assert document["updated_date"].endswith("Z")
    assert result.changes["family"] == ("unknown", "llama")
    assert known_repo(document) == "o/Llama-X"


def test_what_stood_there_stays_and_is_told(written):
    mine = {"official_name": "My name", "family": "mine", "base_model": "my/base", "release_date": "2001"}
    result, document = written(**mine, tags=["chat", "old"])
    assert {name: document[name] for name in mine} == mine
    assert document["tags"] == ["chat", "old", "gguf"], "tags are added, none goes"
    assert result.kept == ("official_name", "family", "base_model", "release_date")


def test_what_a_user_set_stays_even_when_it_is_empty(library, layout):
    write_model(library, ID, **EMPTY)
    edit_model(layout, ID, ModelEdit(family="", tags=()))
    result = write_match(layout, ID, match(), REPO)
    document = read(library)
    assert (document["family"], document["tags"]) == ("", [])
    assert set(result.kept) == {"family", "tags", "official_name"}
    assert document["download_url"], "what the user did not set is filled"


def test_what_was_set_by_hand_is_not_looked_up_at_all(written):
    result, document = written(match_source="manual")
    assert not result.is_written
    assert "by hand" in result.told
    assert document["download_url"] == ""
    assert "updated_date" not in document


def test_an_unsure_answer_is_not_written(written):
    result, document = written(match(method="filename_fuzzy", confidence=0.5, requires_confirmation=True))
    assert not result.is_written
    assert "match_method" not in document


def test_fields_that_a_look_up_filled_follow_the_hub(written, library, layout):
    written()
    later = Repo(
        repo_id="o/Llama-X", author="o", changed_at="2025-01-01T00:00:00+00:00", card={"license": "apache-2.0"}
    )
    result = write_match(layout, ID, match(tags=("new",)), later)
    document = read(library)
    assert document["release_date"] == "2025-01-01T00:00:00+00:00"
    assert document["model_card"] == {"license": "apache-2.0"}
    assert document["tags"] == ["gguf", "chat", "new"]
    assert set(result.changes) == {"base_model", "release_date", "model_card", "tags"}


def test_the_same_answer_again_writes_nothing(written, library, layout):
    written()
    before = (library / ID / "metadata.json").read_bytes()
    result = write_match(layout, ID, match(), REPO)
    assert (result.is_written, result.changes) == (False, {})
    assert (library / ID / "metadata.json").read_bytes() == before


def test_a_good_earlier_answer_stays(written, library, layout):
    written()
    other = match("x/Other", method="filename_exact", confidence=0.95)
    result = write_match(layout, ID, other, Repo(repo_id="x/Other", author="x"))
    assert not result.is_written
    assert "o/Llama-X" in result.told
    assert read(library)["download_url"] == "https://huggingface.co/o/Llama-X"


def test_a_surer_answer_replaces_what_an_earlier_one_wrote(written, library, layout):
    written(match("x/Guess", method="filename_fuzzy", confidence=0.7), Repo(repo_id="x/Guess", author="x"))
    assert read(library)["download_url"].endswith("x/Guess")
    assert write_match(layout, ID, match(), REPO).is_written
    document = read(library)
    assert (document["download_url"], document["match_confidence"]) == ("https://huggingface.co/o/Llama-X", 1.0)


def test_a_weaker_answer_about_the_same_repo_does_not_make_it_less_sure(written, library, layout):
    written()
    weaker = match(method="filename_fuzzy", confidence=0.8)
    later = Repo(repo_id="o/Llama-X", author="o", changed_at="2025-01-01T00:00:00+00:00")
    assert write_match(layout, ID, weaker, later).is_written
    document = read(library)
    assert (document["match_method"], document["match_confidence"]) == ("hash", 1.0)
    assert document["release_date"] == "2025-01-01T00:00:00+00:00"


def test_a_model_is_sure_to_come_from_where_it_was_downloaded(written):
    result, document = written(download_url="https://huggingface.co/real/source")
    assert not result.is_written
    assert document["download_url"] == "https://huggingface.co/real/source"


@pytest.mark.parametrize("url", ["https://huggingface.co/a b/c", "https://elsewhere.org/a/b", "x/../y", 7, ""])
def test_an_address_that_names_no_repo_names_none(url):
    assert known_repo({"download_url": url}) is None


def test_an_endless_card_is_left_out(written):
    result, document = written(repo=Repo(repo_id="o/Llama-X", author="o", card={"text": "x" * 100_000}))
    assert document["model_card"] == {}
    assert result.is_written


@pytest.mark.parametrize(
    "odd", [{"hub_fields": "text"}, {"match_confidence": "high"}, {"tags": {"a": 1}}, {"download_url": 5}]
)
def test_odd_fields_of_a_document_are_no_obstacle(written, odd):
    result, document = written(**odd)
    assert result.is_written
    assert "gguf" in document["tags"]


def test_a_document_that_can_t_be_read_is_not_written_over(library, layout):
    write_model(library, ID)
    path = library / ID / "metadata.json"
    path.write_bytes(b"{")
    with pytest.raises(Damaged):
        write_match(layout, ID, match(), REPO)
    assert path.read_bytes() == b"{"
    with pytest.raises(ModelNotFound):
        write_match(layout, "llm/none/B", match(), REPO)


@pytest.mark.parametrize("wrong", [5, True, 1.5])
def test_a_base_of_a_wrong_type_is_not_written(written, wrong):
    _, document = written(repo=Repo(repo_id="o/Llama-X", author="o", card={"base_model": wrong}))
    assert document["base_model"] == "a/from-tags"
