"""Recorded cases of release lists: `pages`, `collapse`, `fetch_fallback`, `cache_status`, `cache_file`."""

from __future__ import annotations

import pytest
from fakes.github import release
from fakes.server import FakeServer, document
from support.cases import apps_cases, check

from pumas.config import Config
from pumas.net.github import fetch_releases
from pumas.net.http import HttpClient
from pumas.store.metadata import RELEASES, locate
from pumas.store.paths import open_layout

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
