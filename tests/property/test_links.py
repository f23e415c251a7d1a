"""A preview says exactly what applying does, whatever lies in the models folder; and what is not ours stays."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from support.linking import LinkRoot, progress

from pumas.links.apply import apply_links, preview_links, resolve_links
from pumas.links.health import check_links
from pumas.links.registry import LinkRegistry
from pumas.links.targets import is_linked

_NAMES = st.sampled_from(["a", "b", "c", "d"])
_MODELS = st.lists(
    st.tuples(_NAMES, st.sets(st.sampled_from(["a.bin", "b.bin", "b.txt", "c d.bin"]), min_size=1)),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one[0],
)
_RULES = st.lists(
    st.fixed_dictionaries(
        {
            "target_subdir": st.sampled_from(["x", "x/y", "z", "x/a.bin"]),
            "patterns": st.sampled_from([["*.bin"], ["*"], ["a*", "b*"]]),
            "priority": st.integers(0, 3),
        }
    ),
    max_size=3,
)
_WHAT = st.sampled_from(
    ["a file", "folder", "-> gone", "-> ../top", "-> {library}/diffusion/f/a/a.bin", "-> {library}/gone", "-> a.bin"]
)
_PLACES = st.sampled_from(["x/a.bin", "x/b.bin", "x/y/b.bin", "z/cd.bin", "z/b.txt", "z/other"])
_CHOICES = st.dictionaries(_NAMES, st.sampled_from(["skip", "overwrite", "rename"]))


def _root(folder, models, rules, app):
    return LinkRoot(
        Path(folder),
        {
            "models": [{"id": f"diffusion/f/{name}", "files": sorted(files)} for name, files in models],
            "configs": {"comfyui_*_default.json": {"mappings": rules}},
            "app": app,
        },
    )


def _of_the_user(root):
    """Files, and links that don't lead into the library, by path."""
    return {
        name: what
        for name, what in root.content().items()
        if what.startswith("file:") or (what.startswith("->") and "/models/" not in what and "{library}" not in what)
    }


@settings(max_examples=30, deadline=None)
@given(models=_MODELS, rules=_RULES, app=st.dictionaries(_PLACES, _WHAT, max_size=5))
def test_preview_and_apply_agree(models, rules, app):
    with tempfile.TemporaryDirectory() as folder:
        root = _root(folder, models, rules, app)
        users, before = _of_the_user(root), root.content()
        plan = preview_links(root.layout, root.app, root.models)
        assert root.content() == before
        report = apply_links(root.layout, root.app, root.models, progress())
        planned = (plan.to_create, plan.to_replace, plan.to_remove, plan.in_place, plan.conflicts)
        counts = (report.created, report.updated, report.removed, report.unchanged, report.skipped)
        assert counts == tuple(map(len, planned))
        right = {one.target_path for one in (*plan.to_create, *plan.to_replace, *plan.in_place)}
        rows = LinkRegistry(root.library).rows()
        assert {row.target_path for row in rows} == right
        assert all(is_linked(row) and os.path.samefile(row.target_path, row.source_path) for row in rows)
        assert not any(os.path.lexists(one.target_path) for one in plan.to_remove if one.target_path not in right)
        assert _of_the_user(root) == users
        again = preview_links(root.layout, root.app, root.models)
        # A dead link of ours in the place of a folder was in the way of a rule, and is gone now.
        if not any("leads to no folder" in error for error in plan.errors):
            assert (again.to_create, again.to_replace, again.to_remove) == ((), (), ())
        # Not equal: a user's link may lead to one of ours that is there now.
        assert {one.target_path for one in again.conflicts} <= {one.target_path for one in plan.conflicts}
        assert check_links(root.layout, root.models_folder).broken == ()


@settings(max_examples=30, deadline=None)
@given(models=_MODELS, rules=_RULES, app=st.dictionaries(_PLACES, _WHAT, max_size=5), choices=_CHOICES)
def test_no_choice_costs_a_file(models, rules, app, choices):
    with tempfile.TemporaryDirectory() as folder:
        root = _root(folder, models, rules, app)
        files = sum(what.startswith("file:") for what in root.content().values())
        chosen = {f"diffusion/f/{name}": choice for name, choice in choices.items()}
        report = resolve_links(root.layout, root.app, root.models, chosen, progress())
        quarantine = root.layout.data / "quarantine"
        kept = [path for path in quarantine.rglob("*") if path.is_file() and path.name != "quarantine.log"]
        assert files == sum(what.startswith("file:") for what in root.content().values()) + len(kept)
        assert all(is_linked(row) for row in LinkRegistry(root.library).rows())
        assert len(LinkRegistry(root.library).rows()) == report.in_place
