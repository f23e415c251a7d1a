"""Which names, addresses and paths from outside are taken."""

from __future__ import annotations

import pytest
from support.cases import check, library_cases

from pumas.apps.names import package_name, version_tag, web_address
from pumas.errors import InvalidInput
from pumas.store.paths import resolve_inside


@pytest.mark.parametrize(("case_id", "case"), library_cases("validators.version_tag"))
def test_version_tag(case_id, case):
    check(case_id, case["out"], version_tag(case["value"]) is not None)


@pytest.mark.parametrize(("case_id", "case"), library_cases("validators.package_name"))
def test_package_name(case_id, case):
    check(case_id, case["out"], package_name(case["value"]) is not None)


@pytest.mark.parametrize(("case_id", "case"), library_cases("validators.url"))
def test_web_address(case_id, case):
    check(case_id, case.get("out", case.get("error")), web_address(case["value"]) is not None)


def test_what_is_taken_is_trimmed():
    assert version_tag(" v1\n") == package_name(" v1\n") == "v1"
    assert web_address(" https://x ") == "https://x"


@pytest.mark.parametrize(("case_id", "case"), library_cases("validators.sanitize_path"))
def test_path_below_a_folder(case_id, case, tmp_path):
    base = tmp_path / "root"
    (base / "sub").mkdir(parents=True)
    (base / "file").touch()
    for name in ("outside", "root2"):
        (tmp_path / name).mkdir()
    (base / "link_in").symlink_to("sub")
    (base / "link_out").symlink_to(tmp_path / "outside")
    try:
        ours = str(resolve_inside(base, case["path"].replace("{base}", str(tmp_path)), parameter="path"))
    except InvalidInput:
        ours = "refused"
    check(case_id, case.get("out", "refused"), ours.replace(str(tmp_path), "{base}"))
