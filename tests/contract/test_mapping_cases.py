"""Mapping rules: which documents and models they fit, what a preview says, what applying does."""

from __future__ import annotations

import json

import msgspec
import pytest
from support.cases import check, library_cases
from support.linking import LinkRoot, progress

from pumas.errors import InvalidInput
from pumas.links.apply import apply_links, preview_links, resolve_links, sync_links
from pumas.links.mapping import specificity
from pumas.links.registry import LinkRegistry
from pumas.links.selection import filters_of, mapped_model, range_for, version_allowed
from pumas.rpc.link_wrapping import mapping_preview_response, resolutions_response, sync_response


@pytest.mark.parametrize(("case_id", "case"), library_cases("mapping.specificity"))
def test_specificity(case_id, case):
    check(case_id, case["out"], specificity(case["version"], case["variant"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("mapping.filters"))
def test_filters(case_id, case):
    check(case_id, case["out"], filters_of(case["filters"]).take(mapped_model("diffusion/f/A", case["metadata"])))


@pytest.mark.parametrize(("case_id", "case"), library_cases("mapping.version_range"))
def test_version_range(case_id, case):
    specifier = range_for({"version_ranges": {"ComfyUI": case["range"]}}, "comfyui")
    check(case_id, case["allowed"], version_allowed(specifier, case["app_version"]))


_SENT = {
    "to_create": ("link_type",),
    "to_skip_exists": (),
    "conflicts": ("existing_target",),
    "broken_to_remove": ("existing_target",),
}


def _listed(preview):
    """A preview without the fields that are not sent; the lists in an order of their own."""
    for name, sent in _SENT.items():
        actions = []
        for action in preview.get(name, []):
            kept = {key.removesuffix("_path"): value for key, value in action.items() if value}
            for key in {"link_type", "existing_target"}.difference(sent):
                kept.pop(key, None)
            actions.append(kept)
        preview[name] = sorted(actions, key=lambda one: one["target"] + one.get("source", ""))
    return preview


@pytest.mark.parametrize(("case_id", "case"), library_cases("mapping"))
def test_preview_and_apply(case_id, case, tmp_path):
    root = LinkRoot(tmp_path, case["given"], version=case["app_version"])
    before = root.content()
    plan = preview_links(root.layout, root.app, root.models)
    assert root.content() == before
    report = apply_links(root.layout, root.app, root.models, progress())
    assert (report.created, report.updated, report.removed) == tuple(
        map(len, (plan.to_create, plan.to_replace, plan.to_remove))
    )
    assert report.in_place == len(LinkRegistry(root.library).rows())
    preview = json.loads(msgspec.json.encode(mapping_preview_response(plan)))
    ours = {
        "preview": _listed({key: root.named(one) for key, one in preview.items() if key != "success"}),
        "apply": {"returned": report.in_place, "app_after": root.content(), "registry_rows": report.in_place},
    }
    recorded = {"preview": case["preview"], "apply": case["apply"]}
    if "error" not in case["preview"]:
        recorded["preview"] = _listed(case["preview"])
    check(case_id, recorded, ours)
    again = preview_links(root.layout, root.app, root.models)
    assert not (again.to_create or again.to_replace or again.to_remove)
    assert again.conflicts == plan.conflicts


@pytest.mark.parametrize(("case_id", "case"), library_cases("mapping.sync_incremental"))
def test_sync_incremental(case_id, case, tmp_path):
    root = LinkRoot(tmp_path, case["given"])
    models = [model for model in root.models if model.model_id in case["model_ids"]]
    answer = sync_response(sync_links(root.layout, root.app, models, progress()))
    counts = {key: getattr(answer, key) for key in ("links_created", "links_updated", "links_skipped")}
    recorded = {"result": case["result"], "app_after": case["app_after"]}
    check(case_id, recorded, {"result": counts, "app_after": root.content()})


@pytest.mark.parametrize(("case_id", "case"), library_cases("mapping.sync_with_resolutions"))
def test_sync_with_resolutions(case_id, case, tmp_path):
    root = LinkRoot(tmp_path, case["given"])
    recorded = {key: case[key] for key in ("result", "app_after", "registered")}
    try:
        report = resolve_links(root.layout, root.app, root.models, case["resolutions"], progress())
    except InvalidInput as exc:
        check(case_id, recorded, {"error": str(exc), "app_after": root.content()})
        return
    answer = msgspec.structs.asdict(resolutions_response(report))
    ours = {
        "result": root.named({key: answer[key] for key in case["result"]}),
        "app_after": root.content(),
        "registered": sorted(root.named([row.target_path for row in LinkRegistry(root.library).rows()])),
    }
    check(case_id, recorded, ours)
