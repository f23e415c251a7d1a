"""Which files of a repo a download takes."""

from __future__ import annotations

import pytest
from support.cases import check, library_cases

from pumas.downloads.choice import belongs_to


@pytest.mark.parametrize(("case_id", "case"), library_cases("quant.file_choice"))
def test_what_goes_along_with_a_quantization(case_id, case):
    check(case_id, case, {"path": case["path"]} | {key: belongs_to(case["path"], key) for key in case if key != "path"})
