"""Which files make one model, and whether they are all there."""

from __future__ import annotations

from typing import Any

import pytest
from support.cases import check, library_cases

from pumas.library.shards import find_shards
from pumas.models import ShardSet

_LONG = 1000


@pytest.mark.parametrize(("case_id", "case"), library_cases("sharding"))
def test_sharding(case_id, case):
    check(case_id, case["groups"], [_group(one) for one in find_shards(case["files"])])


def _group(one: ShardSet) -> dict[str, Any]:
    missing: Any = list(one.missing)
    if len(missing) > _LONG:  # as the recording shortens it
        missing = {"count": len(missing), "first": missing[0], "last": missing[-1]}
    validation = {
        "complete": one.is_complete,
        "missing_shards": missing,
        "total_expected": one.expected_count,
        "total_found": one.found_count,
        "error": one.error,
    }
    return {"key": one.name, "files": list(one.files), "validation": validation}
