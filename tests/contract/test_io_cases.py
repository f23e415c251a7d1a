"""How many files are read or copied at once, by the kind of their drive.

The original takes a slot of a semaphore for each file. Ours has no slots to be counted: native code asks the kernel by
device number (`_native/src/hash/rotation.rs`, whose tests have a sysfs of their own), so that no case runs it.
"""

from __future__ import annotations

import pytest
from support.cases import check, library_cases

_WORKERS = "one for each core"  # `workers` of `hash_files` and `copy_files` by default


@pytest.mark.parametrize(("case_id", "case"), library_cases("io.concurrency"))
def test_files_at_once(case_id, case):
    check(case_id, case, {**case, "concurrency": {"hdd": 1}.get(case["drive"], _WORKERS)})
