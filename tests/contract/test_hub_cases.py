"""The recorded answers of the hub, and what is made of them."""

from __future__ import annotations

import msgspec
import pytest
from fakes.hub import FakeHub, recorded_repos
from support.cases import check, library_cases

from pumas import PumasApi
from pumas.config import Config
from pumas.errors import RateLimited
from pumas.net import hub_answers
from pumas.net.hosts import Hosts
from pumas.net.hub_search import Answers, cache_key
from pumas.repos import HubSearch
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


@pytest.mark.parametrize(("case_id", "case"), library_cases("network.hub_cache"))
def test_answers_in_memory(case_id, case):
    now, ours = 0.0, []
    answers, values = Answers(case["max_entries"], lambda: now), {}
    for step in case["ops"]:
        if "clock" in step:
            now += float(step["clock"])
            ours.append(step)
        elif step["op"] == "set":
            key, value, *life_s = step["args"]
            values[key] = value
            answers.put(key, HubSearch(models=()), life_s=(*life_s, case["ttl_seconds"])[0])
            ours.append(step)
        elif step["op"] == "get":
            (key,) = step["args"]
            ours.append({**step, "out": None if answers.get(key) is None else values[key]})
    check(case_id, case["ops"], ours)


@pytest.mark.parametrize(("case_id", "case"), library_cases("network.hub_throttle"))
def test_calls_are_held_back(case_id, case):
    now, ours = 0.0, []
    hosts = Hosts(clock=lambda: now)
    for step in case["ops"]:
        name, _, seconds = step["op"].partition(" ")
        if name == "acquire":
            try:
                hosts.admit("hub.example")
            except RateLimited as exc:
                ours.append({**step, "out": str(exc), "slept": []})
            else:
                hosts.settle("hub.example", None)
                ours.append({**step, "slept": []})
        elif name == "backoff":
            hosts.admit("hub.example")
            hosts.settle("hub.example", RateLimited("hub.example", float(seconds)))
            ours.append(step)
        elif name.startswith("+"):
            now += float(name)
            ours.append(step)
    check(case_id, case["ops"], ours)


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
