"""Every row of deviations.toml belongs to a case that is run (a row that is not needed fails in its own case)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from support.cases import unknown_deviations


def test_every_row_belongs_to_a_case():
    here = Path(__file__).parent
    for path in [*here.glob("test_*_cases.py"), here / "test_fixture_calls.py"]:
        spec = importlib.util.spec_from_file_location(f"imported_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert unknown_deviations() == set()
