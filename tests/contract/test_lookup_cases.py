"""Which repo of the hub a file is taken to come from."""

from __future__ import annotations

import msgspec
import pytest
from fakes.hub import FakeHub, filler, recorded_repos
from support.cases import check, library_cases, load
from support.hub_table import HubTable

from pumas import PumasApi
from pumas.config import Config
from pumas.library.fast_hash import fast_hash
from pumas.library.lookup import find_match
from pumas.repos import Repo
from pumas.rpc.hub_lookup import lookup_response

_REPOS = load("library-cases.json")["groups"]["hub.search"]["cases"][0]["repos"]
_SAME_FILES = {"tiny-Q4_K_M.gguf": 5000, "sd-model-fp16.safetensors": 3000}


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.lookup"))
def test_lookup(case_id, case, fixture_root, tmp_path):
    path = None
    if case["file_given"]:
        path = tmp_path / case["filename"]
        path.write_bytes(filler(path.name, _SAME_FILES[path.name]))
    with (
        FakeHub(recorded_repos(_REPOS)) as hub,
        PumasApi(fixture_root, config=Config(hub_base=hub.url)) as api,
    ):
        found = api.lookup_hf_metadata_for_file(case["filename"], path).result(30)
    check(case_id, case["result"], msgspec.to_builtins(lookup_response(found)).get("metadata"))


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.filename_match"))
def test_filename_match(case_id, case):
    hub = HubTable(*(Repo(repo_id=repo_id, author="") for repo_id in case["repos"]), finds_all=True)
    match = find_match(case["filename"], hub, None, pages="https://huggingface.co").match
    ours = match and {
        "repo_id": match.repo_id,
        "match_confidence": round(match.confidence, 12),
        "match_method": match.method,
        "requires_confirmation": match.requires_confirmation,
    }
    check(case_id, case["out"], ours)


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.fast_hash"))
def test_fast_hash(case_id, case, tmp_path):
    path = tmp_path / "file"
    path.write_bytes((bytes(range(251)) * (case["size"] // 251 + 1))[: case["size"]])
    check(case_id, case["out"], fast_hash(path))
