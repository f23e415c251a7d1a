"""What names of files and repos tell."""

from __future__ import annotations

import pytest
from support.cases import check, library_cases

from pumas.net.hub_names import base_name, infer_family, precision, variant


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.base_name"))
def test_base_name(case_id, case):
    check(case_id, case["out"], base_name(case["filename"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.infer_family"))
def test_infer_family(case_id, case):
    check(case_id, case["out"], infer_family(case["name"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("hub.variant_precision"))
def test_variant_and_precision(case_id, case):
    check(case_id, case["out"], [variant(case["filename"]), precision(case["filename"])])
