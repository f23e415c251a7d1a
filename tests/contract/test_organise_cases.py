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


_SCANNED = {"Good": b"abc", "Bad": b"abd", "None": b"x", "Empty": None, "Broken": None}


@pytest.mark.parametrize(("case_id", "case"), library_cases("library.deep_scan"))
def test_deep_scan(case_id, case, library):
    """What the original's scan of all digests tells, `verify` tells too; what was recorded is never replaced."""
    recorded = {"Good": case["hashes_after"]["Good"]["sha256"], "Bad": "0" * 64}
    for name, content in _SCANNED.items():
        folder = library / "llm/f" / name
        folder.mkdir(parents=True)
        document: dict[str, object] = {"official_name": name, "hashes": {"sha256": recorded.get(name, "")}, "files": []}
        if content is not None:
            (folder / "m.gguf").write_bytes(content)
            document["files"] = [{"name": "m.gguf", "size": len(content)}]
        (folder / "metadata.json").write_text("{" if name == "Broken" else json.dumps(document))
    with PumasApi(library.parents[1], config=Config()) as api:
        api.refresh_models().result(30)
        report = api.verify(is_full=True, records=True).result(30)
        indexed = len(api.list_models())
    broken = [finding.model_id for finding in report.findings if finding.kind == "document"]
    ours = {
        "result": {
            "total_models": report.model_count,
            "indexed": indexed,
            "errors": [f"No valid metadata: {model_id}" for model_id in broken],
            "hash_mismatches": [
                {
                    "model_id": finding.model_id,
                    "file": finding.path.rpartition("/")[2],
                    "expected_sha256": finding.expected,
                    "actual_sha256": finding.found,
                }
                for finding in report.findings
                if finding.expected is not None
            ],
            "orphaned_dirs": broken,
        },
        "hashes_after": {name: _digests(library / "llm/f" / name) for name in sorted(_SCANNED) if name != "Broken"},
    }
    check(case_id, {key: case[key] for key in ours}, ours)


def _digests(folder) -> dict[str, str]:
    document = json.loads((folder / "metadata.json").read_text())
    said = {**document["hashes"], **next(iter(document["files"]), {})}
    return {name: said.get(name, "") for name in ("sha256", "blake3")}


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
