"""What kind of model a file holds, and what it says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.cases import check, library_cases

from pumas.library.file_kinds import kind_by_content, kind_by_name
from pumas.library.formats import validate_file_type
from pumas.library.headers import embedded_metadata


@pytest.mark.parametrize(("case_id", "case"), library_cases("identify"))
def test_identify(case_id, case, tmp_path):
    path = tmp_path / case["name"]
    if "hex" in case:
        path.write_bytes(bytes.fromhex(case["hex"]))
    elif case["name"] == "dir":
        path.mkdir()
    ours = _ours(path)
    if "error" in case:
        check(case_id, case["error"], ours)
    else:
        check(case_id, {key: case[key] for key in ours}, ours)


def _ours(path: Path) -> dict[str, Any]:
    kind = kind_by_content(path)
    checked = validate_file_type(path)
    embedded = embedded_metadata(path)
    answer: dict[str, Any] = {"success": embedded.error is None, "file_type": embedded.file_type}
    answer["metadata"] = embedded.metadata
    if embedded.error is not None:
        answer["error"] = embedded.error
    return {
        "model_type": kind.model_type,
        "family": kind.family,
        "extra": kind.extra,
        "validate_file_type": {
            "valid": checked.is_valid,
            "detected_type": checked.detected_type,
            "error": checked.error.replace(str(path.parent), "{dir}"),
        },
        "embedded_metadata": answer,
    }


@pytest.mark.parametrize(("case_id", "case"), library_cases("identify.by_extension"))
def test_identify_by_extension(case_id, case):
    model_type, subtype = kind_by_name(case["name"])
    check(case_id, [case["model_type"], case["subtype"]], [model_type, subtype])
