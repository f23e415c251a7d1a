"""Quantizations as names tell them."""

from __future__ import annotations

import pytest
from support.cases import check, library_cases

from pumas.net.quantizations import TOKENS, has_token, in_order, normalized, quantization, quantizations, sizes


@pytest.mark.parametrize(("case_id", "case"), library_cases("quant.detect"))
def test_detect(case_id, case):
    token = quantization(case["path"])
    ours = {"path": case["path"], "normalized": normalized(case["path"]), "quants": [token] if token else []}
    check(case_id, case, ours)


@pytest.mark.parametrize(("case_id", "case"), library_cases("quant.detect_many"))
def test_detect_many(case_id, case):
    check(case_id, case["quants"], quantizations([*case["paths"], *case["tags"]]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("quant.token"))
def test_token(case_id, case):
    check(case_id, case["out"], has_token(case["normalized"], case["token"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("quant.sorted"))
def test_sorted(case_id, case):
    check(case_id, case["out"], in_order(case["in"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("quant.order"))
def test_order(case_id, case):
    check(case_id, case, TOKENS[int(case_id.rpartition("-")[2]) - 1])


@pytest.mark.parametrize(("case_id", "case"), library_cases("quant.sizes"))
def test_sizes(case_id, case):
    check(case_id, case["out"], sizes([(path, size) for path, size in case["paths_with_sizes"]]))
