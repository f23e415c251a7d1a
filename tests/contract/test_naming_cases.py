"""Names as the library writes them."""

from __future__ import annotations

import pytest
from support.cases import check, library_cases

from pumas.errors import InvalidInput
from pumas.library.naming import free_path, model_folder, normalize_filename, normalize_name
from pumas.store.metadata import safe_filename
from pumas.store.names import is_ntfs_name, ntfs_name


@pytest.mark.parametrize(("case_id", "case"), library_cases("naming.normalize_name"))
def test_normalize_name(case_id, case):
    given = {"longest": case["max_length"], "fallback": case["fallback"]} if "max_length" in case else {}
    check(case_id, case["out"], normalize_name(case["value"], **given))


@pytest.mark.parametrize(("case_id", "case"), library_cases("naming.normalize_filename"))
def test_normalize_filename(case_id, case):
    given = {"longest": case["max_length"]} if "max_length" in case else {}
    check(case_id, case["out"], normalize_filename(case["value"], **given))


@pytest.mark.parametrize(("case_id", "case"), library_cases("naming.unique_path"))
def test_free_path(case_id, case, tmp_path):
    for name in case["existing"]:
        if name.startswith("@broken:"):
            (tmp_path / name.removeprefix("@broken:")).symlink_to(tmp_path / "nowhere")
        else:
            (tmp_path / name).touch()
    check(case_id, case["out"], free_path(tmp_path / case["wanted"]).name)


@pytest.mark.parametrize(("case_id", "case"), library_cases("naming.ntfs"))
def test_ntfs(case_id, case):
    value = case["value"]
    sanitized = ntfs_name(value)
    ours = {"is_safe": is_ntfs_name(value), "sanitized": sanitized, "normalized": normalize_filename(sanitized)}
    check(case_id, {key: case[key] for key in ours}, ours)


@pytest.mark.parametrize(("case_id", "case"), library_cases("naming.ntfs_replacement"))
def test_ntfs_replacement(case_id, case):
    check(case_id, case["out"], ntfs_name(case["value"], replacement=case["replacement"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("naming.model_path"))
def test_model_folder(case_id, case, tmp_path):
    try:
        ours = model_folder(tmp_path, case["model_type"], case["family"], case["name"]).relative_to(tmp_path).as_posix()
    except InvalidInput as exc:
        ours = str(exc)
    check(case_id, case["out"], ours)


@pytest.mark.parametrize(("case_id", "case"), library_cases("naming.safe_filename"))
def test_safe_filename(case_id, case):
    check(case_id, case["out"], safe_filename(case["value"]))
