"""What a register says is believed for places in this root only, whoever wrote it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest
from support.linking import content_of
from support.roots import copy_fixture_root

from pumas.errors import Unavailable
from pumas.linked import PlannedLink
from pumas.links.health import check_links, clean_links, remove_links_of, remove_orphans
from pumas.links.registry import Intent, LinkRegistry
from pumas.links.steps import settle_links
from pumas.store.link_registry import links_to
from pumas.store.paths import Layout


@pytest.fixture
def layout(fixture_root):
    return Layout(fixture_root)


def _register(layout, source, target, kind="symlink"):
    link = PlannedLink(
        model_id="llm/f/X",
        model_name="",
        source_path=str(source),
        target_path=str(target),
        link_type=kind,
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


@pytest.fixture
def mine(layout):
    """A file of the user, in the models folder of a version."""
    mine = layout.root / "comfyui-versions/v0.6.0/models/loras/mine.bin"
    mine.write_text("mine")
    return mine


@pytest.mark.parametrize("kind", ["hardlink", "copy"])
@pytest.mark.parametrize("way", ["itself", "by a link in the library"])
def test_a_file_that_a_row_calls_its_own_source_stays(layout, mine, kind, way):
    source = mine
    if way != "itself":
        source = layout.library / "llm/f/X/x.gguf"
        source.parent.mkdir(parents=True)
        source.symlink_to(mine)
    _register(layout, source, mine, kind)
    assert remove_links_of(layout, "llm/f/X").removed == 0
    assert mine.read_text() == "mine"


def test_a_link_that_is_not_in_a_models_folder_is_never_removed(layout):
    gone = layout.library / "llm/f/X/x.gguf"
    target = layout.root / "launcher-data/link"
    target.symlink_to(gone)
    _register(layout, gone, target)
    clean_links(layout)
    assert target.is_symlink()


@pytest.mark.parametrize("kind", ["hardlink", "copy"])
def test_an_intent_removes_no_file_that_is_called_its_own_source(layout, mine, kind):
    with LinkRegistry(layout.library).changes() as changes:
        changes.begin([Intent(str(mine), str(mine), kind, str(mine))])
    assert settle_links(layout) == 1
    assert mine.read_text() == "mine"


def test_an_intent_moves_nothing_that_has_another_name_than_we_give(layout, mine):
    aside = str(mine.with_suffix(""))
    own = layout.root / "launcher-data/config.json"
    own.write_text("ours")
    with LinkRegistry(layout.library).changes() as changes:
        changes.begin(
            [
                Intent(aside, "", "symlink", None, aside_path=str(mine), is_settled=True),
                Intent(str(own.with_suffix("")), "", "symlink", None, aside_path=str(own), is_settled=True),
            ]
        )
    assert settle_links(layout) == 2
    assert (mine.read_text(), own.read_text()) == ("mine", "ours")


def test_an_intent_replaces_no_link_of_the_user(layout, mine):
    link = mine.with_name("link")
    link.symlink_to(mine)
    with LinkRegistry(layout.library).changes() as changes:
        changes.begin([Intent(str(link), "", "symlink", str(mine))])
    assert settle_links(layout) == 1
    assert link.is_symlink()


def test_a_row_with_a_path_that_can_be_none_hinders_nothing(layout):
    target = layout.root / "comfyui-versions/v0.6.0/models/loras/a\0b"
    _register(layout, "/x\0y", target)
    _register(layout, "/x\0y", "/nowhere\0/b")
    _register(layout, "/x\0y", layout.root / "comfyui-versions/v\0/models/loras/b")
    models = layout.root / "comfyui-versions/v0.6.0/models"
    assert str(target) in [one.target_path for one in check_links(layout, models).broken]
    remove_links_of(layout, "llm/f/X")
    with LinkRegistry(layout.library).changes() as changes:
        changes.begin([Intent(str(target), "", "symlink", "a")])
    assert settle_links(layout) == 1


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


@pytest.mark.parametrize("model_id", ["", ".", "diffusion", "diffusion/sdxl/.", "diffusion/sdxl", "\0", "\udcff"])
def test_what_is_no_id_of_a_model_removes_no_links(layout, model_id):
    registry = LinkRegistry(layout.library)
    rows = registry.rows()
    assert any(row.source_path.startswith(f"{layout.library}/diffusion/sdxl/") for row in rows)
    assert remove_links_of(layout, model_id).forgotten == 0
    assert registry.rows([model_id]) == []
    assert registry.rows() == rows


def test_what_was_begun_on_a_drive_that_is_away_is_settled_when_it_is_back(layout, tmp_path):
    models, drive = layout.root / "comfyui-versions/v8/models", tmp_path / "drive"
    models.parent.mkdir()
    models.symlink_to(drive)
    (drive / "c").mkdir(parents=True)
    (drive / "c/x.pumas-replaced").write_text("mine")
    (drive / "c/y.pumas-replaced").write_text("mine too")
    intents = [
        Intent(
            f"{models}/c/{name}",
            f"{layout.library}/a",
            "symlink",
            f"{layout.library}/a",
            aside_path=f"{models}/c/{name}.pumas-replaced",
            is_settled=is_settled,
        )
        for name, is_settled in (("x", False), ("y", True))
    ]
    with LinkRegistry(layout.library).changes() as changes:
        changes.begin(intents)
    drive.rename(tmp_path / "away")
    assert settle_links(layout) == 2
    (tmp_path / "away").rename(drive)
    assert settle_links(layout) == 0
    assert content_of(drive) == {"c/x": "file: mine"}
    assert "file: mine too" in content_of(layout.data / "quarantine").values()


def test_what_was_begun_in_a_version_that_is_gone_is_forgotten(layout):
    target = f"{layout.root}/comfyui-versions/gone/models/c/x"
    with LinkRegistry(layout.library).changes() as changes:
        changes.begin([Intent(target, f"{layout.library}/a", "symlink", f"{layout.library}/a")])
    assert settle_links(layout) == 0


def test_a_register_that_is_a_link_to_nothing_is_not_begun_anew(layout, tmp_path):
    registry = LinkRegistry(layout.library)
    registry.path.unlink()
    registry.path.symlink_to(tmp_path / "register.db")
    with pytest.raises(Unavailable, match="link to nothing"), registry.changes():
        pass
    assert not (tmp_path / "register.db").exists()


def test_a_backup_writes_through_no_link(layout, tmp_path):
    registry = LinkRegistry(layout.library)
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as db, db:
        db.execute("CREATE TABLE mine (x)")
    registry.path.with_name(f"{registry.path.name}.bak.{os.getpid()}.tmp").symlink_to(other)
    with registry.changes() as changes:
        changes.back_up()
    with closing(sqlite3.connect(other)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]


def test_a_register_that_is_a_link_to_another_database_is_left_alone(layout, tmp_path):
    registry, other = LinkRegistry(layout.library), tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as db, db:
        db.execute("CREATE TABLE mine (x)")
    registry.path.unlink()
    registry.path.symlink_to(other)
    before = other.read_bytes()
    with pytest.raises(Unavailable, match="something that is none"), registry.changes():
        pass
    assert other.read_bytes() == before


def test_below_a_folder_that_is_no_utf8_nothing_is_registered(layout):
    registry = LinkRegistry(layout.library).path
    assert links_to(registry, "llm/f/X", layout.library / os.fsdecode(b"\xff")) == ()
