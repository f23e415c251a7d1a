"""What speaks against importing a path."""

from __future__ import annotations

import pytest
from support.cases import check, library_cases

from pumas.library.sources import check_source


@pytest.mark.parametrize(("case_id", "case"), library_cases("io.validate_import_source"))
def test_import_source(case_id, case, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    places = {
        "missing": "nope",
        "empty folder": "empty",
        "folder with a file": "folder",
        "file": "folder/file",
    }
    issues = check_source(tmp_path / places[case["case"]])
    severities = [issue.severity for issue in issues]
    ours = {
        "case": case["case"],
        "valid": "error" not in severities,
        "warnings": "warning" in severities,
        "issues": [
            {"severity": issue.severity.upper(), "message": issue.what.replace(str(tmp_path), "{base}")}
            for issue in issues
        ],
    }
    check(case_id, case, ours)
