"""What the doctor does for the register of links, and says of links that were being changed."""

from __future__ import annotations

import pytest

from pumas import PumasApi
from pumas.api.examine import examine_root
from pumas.api.repair import repair_root
from pumas.config import Config
from pumas.links.registry import Intent, LinkRegistry
from pumas.store.link_registry import registry_backup
from pumas.store.paths import Layout

_KINDS = {"registry_damaged", "links_interrupted"}


@pytest.fixture
def layout(fixture_root):
    return Layout(fixture_root)


def _findings(layout):
    return [one for one in examine_root(layout, Config()) if one.kind in _KINDS]


def _no_index():
    raise AssertionError("the index is not to be written")


def test_a_damaged_register_is_replaced_by_its_backup(layout):
    registry = LinkRegistry(layout.library)
    with registry.changes() as changes:
        changes.back_up()
    rows = registry.rows()
    assert len(rows) == 53
    registry.path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    (finding,) = _findings(layout)
    assert finding.is_repairable
    (repair,) = repair_root(layout, [finding], _no_index)
    assert (repair.is_done, repair.kind) == (True, "registry_damaged")
    assert repair.moved_to is not None
    assert repair.moved_to.read_bytes().endswith(b"\xff" * 8000)
    assert registry.rows() == rows
    assert _findings(layout) == []
    assert registry_backup(registry.path).exists()


def test_a_register_that_is_whole_by_now_is_left_alone(layout):
    registry = LinkRegistry(layout.library)
    with registry.changes() as changes:
        changes.back_up()
    whole = registry.path.read_bytes()
    registry.path.write_bytes(b"\xff" * 8000)
    findings = _findings(layout)
    registry.path.write_bytes(whole)
    (repair,) = repair_root(layout, findings, _no_index)
    assert not repair.is_done
    assert registry.path.read_bytes() == whole


@pytest.mark.parametrize("backup", [None, b"\xff" * 8000, b""])
def test_without_a_backup_that_is_whole_nothing_is_done(layout, backup):
    registry = LinkRegistry(layout.library)
    if backup is not None:
        registry_backup(registry.path).write_bytes(backup)
    registry.path.write_bytes(b"\xff" * 8000)
    (finding,) = _findings(layout)
    assert not finding.is_repairable
    assert repair_root(layout, [finding], _no_index) == ()
    assert registry.path.read_bytes() == b"\xff" * 8000


def test_links_that_were_being_changed_are_told_and_settled_by_opening(layout):
    target = layout.root / "comfyui-versions/v0.6.0/models/checkpoints/sd_xl_base_10.safetensors"
    text = str(target.readlink())
    intent = Intent(str(target), "", "symlink", None, old_text=text)
    with LinkRegistry(layout.library).changes() as changes:
        changes.begin([intent])
    target.unlink()
    (finding,) = _findings(layout)
    assert (finding.kind, finding.severity) == ("links_interrupted", "note")
    with PumasApi(layout.root, config=Config()) as api:
        api.clean_broken_links().result(30)  # begins by settling what the job of opening has not
    assert str(target.readlink()) == text
    assert _findings(layout) == []
