"""The recorded calls on metadata, and what the shared folders hold."""

from __future__ import annotations

import json
import re

import pytest
from support.cases import check, library_cases
from support.roots import copy_fixture_root, write_model

from pumas import PumasApi
from pumas.config import Config
from pumas.library.workflows import count_workflows

# The other calls belong to look-ups on the hub; the index is told of no path: ids are paths.
_MANUAL = [case for case in library_cases("library.calls") if case.values[1]["call"] == "mark_metadata_as_manual(id)"]


@pytest.mark.parametrize(("case_id", "case"), _MANUAL)
def test_mark_as_manual(case_id, case, library):
    before = {**case["changed_fields"], "match_source": "auto", "updated_date": "2026-01-15T12:34:56Z"}
    folder = library / "llm/f/A"
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_text(json.dumps(before, indent=2))
    with PumasApi(library.parents[1], config=Config()) as api:
        api.refresh_models().result(30)
        api.mark_metadata_as_manual("llm/f/A").result(30)
        indexed = json.loads(api.get_model("llm/f/A").metadata_json)
    document = json.loads((folder / "metadata.json").read_text())
    for one in (document, indexed):
        assert one["updated_date"] > before["updated_date"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", one["updated_date"])
        one["updated_date"] = "<time>"
    ours = {
        "call": case["call"],
        "result": True,
        "changed_fields": document,
        "in_index": {**indexed, "library_path": "llm/f/A"},
        "files": sorted(path.name for path in folder.iterdir()),
    }
    check(case_id, case, ours)


def test_workflows_are_counted_without_following_links(tmp_path):
    root = copy_fixture_root(tmp_path / "root")
    folder = root / "shared-resources/user/workflows"
    assert count_workflows(folder)[0] == 1
    before = count_workflows(folder)[1]
    (folder / "below").mkdir()
    (folder / "below" / "two.json").write_bytes(b"x" * 100)
    (folder / "linked").symlink_to("/etc")
    (folder / "linked.json").symlink_to("/etc/passwd")
    assert count_workflows(folder) == (1, before + 100)
    assert count_workflows(tmp_path / "none") == (0, 0)


def test_sizes_beyond_all_drives_are_added_too(library):
    for n in range(3):
        write_model(library, f"llm/f/M{n}", size_bytes=2**62)
    with PumasApi(library.parents[1], config=Config()) as api:
        assert api.scan_shared_storage().result(30).size_bytes == 3 * 2**62


def test_sizes_that_are_none_do_not_count(library):
    for n, size in enumerate((100, None, "200", -5, True, 1.5, [1])):
        write_model(library, f"llm/f/M{n}", size_bytes=size)
    with PumasApi(library.parents[1], config=Config()) as api:
        found = api.scan_shared_storage().result(30)
    assert (found.model_count, found.workflow_count, found.size_bytes) == (7, 0, 100)
