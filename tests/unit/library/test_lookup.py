"""Which repo of the hub a file came from."""

from __future__ import annotations

import pytest
from support.hub_table import HubTable

from pumas.errors import InvalidInput
from pumas.library.lookup import Content, base_model_of, find_match
from pumas.repos import Repo, RepoFile

PAGES = "https://hub.test"
OURS, OTHER = "a" * 64, "b" * 64


def repo(repo_id, downloads=None, **more):
    return Repo(repo_id=repo_id, author=repo_id.partition("/")[0], downloads=downloads, **more)


def file(path, sha256=OURS, size=100):
    return RepoFile(path=path, size_bytes=size, sha256=sha256)


class Asked:
    """The digest of a file, and how often it was wanted."""

    def __init__(self, sha256=OURS):
        self.sha256 = sha256
        self.times = 0

    def __call__(self):
        self.times += 1
        return self.sha256


def find(filename, hub, digest=None, size=100):
    return find_match(filename, hub, None if digest is None else Content(size, digest), pages=PAGES).match


def test_a_file_of_equal_content_wins_over_any_name():
    hub = HubTable(
        repo("a/tiny", 1000),
        repo("b/tiny-other-GGUF", 5, tags=("gguf", "base_model:a/tiny")),
        files={"a/tiny": [file("tiny.gguf", OTHER)], "b/tiny-other-GGUF": [file("sub/renamed-fp16.gguf")]},
    )
    match = find("tiny.gguf", hub, Asked())
    assert (match.repo_id, match.method, match.confidence) == ("b/tiny-other-GGUF", "hash", 1.0)
    assert (match.matched_file, match.expected_sha256) == ("sub/renamed-fp16.gguf", OURS)
    assert (match.precision, match.base_model, match.download_url) == ("fp16", "a/tiny", f"{PAGES}/b/tiny-other-GGUF")
    assert not match.requires_confirmation
    assert not match.has_other_content


def test_of_two_copies_the_one_that_is_downloaded_more_is_taken():
    files = {"a/tiny": [file("x.gguf")], "b/tiny": [file("x.gguf")]}
    assert find("tiny.gguf", HubTable(repo("a/tiny", 1), repo("b/tiny", 2), files=files), Asked()).repo_id == "b/tiny"


def test_a_file_is_not_read_when_no_file_of_the_hub_has_its_size():
    digest = Asked()
    files = {"a/tiny": [file("tiny.gguf", size=99), RepoFile(path="small.json", size_bytes=100)]}
    match = find("tiny.gguf", HubTable(repo("a/tiny"), files=files), digest)
    assert (match.method, digest.times) == ("filename_exact", 0)


def test_a_repo_whose_files_can_t_be_listed_is_found_by_its_name():
    hub = HubTable(repo("a/tiny"), unlisted=("a/tiny",))
    assert find("tiny.gguf", hub, Asked()).method == "filename_exact"


def test_a_file_of_that_name_with_other_content_is_told():
    digest = Asked()
    files = {"a/tiny": [file("sub/Tiny.GGUF", OTHER)]}
    match = find("tiny.gguf", HubTable(repo("a/tiny"), files=files), digest)
    assert match.has_other_content
    assert (match.matched_file, match.expected_sha256) == ("sub/Tiny.GGUF", OTHER)
    unreadable = find("tiny.gguf", HubTable(repo("a/tiny"), files=files), Asked(None))
    assert not unreadable.has_other_content, "nothing is said of a file that could not be read"


@pytest.mark.parametrize(
    ("repo_id", "method", "confirmed"),
    [
        ("a/tiny", "filename_exact", True),
        ("a/tinier", "filename_fuzzy", True),
        ("a/tiny-and-much-more", "filename_fuzzy", False),
    ],
)
def test_the_likeness_of_names_decides_how_sure_it_is(repo_id, method, confirmed):
    match = find("tiny.gguf", HubTable(repo(repo_id), finds_all=True))
    assert (match.method, not match.requires_confirmation) == (method, confirmed)


def test_only_a_file_that_lies_here_is_looked_for_by_its_whole_name_too():
    hub = HubTable(repo("a/llama-3"))
    assert find("llama-3-8b-Q4_K_M.gguf", hub) is not None
    assert hub.asked == [("llama-3", None, 5)]
    hub.asked.clear()
    find("llama-3-8b-Q4_K_M.gguf", hub, Asked())
    assert hub.asked == [("llama-3", None, 5), ("llama-3-8b", "gguf", 10), ("a/llama-3",)]


def test_a_name_whose_search_finds_nothing_is_tried_without_its_quantization():
    hub = HubTable(repo("a/mistral-7b-v0.3-GGUF", tags=("gguf",)))
    match = find("mistral-7b-v0.3.Q5_K_M.gguf", hub)
    assert match.repo_id == "a/mistral-7b-v0.3-GGUF"
    assert [one[0] for one in hub.asked] == ["mistral-7b-v0.3.Q5_K_M", "mistral-7b-v0.3"]


def test_nothing_that_fits_is_nothing():
    assert find("abc.gguf", HubTable(), Asked()) is None
    assert find("-Q4_K_M.gguf", HubTable(repo("a/b"))) is None


@pytest.mark.parametrize("name", ["x" * 1001, "a\0b", "a\nb.gguf", "\ud800.gguf"])
def test_what_can_be_no_name_is_refused(name):
    hub = HubTable()
    with pytest.raises(InvalidInput, match="1000"):
        find(name, hub)
    assert not hub.asked


def test_the_base_model_is_the_one_that_a_tag_names_plainly():
    tags = ("gguf", "base_model:quantized:a/b", "base_model:a/b", "base_model:c/d", "base_model:nothing")
    assert base_model_of(tags) == "a/b"
    assert base_model_of(("base_model:adapter:a/b",)) == ""


@pytest.mark.parametrize("repos", [(repo("a/tiny"),), ()])
def test_an_answer_of_before_is_marked(repos):
    hub = HubTable(*repos)
    hub.is_stale = True
    assert find_match("tiny.gguf", hub, None, pages=PAGES).is_stale
