"""Links that were made: their health, clean-up, and the removal of a model's links."""

from __future__ import annotations

import json

import msgspec
import pytest
from support.cases import check, library_cases
from support.linking import LinkRoot

from pumas.linked import PlannedLink
from pumas.links.health import check_links, clean_links, remove_links_of, remove_orphans
from pumas.links.registry import LinkRegistry
from pumas.rpc.link_wrapping import link_health_response


def register(root: LinkRoot, rows: list[tuple[str, str, str, bool]]) -> None:
    """Rows as another process left them: id, source below the library, target below the models folder."""
    links = [
        PlannedLink(
            model_id=model_id,
            model_name="",
            source_path=f"{root.library}/{source}",
            target_path=f"{root.models_folder}/{target}",
            link_type="symlink",
            link_text="",
            is_external=is_external,
        )
        for model_id, source, target, is_external in rows
    ]
    with LinkRegistry(root.library).changes() as changes:
        changes.settle([], links, root.app.key)


@pytest.mark.parametrize(("case_id", "case"), library_cases("links.health"))
def test_health(case_id, case, tmp_path):
    root = LinkRoot(tmp_path, case["given"])
    register(root, [(*row, False)[:4] for row in case["registered"]])

    def answer(models_folder):
        response = link_health_response(check_links(root.layout, models_folder))
        return root.named(json.loads(msgspec.json.encode(response)))

    health = answer(root.models_folder)
    del health["success"]
    for broken in health["broken_links"]:
        assert broken.pop("link_id")
    ours = {
        "health": health,
        "status_without_app_folder": answer(None)["status"],
        "clean_broken_links": clean_links(root.layout).forgotten,
        "app_after_clean": root.content(),
        "rows_after_clean": len(LinkRegistry(root.library).rows()),
        "remove_orphaned_links": remove_orphans(root.layout, root.models_folder).removed,
        "app_after_orphans": root.content(),
    }
    ours = json.loads(json.dumps(ours).replace(str(root.library), "{library}"))
    check(case_id, {key: case[key] for key in ours}, ours)


@pytest.mark.parametrize(("case_id", "case"), library_cases("links.cascade")[:1])
def test_cascade(case_id, case, tmp_path):
    source = "diffusion/f/M/m.safetensors"
    given = {
        "models": [{"id": "diffusion/f/M", "files": ["m.safetensors"]}],
        "app": {"c/a": f"-> {{library}}/{source}", "c/b": "user", "c/c": "folder", "c/z": f"-> {{library}}/{source}"},
    }
    root = LinkRoot(tmp_path, given)
    register(root, [("diffusion/f/M", source, f"c/{name}", False) for name in ("a", "b", "none", "c")])
    register(root, [("diffusion/f/N", "diffusion/f/N/n.safetensors", "c/z", False)])
    removed = remove_links_of(root.layout, "diffusion/f/M").removed
    ours = {
        "removed": removed,
        "app_after": {name: what for name, what in root.content().items() if name != "c/z"},
        "rows_left": root.named([row.target_path for row in LinkRegistry(root.library).rows()]),
        "model_folder_still_there": (root.library / source).is_file(),
    }
    check(case_id, {key: case[key] for key in ours}, ours)
