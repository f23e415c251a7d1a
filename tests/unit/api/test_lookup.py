"""Look-ups of files and models through `PumasApi`, against a hub."""

from __future__ import annotations

import hashlib
import json

import pytest
from fakes.hub import FakeHub, Repo
from fakes.server import html, json_body, status
from support.roots import write_model

from pumas import PumasApi
from pumas.config import Config
from pumas.errors import InvalidInput, ModelNotFound, NetworkError, NotFound
from pumas.library.edit import edit_model
from pumas.organised import ModelEdit
from pumas.store.paths import Layout

CONTENT = bytes(range(256)) * 4
SHA = hashlib.sha256(CONTENT).hexdigest()
ID = "llm/unknown/Tiny"


@pytest.fixture
def hub():
    repos = (
        Repo("a/tiny-chat", {"model.safetensors": bytes(2000)}, ("safetensors",), 1000, "text-generation"),
        Repo(
            "b/tiny-chat-GGUF",
            {"tiny-chat-Q4_K_M.gguf": CONTENT, "README.md": b"# hello"},
            ("gguf", "base_model:a/tiny-chat"),
            5,
            "text-generation",
            {"base_model": "a/tiny-chat", "license": "mit"},
        ),
    )
    with FakeHub(repos) as hub:
        yield hub


@pytest.fixture
def api(library, hub):
    with PumasApi(library.parents[1], config=Config(hub_base=hub.url, retry_base_s=0)) as api:
        yield api


@pytest.fixture
def model(library):
    """A model of the library, imported with nothing known of it but its file."""

    def make(content=CONTENT, **fields):
        entry = {"name": "tiny.gguf", "original_name": "tiny-chat.Q4_K_M.gguf", "size": len(content)}
        folder = write_model(library, ID, **{"official_name": "", "files": [entry], **fields})
        (folder / "Tiny.gguf").unlink()
        (folder / "tiny.gguf").write_bytes(content)
        return folder

    return make


def document(library):
    return json.loads((library / ID / "metadata.json").read_text("utf-8"))


def look_up(api, *arguments, **given):
    return api.lookup_hf_metadata_for_file(*arguments, **given).result(30)


def refetch(api, *arguments, **given):
    return api.refetch_model_metadata_from_hf(ID, *arguments, **given).result(30)


def test_a_file_is_found_by_its_content_whatever_it_is_called(api, tmp_path):
    path = tmp_path / "tiny-chat-renamed.gguf"
    path.write_bytes(CONTENT)
    match = look_up(api, "tiny-chat.gguf", path).match
    assert (match.repo_id, match.method, match.confidence) == ("b/tiny-chat-GGUF", "hash", 1.0)
    assert (match.matched_file, match.expected_sha256) == ("tiny-chat-Q4_K_M.gguf", SHA)
    assert match.fast_hash == hashlib.sha256(CONTENT + b"1024").hexdigest()
    assert match.base_model == "a/tiny-chat"


def test_a_name_alone_is_found_by_its_likeness(api):
    match = look_up(api, "tiny-chat-Q4_K_M.gguf").match
    assert (match.repo_id, match.method, match.fast_hash) == ("a/tiny-chat", "filename_exact", "")


def test_a_file_of_a_size_that_the_hub_has_not_is_not_read(api, tmp_path):
    path = tmp_path / "tiny-chat.gguf"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # 1 TiB, nearly all of it a hole
    assert look_up(api, "tiny-chat.gguf", path).match.method == "filename_exact"


def test_what_the_hub_does_not_know_is_not_asked_again_for_a_day(api, hub):
    first = look_up(api, "unknown-thing.gguf")
    assert (first.match, first.asked_at) == (None, "")
    asked = len(hub.calls)
    again = look_up(api, "unknown-thing.gguf")
    assert again.match is None
    assert again.asked_at[:2] == "20"
    assert len(hub.calls) == asked
    assert look_up(api, "unknown-thing.gguf", asks_again=True).asked_at == ""


def test_a_hub_that_is_away_is_an_error_and_nothing_is_remembered(api, hub):
    hub.fail(status(500), times=None)
    with pytest.raises(NetworkError):
        look_up(api, "tiny-chat.gguf")
    hub.heal()
    assert look_up(api, "tiny-chat.gguf").match is not None


def test_a_page_for_people_is_no_answer(api, hub):
    hub.fail(html(), times=None)
    with pytest.raises(NetworkError, match="JSON"):
        look_up(api, "tiny-chat.gguf")


@pytest.mark.parametrize(
    "wrong", [None, {}, "x", [1, None], [{"id": 5}], [[]], {"id": "a/b", "sha": 7, "cardData": []}]
)
@pytest.mark.parametrize("where", ["search=", "/tree/", "/revision/"])
def test_answers_of_every_wrong_shape_are_the_hub_s_fault(api, hub, model, wrong, where):
    model()
    hub.fail(json_body(wrong), path=where, times=None)
    try:
        found = refetch(api)
    except NetworkError as exc:
        assert str(exc)
    else:
        assert found.match is None or found.match.repo_id in hub.repos


def test_one_repo_that_can_t_be_listed_hinders_no_other(api, hub, tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(CONTENT)
    hub.fail(status(500), path="a/tiny-chat/tree", times=None)
    assert look_up(api, "tiny-chat.gguf", path).match.method == "hash"


def test_a_file_that_is_not_there_and_a_name_without_end(api, tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(NotFound, match="File not found"):
            look_up(api, "a.gguf", path)
    with pytest.raises(InvalidInput):
        look_up(api, "a" * 2000)


def test_a_model_is_filled_with_what_the_hub_says(api, library, model):
    model()
    found = refetch(api)
    assert (found.match.repo_id, found.match.method, found.is_written) == ("b/tiny-chat-GGUF", "hash", True)
    after = document(library)
    assert after["official_name"] == "tiny-chat-GGUF"
    assert after["download_url"] == "https://huggingface.co/b/tiny-chat-GGUF"
    assert after["tags"] == ["gguf", "base_model:a/tiny-chat"]
    assert after["base_model"] == "a/tiny-chat"
    assert after["model_card"] == {"base_model": "a/tiny-chat", "license": "mit"}
    assert after["release_date"] == "2024-05-01T10:00:00+00:00"
    assert (after["match_source"], after["match_method"]) == ("auto", "hash")
    assert api.get_model(ID).model.official_name == "tiny-chat-GGUF", "the index follows"


def test_the_digest_that_the_document_has_is_enough(api, model, library):
    model(hashes={"sha256": SHA})
    (library / ID / "tiny.gguf").write_bytes(bytes(len(CONTENT)))  # of the same size, and read by nobody
    assert refetch(api).match.method == "hash"


def test_a_look_that_writes_nothing_tells_what_would_change(api, library, model):
    model()
    before = document(library)
    found = refetch(api, writes=False)
    assert not found.is_written
    assert found.changes["official_name"] == ("", "tiny-chat-GGUF")
    assert document(library) == before


def test_the_repo_that_a_document_names_is_asked_and_no_other(api, hub, model):
    model(download_url="https://huggingface.co/a/tiny-chat")
    found = refetch(api)
    assert (found.match.repo_id, found.match.is_named, found.match.method) == ("a/tiny-chat", True, "")
    assert not hub.requests("search=")
    hub.repos.clear()
    with pytest.raises(NotFound):
        refetch(api)


def test_a_repo_that_the_user_names_counts_for_more_than_any_guess(api, library, model):
    model(
        match_source="auto",
        match_method="filename_exact",
        match_confidence=0.95,
        hub_fields=["download_url"],
        download_url="https://huggingface.co/x/y",
    )
    found = refetch(api, "a/tiny-chat")
    assert found.is_written
    assert document(library)["download_url"] == "https://huggingface.co/a/tiny-chat"


def test_what_the_user_set_stays(api, library, model):
    model()
    edit_model(Layout(library.parents[1]), ID, ModelEdit(official_name="Mine", tags=("mine",)))
    found = refetch(api)
    assert set(found.kept) == {"official_name", "tags"}
    after = document(library)
    assert (after["official_name"], after["tags"]) == ("Mine", ["mine"])


def test_a_model_that_the_hub_does_not_know_keeps_its_document(api, library, model, hub):
    model(content=b"nobody has this", files=[{"name": "tiny.gguf", "original_name": "zzz.gguf", "size": 15}])
    before = (library / ID / "metadata.json").read_bytes()
    assert refetch(api).match is None
    asked = len(hub.calls)
    assert refetch(api).asked_at != ""
    assert len(hub.calls) == asked
    assert (library / ID / "metadata.json").read_bytes() == before


def test_an_unknown_model_and_an_odd_repo(api, model):
    with pytest.raises(ModelNotFound):
        api.refetch_model_metadata_from_hf("llm/none/None").result(30)
    model()
    with pytest.raises(InvalidInput):
        refetch(api, "../../etc")
