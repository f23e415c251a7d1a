"""The recorded cases, and the deviations that are allowed from them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[1] / "contract" / "data"
_DEVIATIONS = tomllib.loads((DATA.parent / "deviations.toml").read_text("utf-8"))["case"]

_known_ids: set[str] = set()


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text("utf-8"))


def library_cases(group: str) -> list[Any]:
    """Parameters `(case id, case)` of one group of library-cases.json."""
    cases = load("library-cases.json")["groups"][group]["cases"]
    _known_ids.update(f"{group}-{n:03d}" for n in range(1, len(cases) + 1))
    return [pytest.param(f"{group}-{n:03d}", case, id=f"{group}-{n:03d}") for n, case in enumerate(cases, 1)]


def apps_cases(group: str) -> list[Any]:
    """Parameters `(case id, case)` of one group of apps-cases.json."""
    cases = [case for case in load("apps-cases.json")["cases"] if case["group"] == group]
    _known_ids.update(case["id"] for case in cases)
    return [pytest.param(case["id"], case, id=case["id"]) for case in cases]


def check(case_id: str, recorded: Any, ours: Any) -> None:
    """Our answer is the recorded one, or a needed row of deviations.toml says what it is instead."""
    ours = json.loads(json.dumps(ours))
    row = _DEVIATIONS.get(case_id)
    if row is None:
        assert ours == recorded, f"{case_id} deviates and no row of deviations.toml says why"
        return
    assert ours != recorded, f"the row {case_id} of deviations.toml is not needed"
    assert ours == json.loads(row["answer"]), f"{case_id}: {row['rule']}"
    assert row["rule"]


def unknown_deviations() -> set[str]:
    """Ids of rows of deviations.toml that no case asks for; complete once the modules with cases are imported."""
    return set(_DEVIATIONS) - _known_ids
