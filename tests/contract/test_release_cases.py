"""Recorded cases of release lists: `pages`, `collapse`, `fetch_fallback`, `cache_status`, `cache_file`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from fakes import server as fakes
from fakes.github import release
from fakes.server import FakeServer, document
from support.cases import apps_cases, check

from pumas.apps.release_choice import collapse
from pumas.apps.release_lists import ReleaseLists
from pumas.apps.releases import cached_releases
from pumas.config import Config
from pumas.errors import NetworkError
from pumas.jobs import JobPool
from pumas.net.github import fetch_releases
from pumas.net.http import HttpClient
from pumas.store.metadata import RELEASES, locate
from pumas.store.paths import open_layout
from pumas.store.times import TimeForm, format_time

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)
REPO = "comfyanonymous/ComfyUI"


@pytest.mark.parametrize(("case_id", "case"), apps_cases("pages"))
def test_pages(case_id, case):
    recorded = case["expected"]
    pages_sent = [[release("v1")] * size for size in case["input"]]
    with FakeServer(lambda call: document(pages_sent[int(call.first("page")) - 1])) as github:
        config = Config(github_api_base=github.url)
        client = HttpClient(config)
        pages = fetch_releases(client, config, REPO)
        client.close()
        asked = [f"https://api.github.com{one.removeprefix('GET ')}" for one in github.requests()]
        ours = {
            "count": sum(len(page.releases) for page in pages),
            "requests": len(asked),
            "first_url": asked[0],
            "last_url": asked[-1],
        }
    check(case_id, recorded, ours)


@pytest.mark.parametrize(("case_id", "case"), apps_cases("cache_file"))
def test_names_of_cache_files(case_id, case, tmp_path):
    layout, _ = open_layout(tmp_path)
    check(case_id, case["expected"], locate(layout, RELEASES, case["input"]).path.name)


@pytest.mark.parametrize(("case_id", "case"), apps_cases("collapse"))
def test_collapsed_lists(case_id, case):
    given = case["input"]
    shown = collapse(given["releases"], with_prereleases=given["include_prerelease"])
    check(case_id, case["expected"], [one["tag_name"] for one in shown])


@pytest.mark.parametrize(("case_id", "case"), apps_cases("cache_status"))
def test_status_of_the_cache(case_id, case, place):
    if case["input"]["file"] is not None:
        place.cache.write_text(json.dumps(case["input"]["file"]))
    if case["input"]["loaded"]:
        cached_releases(place.layout, REPO)
    status = place.lists.status("comfyui")
    ours = {
        "has_cache": status.has_cache,
        "is_valid": status.is_valid,
        "age_seconds": None if status.age_s is None else int(status.age_s),
        "last_fetched": status.last_fetched,
        "ttl": status.ttl_s,
        "releases_count": status.release_count,
        "is_fetching": status.is_fetching,
    }
    check(case_id, case["expected"], ours)


@pytest.mark.parametrize(("case_id", "case"), apps_cases("fetch_fallback"))
def test_what_a_list_is_when_the_server_answers_so(case_id, case, place):
    given = case["input"]
    if given["cache"] != "none":
        fetched = NOW - timedelta(minutes=10 if given["cache"] == "fresh" else 120)
        releases = [{"tag_name": "v0.1.0", "prerelease": False}]
        text = {"lastFetched": format_time(fetched, TimeForm.ZULU), "ttl": 3600, "releases": releases}
        place.cache.write_text(json.dumps(text))
    place.server.fail(_ANSWERS.get(given["answer"]) or fakes.status(given["answer"]), times=None)
    if given["answer"] == "dns":
        place.is_known = False
    try:
        answer = place.lists.fetch("comfyui").result(30) if given["force"] else place.lists.listed("comfyui")
        tags = [one["tag_name"] for one in answer.releases]
    except NetworkError:
        tags = []  # nothing is cached: the operation says why, the list is empty
    for job in place.jobs.jobs():
        list(job.progress())
    status = place.http.status()
    cached = json.loads(place.cache.read_text())["releases"] if place.cache.exists() else None
    ours = {
        "result": tags,
        "attempts": status.total_requests + status.retries,
        "cached_tags": None if cached is None else [one["tag_name"] for one in cached],
    }
    check(case_id, case["expected"], ours)


_ANSWERS = {
    "ok": fakes.json_body([{"tag_name": "v0.2.0", "prerelease": False}]),
    "dns": fakes.hang_up(),
    "timeout": fakes.stall(),
    "reset": fakes.reset(),
    "html": fakes.html(),
    "object": fakes.json_body({"message": "x"}),
    "junk": fakes.json_body([1, "x", None, {"tag_name": "v9"}]),
}


class _Place:
    """A root, and a server that stands for GitHub."""

    def __init__(self, root, server, idle_s):
        self.server = server
        self.layout, _ = open_layout(root)
        self.cache = self.layout.data / "cache/github-releases.json"
        self.is_known = True
        config = Config(github_api_base=f"http://github.test:{server.port}", retry_base_s=0)
        self.http = HttpClient(config, resolve=self._resolve, idle_s=idle_s)
        self.jobs = JobPool(1)
        self.lists = ReleaseLists(self.layout, config, self.http, self.jobs, clock=lambda: NOW)

    def _resolve(self, host):
        if not self.is_known:
            raise OSError(f"{host} is not known")
        return ["127.0.0.1"]


@pytest.fixture
def place(tmp_path, case):
    is_silent = isinstance(case["input"], dict) and case["input"].get("answer") == "timeout"
    with FakeServer(lambda call: document([])) as server:
        made = _Place(tmp_path, server, 0.2 if is_silent else 30.0)
        yield made
        made.http.close()
        made.jobs.close(5)
