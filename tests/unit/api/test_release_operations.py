from __future__ import annotations

import pytest
from fakes.github import FakeGitHub, release

from pumas import PumasApi
from pumas.config import Config
from pumas.errors import RateLimited

REPO = "comfyanonymous/ComfyUI"


@pytest.fixture
def github():
    with FakeGitHub() as fake:
        fake.releases = {REPO: [release("v0.2.0")], "ollama/ollama": [release("v0.5.4")]}
        yield fake


@pytest.fixture
def api(tmp_path, github):
    with PumasApi(tmp_path, config=Config(github_api_base=github.url, retry_base_s=0)) as made:
        yield made


def test_releases_are_fetched_and_listed(api):
    assert not api.has_fetched_releases
    assert [one["tag_name"] for one in api.fetch_releases("ollama").result(20).releases] == ["v0.5.4"]
    assert [one["tag_name"] for one in api.list_releases("ollama").releases] == ["v0.5.4"]
    assert api.get_release_cache_status("ollama").is_valid
    assert api.has_fetched_releases
    api.forget_fetched_releases()
    assert not api.has_fetched_releases


def test_what_is_due_is_fetched_for_the_status(api):
    assert api.get_status().release.latest_version is None
    api.refresh_due_releases()
    list(api.fetch_releases().progress())
    assert api.get_status().release.latest_version == "v0.2.0"


def test_a_limit_without_a_cache_is_an_error_with_its_time(api, github):
    github.remaining = 0
    with pytest.raises(RateLimited) as caught:
        api.fetch_releases().result(20)
    assert caught.value.retry_after_s == 600


@pytest.mark.parametrize("text", ["", "{", "[]", "\0\0", '{"releases": 5, "ttl": "x"}', '{"releases": [[]]}'])
def test_a_root_with_damaged_release_caches_opens_and_answers(tmp_path, github, text):
    for name in ("github-releases.json", "github-releases-ollama-ollama.json", "release-pages.json"):
        path = tmp_path / "launcher-data/cache" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with PumasApi(tmp_path, config=Config(github_api_base=github.url, offline=True)) as api:
        assert api.get_status().release.latest_version is None
        assert api.list_releases().releases == ()
        assert not api.get_release_cache_status().has_cache
