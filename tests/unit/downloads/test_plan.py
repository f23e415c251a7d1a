"""What a download takes of a repo or an address."""

import pytest

from pumas.downloading import DownloadFile, DownloadRequest
from pumas.downloads.plan import plan_address, plan_repo
from pumas.errors import InvalidInput, NotFound
from pumas.repos import RepoFile, RepoFiles


def listing(*paths):
    files = tuple(RepoFile(path=path, size_bytes=3, sha256="a" * 64) for path in paths)
    return RepoFiles(repo_id="o/n", commit="c" * 40, files=files)


def plan(*paths, **wanted):
    request = DownloadRequest(repo_id="o/n", **wanted)
    return plan_repo(listing(*paths), request, address=lambda repo, commit, path: f"https://h/{repo}/{commit}/{path}")


def test_files_have_their_address_at_the_commit_size_and_digest():
    assert plan("a/m.gguf", "README.md") == (
        DownloadFile(path="a/m.gguf", url=f"https://h/o/n/{'c' * 40}/a/m.gguf", size_bytes=3, sha256="a" * 64),
    )


@pytest.mark.parametrize("paths", [(), ("README.md",), ("config.json", "m-q8_0.gguf")])
def test_nothing_that_fits_is_told_as_the_app_knows_it(paths):
    with pytest.raises(NotFound, match=r"^No files available to download\.$"):
        plan(*paths, quantization="q4_k_m")


def test_a_hostile_name_refuses_the_repo_unless_it_is_left_out():
    with pytest.raises(InvalidInput, match="leads out"):
        plan("m.gguf", "../../x.gguf")
    assert [file.path for file in plan("m.gguf", "../../x.gguf", exclude=("..*",))] == ["m.gguf"]


def test_hostile_names_of_files_that_are_not_taken_hinder_nobody():
    assert len(plan("m-q4_0.gguf", "../x.gguf", quantization="q4_0")) == 1


def test_an_address_gives_its_last_part_as_the_name():
    assert plan_address("https://h/a/b%20c.gguf?x=/y") == DownloadFile(
        path="b c.gguf", url="https://h/a/b%20c.gguf?x=/y"
    )
    assert plan_address("http://h/", name="m.gguf", sha256=" " + "AB" * 32).sha256 == "ab" * 32


@pytest.mark.parametrize(
    ("url", "options"),
    [
        *((url, {}) for url in ("", "h/a", "file:///etc/passwd", "ftp://h/a", "http://", "https://[::1/a", "data:,x")),
        *((url, {}) for url in ("https://h/", "https://h", "https://h/a/..", "https://h/%2e%2e", "https://h/a%2Fb")),
        *((url, {}) for url in ("https://h/%00", "https://h/metadata.json", "https://u:p@h/a.gguf", "https://u@h/a")),
        ("https://h/a", {"sha256": "x" * 64}),
        ("https://h/a", {"sha256": "a" * 40}),
        ("https://h/a", {"name": "../a"}),
        ("https://h/a", {"name": "a/b"}),
    ],
)
def test_what_is_no_usable_address_is_refused(url, options):
    with pytest.raises(InvalidInput):
        plan_address(url, **options)
