from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from fakes import server as fakes
from fakes.github import FakeGitHub, release

from pumas.apps.release_lists import ReleaseLists
from pumas.config import Config
from pumas.errors import NotFound, Offline, RateLimited
from pumas.jobs import JobPool
from pumas.net.http import HttpClient
from pumas.store.paths import open_layout

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)
COMFYUI, OLLAMA = "comfyanonymous/ComfyUI", "ollama/ollama"


@pytest.fixture
def github():
    with FakeGitHub() as fake:
        fake.releases = {COMFYUI: [release("v0.2.0"), release("v0.1.0")], OLLAMA: [release("v0.5.4")]}
        yield fake


class Place:
    """One root and what asks for it; `restarted` is the same root in a new process."""

    def __init__(self, root, github, **settings):
        self.root, self.github, self.settings = root, github, settings
        self.now = NOW
        self.layout, _ = open_layout(root)
        self.config = Config(github_api_base=github.url, retry_base_s=0, **settings)
        self.http, self.jobs = HttpClient(self.config), JobPool(2)
        self.lists = ReleaseLists(self.layout, self.config, self.http, self.jobs, clock=lambda: self.now)

    @property
    def cache(self):
        return self.layout.data / "cache/github-releases.json"

    def write(self, text):
        self.cache.write_text(text)
        # As if time had passed: the next file may have the size of this one.
        os.utime(self.cache, ns=(1, self.cache.stat().st_ino))

    def fetch(self, app_id="comfyui"):
        return self.lists.fetch(app_id).result(20)

    def settle(self):
        for job in self.jobs.jobs():
            list(job.progress())

    def restarted(self):
        self.close()
        return Place(self.root, self.github, **self.settings)

    def close(self):
        self.http.close()
        self.jobs.close(5)


@pytest.fixture
def place(tmp_path, github):
    made = Place(tmp_path, github)
    yield made
    made.close()


def tags(answer):
    return [one["tag_name"] for one in answer.releases]


def test_a_list_is_answered_at_once_and_fetched_meanwhile(place, github):
    github.fail(fakes.latency(0.2))
    first = place.lists.listed("comfyui")
    assert (tags(first), first.is_stale, first.age_s) == ([], True, None)
    assert place.lists.status("comfyui").is_fetching
    place.settle()
    second = place.lists.listed("comfyui")
    assert (tags(second), second.is_stale, second.age_s) == (["v0.2.0", "v0.1.0"], False, 0.0)
    assert place.lists.has_fetched
    assert len(github.calls) == 1


def test_the_cache_file_has_the_form_of_the_original(place):
    place.fetch()
    assert place.cache.read_text() == json.dumps(
        {"lastFetched": "2025-01-01T12:00:00Z", "ttl": 3600, "releases": place.github.releases[COMFYUI]},
        indent=2,
        ensure_ascii=False,
    )


def test_a_list_stays_old_until_a_newer_one_came(place, github):
    place.fetch()
    place.now += timedelta(seconds=3600)
    github.fail(fakes.status(500), times=None)
    for _ in range(2):
        old = place.lists.listed("comfyui")
        assert (tags(old), old.is_stale, old.age_s) == (["v0.2.0", "v0.1.0"], True, 3600.0)
        assert not place.lists.status("comfyui").is_valid
        place.settle()
    assert len(github.calls) == 4  # after a failure it is left alone for a while


def test_what_did_not_change_is_not_sent_again_even_after_a_restart(place, github):
    place.fetch()
    left = github.remaining
    place.now += timedelta(hours=2)
    place.fetch()
    again = place.restarted()
    again.now += timedelta(hours=4)
    answer = again.fetch()
    again.close()
    assert (tags(answer), answer.is_stale) == (["v0.2.0", "v0.1.0"], False)
    assert github.remaining == left
    assert "if-none-match" in github.calls[-1].headers


def test_marks_of_another_list_are_not_used(place, github):
    place.fetch()
    # The original backend fetched since.
    place.write(json.dumps({"lastFetched": "2025-01-01T12:30:00Z", "ttl": 3600, "releases": [release("v9")] * 2}))
    assert tags(place.fetch()) == ["v0.2.0", "v0.1.0"]
    assert "if-none-match" not in github.calls[-1].headers


@pytest.mark.parametrize(
    "fault",
    [
        fakes.json_body([]),
        fakes.json_body({"message": "x"}),
        fakes.json_body(None),
        fakes.json_body([1, "x", None]),
        fakes.html(),
        fakes.body(b""),
        fakes.body(b"[" * 10_000),
        fakes.cut(10),
        fakes.reset(),
        fakes.status(404),
        fakes.status(500),
    ],
)
def test_nothing_that_is_wrong_replaces_a_good_list(place, github, fault):
    place.fetch()
    before = place.cache.read_bytes()
    github.releases[COMFYUI].insert(0, release("v0.3.0"))
    github.fail(fault, times=3)
    answer = place.fetch()
    assert (tags(answer), answer.is_stale, bool(answer.error)) == (["v0.2.0", "v0.1.0"], True, True)
    assert place.cache.read_bytes() == before


def test_a_limit_is_told_and_waited_for(place, github):
    place.fetch()
    github.remaining = 0
    github.releases[COMFYUI].insert(0, release("v0.3.0"))
    answer = place.fetch()
    assert (answer.is_rate_limited, answer.retry_after_s) == (True, 600.0)
    assert "try again in 600 seconds" in answer.error
    assert tags(answer) == ["v0.2.0", "v0.1.0"]
    with pytest.raises(RateLimited):
        place.fetch("ollama")


def test_every_app_is_fetched_at_the_start(place):
    place.lists.refresh_due()
    place.settle()
    assert tags(place.lists.listed("comfyui")) == ["v0.2.0", "v0.1.0"]
    assert tags(place.lists.listed("ollama")) == ["v0.5.4"]
    before = len(place.github.calls)
    place.lists.forget_fetched()
    place.lists.refresh_due()
    place.settle()
    assert (len(place.github.calls), place.lists.has_fetched) == (before, False)


def test_fetches_that_come_together_are_one(place, github):
    github.fail(fakes.latency(0.2))
    first, second = place.lists.fetch("comfyui"), place.lists.fetch("comfyui")
    assert first is second
    assert tags(first.result(20)) == ["v0.2.0", "v0.1.0"]


def test_offline_lists_what_is_cached(place, github):
    place.fetch()
    offline = Place(place.root, github, offline=True)
    offline.now += timedelta(days=1)
    assert tags(offline.lists.listed("comfyui")) == ["v0.2.0", "v0.1.0"]
    assert not offline.jobs.jobs()
    assert "offline" in offline.fetch().error
    with pytest.raises(Offline):
        offline.fetch("ollama")
    offline.close()


def test_a_clock_that_is_set_back_does_not_keep_a_list_for_ever(place, github):
    place.fetch()
    place.now -= timedelta(days=365)
    assert place.lists.listed("comfyui").age_s == -365 * 86400.0
    place.settle()
    assert place.lists.listed("comfyui").age_s == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "\0" * 1000,
        '{"releases": {}}',
        '{"releases": [1, null, "x"], "lastFetched": 5, "ttl": "x"}',
        '{"releases": [{}], "lastFetched": "9999-12-31T23:59:59.999999Z", "ttl": 1e400}',
        '{"releases": [{"tag_name": []}], "lastFetched": "2025-01-01T11:59:00Z", "ttl": -1}',
        '{"releases": [{}], "lastFetched": "0001-01-01T00:00:00Z", "ttl": ' + "9" * 400 + "}",
        '{"a": ' * 5000 + "1" + "}" * 5000,
    ],
)
def test_a_damaged_cache_is_none_and_is_made_anew(place, text):
    place.write(text)
    place.lists.status("comfyui")
    place.lists.listed("comfyui")
    place.settle()
    assert tags(place.fetch()) == ["v0.2.0", "v0.1.0"]
    assert place.lists.status("comfyui").is_valid


@pytest.mark.parametrize("text", ["{", '{"comfyanonymous/ComfyUI": 5}', '{"comfyanonymous/ComfyUI": {"pages": [{}]}}'])
def test_damaged_marks_cost_a_request(place, text):
    place.fetch()
    (place.layout.data / "cache/release-pages.json").write_text(text)
    assert tags(place.fetch()) == ["v0.2.0", "v0.1.0"]
    assert len(place.github.calls) == 2


def test_a_cache_that_cannot_be_written_is_kept_for_the_run(place):
    place.cache.mkdir()
    (place.cache / "in the way").touch()
    assert tags(place.fetch()) == ["v0.2.0", "v0.1.0"]
    assert tags(place.lists.listed("comfyui")) == ["v0.2.0", "v0.1.0"]


def test_of_a_list_that_is_too_large_the_newest_are_kept(place, github):
    github.releases[COMFYUI] = [release(f"v{n}", body="x" * 300_000) for n in range(40, 0, -1)]
    answer = place.fetch()
    assert 20 < len(answer.releases) < 40
    assert tags(answer)[0] == "v40"
    assert tags(place.restarted().lists.listed("comfyui")) == tags(answer)


@pytest.mark.parametrize("app_id", ["", "invoke", "..", "x" * 1000])
def test_an_app_that_does_not_exist_has_no_list(place, app_id):
    with pytest.raises(NotFound):
        place.lists.listed(app_id)
    with pytest.raises(NotFound):
        place.lists.fetch(app_id)
    assert not place.lists.status(app_id).has_cache


def test_a_setting_that_cannot_be_used_is_not_tried_with_every_list(place):
    place.fetch()
    place.now += timedelta(hours=2)
    place.settings = {"http_proxy": "socks5://127.0.0.1:1"}
    later = place.restarted()
    try:
        later.now += timedelta(hours=2)
        for _ in range(3):
            assert later.lists.listed("comfyui").is_stale
            later.settle()
        assert len(later.jobs.jobs()) == 1
        assert "proxy for http" in later.fetch().error
    finally:
        later.close()
