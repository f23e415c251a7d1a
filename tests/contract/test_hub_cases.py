"""The recorded answers of the hub, and what is made of them."""

from __future__ import annotations

import msgspec
import pytest
from fakes.hub import FakeHub, recorded_repos
from support.cases import check, library_cases

from pumas import PumasApi
from pumas.config import Config
from pumas.net import hub_answers
from pumas.net.hub_search import cache_key
from pumas.rpc.wrapping import hub_search_response


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.kind"))
def test_kind(case_id, case):
    check(case_id, case["out"], hub_answers.kind_of(case["tags"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.formats"))
def test_formats(case_id, case):
    check(case_id, case["out"], hub_answers.formats_of(case["paths"], case["tags"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.coerce_int"))
def test_whole_number(case_id, case):
    check(case_id, case["out"], hub_answers.whole_number(case["value"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.paths_with_sizes"))
def test_sized_files(case_id, case):
    check(case_id, case["out"], hub_answers.sized(hub_answers.files_of(case["siblings"])))


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.cache_key"))
def test_cache_key(case_id, case):
    check(case_id, case["out"], cache_key(*case["args"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.search"))
def test_search(case_id, case, fixture_root):
    ours, requests = [], []
    with (
        FakeHub(recorded_repos(case["repos"])) as hub,
        PumasApi(fixture_root, config=Config(hub_base=hub.url)) as api,
    ):
        for call in case["calls"]:
            before = len(hub.calls)
            found = api.search_hf_models(call["query"], kind=call["kind"], limit=call["limit"])
            ours.append(msgspec.to_builtins(hub_search_response(found).models))
            requests.append([str(one) for one in hub.calls[before:]])
    check(case_id, [call["result"] for call in case["calls"]], ours)
    # The listings are those recorded; the files of a repo are listed once (L-22), at a commit, which never changes.
    asked_before: set[str] = set()
    for call, asked in zip(case["calls"], requests, strict=True):
        trees = {_at_commit(request, hub.repos) for request in call["requests"] if "/tree/" in request}
        new = {one for one in call["requests"] if "/tree/" not in one} | trees
        assert set(asked) == new - asked_before
        assert len(asked) == len(set(asked))
        asked_before |= new


def _at_commit(request, repos):
    repo_id = request.removeprefix("GET /api/models/").partition("/tree/")[0]
    return request.replace("/tree/main?", f"/tree/{repos[repo_id].commit}?")
