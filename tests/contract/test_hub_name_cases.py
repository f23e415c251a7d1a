"""What names of files and repos tell, and which repo is taken for the one of a file."""

from __future__ import annotations

import pytest
from support.cases import check, library_cases
from support.hub_table import HubTable

from pumas.library.fast_hash import fast_hash
from pumas.library.lookup import find_match
from pumas.net.hub_names import base_name, infer_family, precision, variant
from pumas.repos import Repo


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.base_name"))
def test_base_name(case_id, case):
    check(case_id, case["out"], base_name(case["filename"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.infer_family"))
def test_infer_family(case_id, case):
    check(case_id, case["out"], infer_family(case["name"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.variant_precision"))
def test_variant_and_precision(case_id, case):
    check(case_id, case["out"], [variant(case["filename"]), precision(case["filename"])])


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.filename_match"))
def test_filename_match(case_id, case):
    hub = HubTable(*(Repo(repo_id=repo_id, author="") for repo_id in case["repos"]), finds_all=True)
    match = find_match(case["filename"], hub, None, pages="https://huggingface.co")
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
