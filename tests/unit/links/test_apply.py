"""Applying rules: what may not be touched is not, what can't be done is undone."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
from pathlib import Path

import pytest
from support.linking import LinkRoot, content_of, progress
from support.rights import modes_count

from pumas.errors import Cancelled, Conflict, Damaged, Unavailable
from pumas.linked import PlannedLink
from pumas.links.apply import apply_links, preview_links, resolve_links, sync_links
from pumas.links.health import check_links, remove_links_of, remove_orphans, without_links_of
from pumas.links.places import Places, link_type_in
from pumas.links.registry import BULK, Intent, LinkRegistry
from pumas.links.steps import carry_out
from pumas.store.link_registry import registry_backup

_RULES = {"comfyui_*_default.json": {"mappings": [{"target_subdir": "c", "patterns": ["*.bin"]}]}}


def _model(name, *files):
    return {"id": f"diffusion/f/{name}", "files": list(files or (f"{name}.bin",))}


@pytest.fixture
def root(tmp_path):
    return LinkRoot(tmp_path, {"models": [_model("A"), _model("B")], "configs": _RULES})


def _apply(root):
    return apply_links(root.layout, root.app, root.models, progress())


def _rules(root, *rules):
    (root.app.rules / "comfyui_*_default.json").write_text(json.dumps({"mappings": list(rules)}), encoding="utf-8")


def _make(root, kind):
    """What is made of a file where there are no symbolic links."""
    source, target = root.library / "diffusion/f/A/A.bin", root.models_folder / "c/A.bin"
    link = PlannedLink(
        model_id="diffusion/f/A",
        model_name="A",
        source_path=str(source),
        target_path=str(target),
        link_type=kind,
        link_text=str(source),
        is_external=False,
    )
    intent = Intent(target_path=str(target), source_path=str(source), link_type=kind, link_text=str(source))
    with LinkRegistry(root.library).changes() as changes:
        carry_out(changes, Places(root.library, root.models_folder), [intent], [link], root.app.key)


def test_a_second_apply_changes_nothing(root):
    assert _apply(root).created == 2
    rows = LinkRegistry(root.library).rows()
    states = [os.lstat(row.target_path).st_ino for row in rows]
    report = _apply(root)
    assert (report.created, report.updated, report.removed, report.unchanged) == (0, 0, 0, 2)
    assert LinkRegistry(root.library).rows() == rows
    assert [os.lstat(row.target_path).st_ino for row in rows] == states


def test_a_link_inside_the_models_folder_that_leads_out_is_not_followed(root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (root.models_folder / "c").symlink_to(outside)
    plan = preview_links(root.layout, root.app, root.models)
    assert plan.to_create == ()
    assert "out of the app's models folder" in plan.errors[0]
    assert _apply(root).created == 0
    assert list(outside.iterdir()) == []


def test_a_link_inside_the_models_folder_that_leads_to_the_library_is_refused(root):
    (root.models_folder / "c").symlink_to(root.library)
    before = sorted(root.library.glob("diffusion/**/*"))
    plan = preview_links(root.layout, root.app, root.models)
    assert "out of the app's models folder" in plan.errors[0]
    assert _apply(root).created == 0
    assert sorted(root.library.glob("diffusion/**/*")) == before


def test_links_by_way_of_a_folder_that_is_a_link_lead_to_their_source(root):
    (root.models_folder / "deep/real").mkdir(parents=True)
    (root.models_folder / "c").symlink_to("deep/real")
    assert _apply(root).created == 2
    assert (root.models_folder / "deep/real/A.bin").read_text() == "diffusion/f/A"
    assert _apply(root).unchanged == 2


def test_a_file_in_the_place_of_the_target_folder_stops_its_rule_only(root):
    (root.models_folder / "c").write_text("of the user")
    _rules(root, {"target_subdir": "c/d"}, {"target_subdir": "e", "patterns": ["*.bin"]})
    plan = preview_links(root.layout, root.app, root.models)
    assert "not a folder" in plan.errors[0]
    assert _apply(root).created == 2
    assert (root.models_folder / "c").read_text() == "of the user"


def test_what_comes_to_a_target_after_the_look_at_it_stays_and_all_is_undone(root):
    folder = root.models_folder / "c"
    folder.mkdir()

    def trip(event, arguments):
        # The moment between the making of the last link and its placing.
        if event == "os.symlink" and tripped and "B.bin" in str(arguments[0]):
            tripped.clear()
            (folder / "A.bin").write_text("came meanwhile")

    tripped = [True]
    sys.addaudithook(trip)
    with pytest.raises(Conflict, match="try again"):
        _apply(root)
    assert root.content() == {"c/A.bin": "file: came meanwhile"}
    assert LinkRegistry(root.library).rows() == []


@pytest.mark.skipif(sys.platform != "linux", reason="what root may do is taken away by a call of Linux")
def test_a_folder_that_may_not_be_written_to(root):
    folder = root.models_folder / "c"
    folder.mkdir(mode=0o500)
    with modes_count(), pytest.raises(Unavailable):
        _apply(root)
    assert LinkRegistry(root.library).rows() == []
    assert root.content() == {"c/": "empty folder"}


@pytest.mark.skipif(sys.platform != "linux", reason="what root may do is taken away by a call of Linux")
def test_links_in_a_folder_that_may_not_be_looked_into_stay_registered(root):
    _apply(root)
    folder = root.models_folder / "c"
    folder.chmod(0)
    with modes_count():
        (problem,) = remove_links_of(root.layout, "diffusion/f/A").problems
        with pytest.raises(Unavailable, match="permission"), without_links_of(root.layout, "diffusion/f/A"):
            pass
    folder.chmod(0o700)
    assert "Permission denied" in problem
    assert len(LinkRegistry(root.library).rows()) == 2
    assert len(root.content()) == 2


def test_a_path_that_would_be_too_long_is_told(root):
    _rules(root, {"target_subdir": "/".join(["d" * 250] * 20), "patterns": ["*.bin"]})
    plan = preview_links(root.layout, root.app, root.models)
    assert (plan.to_create, plan.errors) == ((), ())
    assert "too long" in plan.warnings[0]


def test_names_that_differ_in_case_only_are_two_where_the_drive_tells_them_apart(tmp_path):
    root = LinkRoot(tmp_path, {"models": [_model("A", "x.bin"), _model("B", "X.bin")], "configs": _RULES})
    plan = preview_links(root.layout, root.app, root.models)
    assert len(plan.to_create) == 2
    assert plan.warnings == ()


def test_a_pinned_name_ends_a_collision(tmp_path):
    root = LinkRoot(tmp_path, {"models": [_model("A", "m.bin"), _model("B", "m.bin")], "configs": _RULES})
    assert "Two files want c/m.bin" in preview_links(root.layout, root.app, root.models).warnings[0]
    names = {"diffusion/f/A/m.bin": "A of mine.bin"}
    _rules(root, {"target_subdir": "c", "patterns": ["*.bin"], "names": names})
    assert _apply(root).created == 2
    assert (root.models_folder / "c/A of mine.bin").read_text() == "diffusion/f/A"


def test_a_link_that_stands_where_others_need_a_folder_is_left_out(root):
    _rules(root, {"target_subdir": "c"}, {"target_subdir": "c/A.bin"})
    plan = preview_links(root.layout, root.app, root.models)
    assert any("need a folder there" in text for text in plan.warnings)
    assert _apply(root).created == len(plan.to_create)


def test_an_excluded_model_loses_its_links_and_gets_none(root):
    _apply(root)
    registry = LinkRegistry(root.library)
    with registry.changes() as changes:
        changes.exclude("comfyui", "diffusion/f/A")
    plan = preview_links(root.layout, root.app, root.models)
    assert [Path(one.target_path).name for one in plan.to_remove] == ["A.bin"]
    assert _apply(root).removed == 1
    assert list(root.content()) == ["c/B.bin"]
    with registry.changes() as changes:
        changes.include("comfyui", "diffusion/f/A")
    assert _apply(root).created == 1


def test_the_name_of_an_excluded_model_goes_to_the_other_that_wants_it(tmp_path):
    root = LinkRoot(tmp_path, {"models": [_model("A", "m.bin"), _model("B", "m.bin")], "configs": _RULES})
    _apply(root)
    with LinkRegistry(root.library).changes() as changes:
        changes.exclude("comfyui", "diffusion/f/B")
    report = _apply(root)
    assert (report.updated, report.removed) == (1, 1)
    assert (root.models_folder / "c/m.bin").read_text() == "diffusion/f/A"
    assert [row.model_id for row in LinkRegistry(root.library).rows()] == ["diffusion/f/A"]


def test_an_excluded_model_loses_its_link_though_the_user_keeps_those_in_the_way(tmp_path):
    root = LinkRoot(tmp_path, {"models": [_model("A", "m.bin"), _model("B", "m.bin")], "configs": _RULES})
    _apply(root)
    with LinkRegistry(root.library).changes() as changes:
        changes.exclude("comfyui", "diffusion/f/B")
    report = resolve_links(root.layout, root.app, root.models, {"diffusion/f/A": "overwrite"}, progress())
    assert (report.overwritten, report.errors) == (1, ())
    assert (root.models_folder / "c/m.bin").read_text() == "diffusion/f/A"


@pytest.mark.parametrize("kind", ["hardlink", "copy"])
def test_what_is_no_symbolic_link_goes_when_its_model_is_excluded(root, kind):
    target = root.models_folder / "c/A.bin"
    _make(root, kind)
    with LinkRegistry(root.library).changes() as changes:
        changes.exclude("comfyui", "diffusion/f/A")
    report = _apply(root)
    assert (report.created, report.removed) == (1, 1)
    assert not target.exists()
    assert [row.model_id for row in LinkRegistry(root.library).rows()] == ["diffusion/f/B"]
    assert "file: diffusion/f/A" in content_of(root.layout.data / "quarantine").values()


def test_links_of_a_library_that_is_the_models_folder_stay(root):
    (root.library / "diffusion/again").symlink_to("f/A")
    (root.library / "diffusion/away").symlink_to("f/not there now")
    root.models_folder.rmdir()
    root.models_folder.symlink_to(root.library)
    before = content_of(root.library / "diffusion")
    remove_orphans(root.layout, root.models_folder)
    _apply(root)
    resolve_links(root.layout, root.app, root.models, {}, progress())
    assert content_of(root.library / "diffusion") == before


def test_links_to_a_library_whose_drive_is_not_mounted_stay(root):
    _apply(root)
    before = root.content()
    root.library.rename(root.library.with_name("away"))
    root.library.mkdir()
    root.documents = {}
    assert any("mounted" in text for text in preview_links(root.layout, root.app, root.models).warnings)
    assert _apply(root).removed == 0
    assert root.content() == before


def test_incremental_sync_looks_at_its_own_links_only(root):
    _apply(root)
    (root.models_folder / "c/A.bin").unlink()
    (root.models_folder / "c/B.bin").unlink()
    models = [model for model in root.models if model.model_id == "diffusion/f/A"]
    assert sync_links(root.layout, root.app, models, progress()).created == 1
    assert list(root.content()) == ["c/A.bin"]


def test_a_file_that_is_overwritten_lies_in_the_quarantine(root):
    (root.models_folder / "c").mkdir()
    (root.models_folder / "c/A.bin").write_text("of the user")
    report = resolve_links(root.layout, root.app, root.models, {"diffusion/f/A": "overwrite"}, progress())
    assert (report.overwritten, report.errors) == (1, ())
    assert (root.models_folder / "c/A.bin").is_symlink()
    assert "file: of the user" in content_of(root.layout.data / "quarantine").values()


def test_another_link_of_the_user_is_replaced_only_on_request(root):
    (root.models_folder / "c").mkdir()
    (root.models_folder / "c/A.bin").symlink_to("/somewhere/else")
    assert _apply(root).skipped == 1
    report = resolve_links(root.layout, root.app, root.models, {"diffusion/f/A": "overwrite"}, progress())
    assert report.overwritten == 1
    assert (root.models_folder / "c/A.bin").read_text() == "diffusion/f/A"


def test_work_that_is_cancelled_does_nothing(root):
    ended = progress()
    ended.cancel_token.cancel()
    with pytest.raises(Cancelled):
        apply_links(root.layout, root.app, root.models, ended)
    assert root.content() == {}


def test_two_that_apply_at_once_make_each_link_once(root):
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(_apply(root))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.created for report in reports) == [0, 0, 0, 2]
    assert len(LinkRegistry(root.library).rows()) == 2


def test_a_damaged_register_stops_everything_before_it_begins(root):
    LinkRegistry(root.library).path.write_bytes(b"no database" * 1000)
    with pytest.raises(Damaged, match="doctor"):
        _apply(root)
    with pytest.raises(Damaged, match="doctor"):
        preview_links(root.layout, root.app, root.models)
    assert root.content() == {}


def test_a_bulk_change_is_preceded_by_a_backup(tmp_path):
    root = LinkRoot(tmp_path, {"models": [_model("A", *(f"{n}.bin" for n in range(BULK + 1)))], "configs": _RULES})
    _apply(root)
    backup = registry_backup(LinkRegistry(root.library).path)
    assert not backup.exists()  # there was nothing to keep
    for row in LinkRegistry(root.library).rows()[: BULK + 1]:
        os.unlink(row.target_path)
    _apply(root)
    assert len(LinkRegistry(root.library).rows()) == BULK + 1
    assert backup.exists()


def test_a_model_file_whose_name_is_no_utf8_gets_no_link(root):
    try:
        (root.library / "diffusion/f/A" / os.fsdecode(b"\xff.bin")).write_text("x")
    except OSError as exc:
        assert exc.errno == errno.EILSEQ
        pytest.skip("the file system takes no such names")
    assert _apply(root).created == 2


@pytest.mark.parametrize("kind", ["hardlink", "copy"])
def test_where_there_are_no_symbolic_links_files_are_made(root, kind):
    source, target = root.library / "diffusion/f/A/A.bin", root.models_folder / "c/A.bin"
    _make(root, kind)
    assert target.read_text() == "diffusion/f/A"
    assert target.samefile(source) is (kind == "hardlink")
    (row,) = LinkRegistry(root.library).rows()
    assert row.link_type == kind
    assert check_links(root.layout, root.models_folder).broken == ()
    assert remove_links_of(root.layout, "diffusion/f/A").removed == 1
    assert not target.exists()
    assert source.read_text() == "diffusion/f/A"


@pytest.mark.parametrize(
    ("platform", "is_external", "expected"),
    [("posix", False, "symlink"), ("posix", True, "symlink"), ("nt", False, "hardlink"), ("nt", True, "copy")],
)
def test_what_is_made_where(tmp_path, platform, is_external, expected):
    assert link_type_in(str(tmp_path), is_external=is_external, platform=platform) == expected
