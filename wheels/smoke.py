"""Installs the wheels of `wheels/dist` as a user would and tries them.

Everything happens in a temporary folder outside the checkout (inside it `import pumas` would find the sources), with
a `PATH` that has no compiler, from wheels only. The dependencies come from the index that pip is configured with.

First what appeared is compared with what should (top-level packages, commands). Then this file runs once more in the
new environment, with `--inside`: it scans a folder, indexes and searches a root, serves it, asks over HTTP and ends it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import Distribution, distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from urllib.request import ProxyHandler, Request, build_opener

DIST = Path(__file__).parent / "dist"
PACKAGES = {"pumas-library": {"pumas"}, "pumas-native": {"pumas_native"}}
COMMANDS = {"pumas-library": {"pumas", "pumas-rpc"}, "pumas-native": set[str]()}
MODELS = {"llm/llama/smoke-llama": "Smoke Llama", "diffusion/sdxl/smoke-sdxl": "Smoke SDXL"}
START_S = 30
END_S = 10


def _check(what: str, got: object, expected: object) -> None:
    # Not `assert`: it must hold under -O as well.
    if got != expected:
        raise SystemExit(f"wheels/smoke.py: {what}: expected {expected!r}, got {got!r}")
    print(f"ok  {what}")


def install(folder: Path) -> Path:
    """Make an empty environment and install both wheels; returns its interpreter."""
    venv.create(folder, with_pip=True)
    scripts = Path(sysconfig.get_path("scripts", "venv", {"base": str(folder), "platbase": str(folder)}))
    python = scripts / Path(sys.executable).name
    wheels = sorted(str(path) for path in DIST.glob("*.whl"))
    _check("wheels in wheels/dist", len(wheels), len(PACKAGES))
    command: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*command, "--only-binary", ":all:", "--find-links", DIST.resolve(), *wheels],
        cwd=folder,
        env=os.environ | {"PATH": str(scripts)},
        check=True,
    )
    return python


def _top_level(installed: Distribution) -> set[str]:
    parts = (path.parts for path in installed.files or ())
    return {part[0] for part in parts if part[0] != ".." and not part[0].endswith(".dist-info")}


def check_installed() -> None:
    """Exactly these packages and commands were installed, and none from the checkout."""
    for name, expected in PACKAGES.items():
        _check(f"packages of {name}", _top_level(distribution(name)), expected)
        commands = {entry.name for entry in distribution(name).entry_points if entry.group == "console_scripts"}
        _check(f"commands of {name}", commands, COMMANDS[name])
        missing = {one for one in commands if not (Path(sys.executable).parent / one).is_file()}
        _check(f"commands of {name} that are not there", missing, set())


def make_root(root: Path) -> None:
    """A launcher root with two models: their documents, one byte of weights each."""
    for model_id, official_name in MODELS.items():
        folder = root / "shared-resources" / "models" / model_id
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"\0")
        model_type, family, name = model_id.split("/")
        document = {"model_id": name, "family": family, "model_type": model_type, "official_name": official_name}
        (folder / "metadata.json").write_text(json.dumps(document), encoding="utf-8")


def check_scan(root: Path) -> None:
    """The compiled part works and is a release build."""
    import pumas_native  # noqa: PLC0415 - only in the new environment

    _check("build profile", pumas_native.build_profile, "release")
    tree = pumas_native.scan_tree(root, names=["metadata.json"])
    found = [tree.path(index) for index, kind in enumerate(tree.kinds) if kind == ord("f")]
    expected = sorted(f"shared-resources/models/{model_id}/metadata.json" for model_id in MODELS)
    _check("scan", sorted(Path(path).as_posix() for path in found), expected)
    path = root / "shared-resources" / "models" / next(iter(MODELS)) / "model.safetensors"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    _check("digest", pumas_native.hash_file(path, ["sha256"]), {"sha256": sha256})


def check_search(root: Path) -> None:
    """`PumasApi` indexes the root and finds a model."""
    from pumas import PumasApi  # noqa: PLC0415 - only in the new environment

    with PumasApi(root) as api:
        api.refresh_models().result(START_S)
        found = [hit.model.model_id for hit in api.search_models_fts("llama").hits]
    _check("search", found, ["llm/llama/smoke-llama"])


def check_ranking(root: Path) -> None:
    """The compiled ranking gives the page that FTS5 gives."""
    from pumas.search.oracle import check_scores  # noqa: PLC0415 - only in the new environment
    from pumas.search.postings import build_postings  # noqa: PLC0415
    from pumas.search.ranking import Ranker  # noqa: PLC0415
    from pumas.search.tokenizer import Tokenizer  # noqa: PLC0415

    with closing(sqlite3.connect(root / "shared-resources" / "models" / "models.db")) as db:
        postings = build_postings(db)
        check_scores(db, postings)
        page = Ranker(postings, Tokenizer()).rank("smoke sdxl", limit=1)
        row = db.execute("SELECT id FROM models WHERE rowid = ?", (page.rowids[0] if page else 0,)).fetchone()
    _check("ranking", row, ("diffusion/sdxl/smoke-sdxl",))


def _call(port: int, method: str, params: Mapping[str, object]) -> dict[str, object]:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = Request(f"http://127.0.0.1:{port}/rpc", body, {"Content-Type": "application/json"})
    # No proxy of the environment stands between us and loopback.
    with build_opener(ProxyHandler({})).open(request, timeout=END_S) as response:
        answer: dict[str, dict[str, object]] = json.load(response)
    if "result" not in answer:
        raise SystemExit(f"wheels/smoke.py: {method} answered {answer}")
    return answer["result"]


def check_server(root: Path) -> None:
    """`pumas-rpc` says its port, answers a search and ends with 0 when told to."""
    command: list[str | Path] = [Path(sys.executable).parent / "pumas-rpc", "--port", "0", "--launcher-root", root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        watch = Timer(START_S, server.kill)  # ends the reading below if no line ever comes
        watch.start()
        try:
            if server.stdout is None:  # for the type checker: we asked for a pipe
                raise SystemExit("wheels/smoke.py: no pipe")
            name, _, port = server.stdout.readline().strip().partition("=")
            _check("announcement", name, "RPC_PORT")
            found = _call(int(port), "search_models_fts", {"query": "sdxl"})
            _check("search over HTTP", found["total_count"], 1)
            _call(int(port), "shutdown", {})
            _check("exit code of the server", server.wait(END_S), 0)
        finally:
            watch.cancel()
            server.kill()  # nothing happens to one that has ended


def try_it() -> None:
    """What runs inside the new environment."""
    check_installed()
    with TemporaryDirectory() as name:
        root = Path(name) / "root"
        make_root(root)
        check_scan(root)
        check_search(root)
        check_ranking(root)
        check_server(root)


def main() -> None:
    """Install, then run this file in the new environment."""
    with TemporaryDirectory(prefix="pumas-smoke-") as name:
        folder = Path(name).resolve()
        python = install(folder / "venv")
        home = folder / "home"
        home.mkdir()
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PUMAS_", "PYTHON"))}
        # -P: the folder of this file does not become a place to import from.
        subprocess.run(
            [python, "-P", Path(__file__).resolve(), "--inside"],
            cwd=folder,
            env=kept | {"PATH": str(python.parent), "HOME": str(home)},
            check=True,
        )


if __name__ == "__main__":
    if sys.argv[1:] == ["--inside"]:
        try_it()
    else:
        main()
