"""What a register says is believed for places in this root only, whoever wrote it."""

from __future__ import annotations

import os

import pytest
from support.roots import copy_fixture_root

from pumas.linked import PlannedLink
from pumas.links.health import check_links, clean_links, remove_links_of, remove_orphans
from pumas.links.registry import Intent, LinkRegistry
from pumas.links.steps import settle_links
from pumas.store.paths import Layout


@pytest.fixture
def layout(fixture_root):
    return Layout(fixture_root)


def _register(layout, source, target):
    link = PlannedLink(
        model_id="llm/f/X",
        model_name="",
        source_path=str(source),
        target_path=str(target),
        link_type="symlink",
        link_text="",
        is_external=False,
    )
    with LinkRegistry(layout.library).changes() as changes:
        changes.settle([], [link], ("comfyui", "1"))


@pytest.mark.parametrize("place", ["{outside}/link", "{root}/../outside/link", "{root}/comfyui-versions/way/link"])
def test_a_link_outside_of_the_root_is_never_removed(layout, tmp_path, place):
    outside = tmp_path / "outside"
    outside.mkdir()
    gone = layout.library / "llm/f/X/x.gguf"
    (outside / "link").symlink_to(gone)
    (layout.root / "comfyui-versions/way").symlink_to(outside)
    target = place.format(outside=outside, root=layout.root)
    _register(layout, gone, target)
    assert target in [one.target_path for one in check_links(layout, None).broken]
    clean_links(layout)
    assert os.path.islink(outside / "link")
    _register(layout, gone, target)
    remove_links_of(layout, "llm/f/X")
    assert os.path.islink(outside / "link")


def test_the_register_of_another_root_removes_nothing_there(layout, tmp_path):
    other = copy_fixture_root(tmp_path / "other")
    before = sorted(path for path in other.rglob("*") if path.is_symlink())
    LinkRegistry(layout.library).path.write_bytes((other / "shared-resources/models/link_registry.db").read_bytes())
    assert check_links(layout, None).foreign_count == 53
    clean_links(layout)
    remove_links_of(layout, "diffusion/sdxl/SDXLBase10")
    assert sorted(path for path in other.rglob("*") if path.is_symlink()) == before


def test_an_intent_moves_no_file_from_elsewhere(layout, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("mine")
    inside = layout.root / "comfyui-versions/v0.6.0/models/loras/x"
    for settled in (False, True):
        intents = [
            Intent(str(inside), "", "symlink", "a", aside_path=str(secret), is_settled=settled),
            Intent(str(tmp_path / "x"), "", "symlink", "a", aside_path=str(secret), is_settled=settled),
            Intent(
                str(layout.library / "x"), "", "symlink", "a", aside_path=f"{layout.library}/x.y", is_settled=settled
            ),
        ]
        with LinkRegistry(layout.library).changes() as changes:
            changes.begin(intents)
    assert settle_links(layout) == 6
    assert secret.read_text() == "mine"
    assert not (layout.root / "launcher-data/quarantine").exists()


def test_a_version_that_is_another_name_of_one_has_no_orphans(layout):
    models = layout.root / "comfyui-versions/v0.6.0/models"
    alias = layout.root / "comfyui-versions/v7"
    alias.symlink_to("v0.6.0")
    assert check_links(layout, alias / "models").orphans == ()
    assert remove_orphans(layout, alias / "models").removed == 0
    assert (models / "checkpoints/sd_xl_base_10.safetensors").is_symlink()


def test_a_root_that_is_opened_by_another_name_has_no_orphans(layout, tmp_path):
    (tmp_path / "alias").symlink_to(layout.root)
    alias = Layout(tmp_path / "alias")
    assert check_links(alias, alias.root / "comfyui-versions/v0.6.0/models").orphans == ()
