"""Links under kill -9: whatever was being done, every link is registered and right, or absent; no user file changed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from support.linking import LinkRoot, content_of, progress

from pumas.links.apply import apply_links, preview_links
from pumas.links.registry import LinkRegistry
from pumas.links.steps import settle_links
from pumas.links.targets import is_linked

_ROUNDS = int(os.environ.get("PUMAS_FAULT_ROUNDS") or 15)
_MODELS = 6

# The last-th line of the code that changes links is the last that is run.
_KILLED_AT_A_LINE = """
import os, signal, sys
from pathlib import Path
from support.linking import LinkRoot, progress
from pumas.links.apply import apply_links, resolve_links, sync_links
from pumas.links.health import clean_links

folder, what, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
root = LinkRoot(folder)
lines = 0

def trace(frame, event, _):
    global lines
    if not frame.f_code.co_filename.endswith(("links/steps.py", "links/registry.py", "links/health.py", "removal.py")):
        return None
    if event == "line":
        lines += 1
        if lines == last:
            os.kill(os.getpid(), signal.SIGKILL)
    return trace

sys.settrace(trace)
if what == "apply":
    apply_links(root.layout, root.app, root.models, progress())
elif what == "sync":
    sync_links(root.layout, root.app, root.models, progress())
elif what == "clean":
    clean_links(root.layout)
else:
    resolve_links(root.layout, root.app, root.models, {model.model_id: what for model in root.models}, progress())
sys.settrace(None)
print(lines)
"""


def _root(folder: Path) -> LinkRoot:
    models = [{"id": f"diffusion/f/M{n}", "files": [f"m{n}.safetensors"]} for n in range(_MODELS)]
    rules = {"mappings": [{"target_subdir": name, "patterns": ["*.safetensors"]} for name in ("a", "b/c")]}
    app = {
        "a/m0.safetensors": "a user's file",
        "a/m1.safetensors": "-> ../user.bin",
        "a/m2.safetensors": "-> {library}/diffusion/f/M3/m3.safetensors",
        "a/dead.safetensors": "-> {library}/diffusion/f/Gone/g.safetensors",
        "user.bin": "another",
    }
    return LinkRoot(folder, {"models": models, "configs": {"comfyui_*_default.json": rules}, "app": app})


def _run(folder: Path, what: str, last: int) -> subprocess.CompletedProcess[str]:
    tests = Path(__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-c", _KILLED_AT_A_LINE, str(folder), what, str(last)],
        env={**os.environ, "PYTHONPATH": str(tests)},
        capture_output=True,
        text=True,
        check=False,
    )


def _prepare(root: LinkRoot, what: str) -> None:
    if what == "clean":
        apply_links(root.layout, root.app, root.models, progress())
        for n in range(3):
            (root.library / f"diffusion/f/M{n}/m{n}.safetensors").unlink()


def _check(root: LinkRoot, before: dict[str, str]) -> None:
    settle_links(root.layout)
    registry = LinkRegistry(root.library)
    rows = {row.target_path: row for row in registry.rows()}
    after = root.content()
    assert not [name for name in after if ".pumas-" in name]
    for name, what in after.items():
        path = root.models_folder / name.rstrip("/")
        # What the user had renamed is what it was.
        if what.startswith("-> ") and what != before.get(name.removesuffix(".old")):
            assert is_linked(rows[str(path)]), name
    for target, row in rows.items():
        assert is_linked(row) or not os.path.lexists(target)
    kept = {**after, **content_of(root.layout.data)}.values()
    assert "file: a user's file" in kept
    assert "file: another" in kept
    assert any(what == "-> ../user.bin" for what in after.values()) or before.get("chosen") == "overwrite"
    for n in range(_MODELS):
        file = root.library / f"diffusion/f/M{n}/m{n}.safetensors"
        assert not file.exists() or file.read_text() == f"diffusion/f/M{n}"


@pytest.mark.parametrize("what", ["apply", "sync", "overwrite", "rename", "clean"])
def test_killed_at_any_line(what, tmp_path):
    whole = _root(tmp_path / "whole")
    _prepare(whole, what)
    done = _run(tmp_path / "whole", what, 0)
    assert done.returncode == 0, done.stderr
    lines = int(done.stdout)
    chosen = random.Random().sample(range(1, lines + 1), min(lines, max(1, _ROUNDS // 5)))
    for last in chosen:
        root = _root(tmp_path / str(last))
        _prepare(root, what)
        before = {**root.content(), "chosen": what}
        killed = _run(tmp_path / str(last), what, last)
        assert killed.returncode == -9, (last, killed.stderr)
        _check(root, before)
        apply_links(root.layout, root.app, root.models, progress())
        plan = preview_links(root.layout, root.app, root.models)
        assert not (plan.to_create or plan.to_replace or plan.to_remove), last
