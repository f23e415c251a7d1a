"""Importing against the recorded cases; what each began with is told by its name, contents by their digests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.cases import check, library_cases
from support.headers import safetensors, tensor
from support.roots import write_model

from pumas import PumasApi

_LLAMA = next(
    case for _, case in (param.values for param in library_cases("identify")) if case["name"] == "arch-00.gguf"
)
_CONTENTS = {
    "a.ckpt": b"zz",
    "readme.txt": b"hello",
    "README": b"1",
    ".hidden": b"1",
    "my model.bin": b"22",
    "mymodel.bin": b"333",
    "b.bin": b"b",
    "metadata.json": b'{"own": 1}\n',
    "a.safetensors": safetensors("[]"),
}
_GIVEN: dict[str, dict[str, Any]] = {
    "one GGUF, generic family is replaced by the detected one": {"family": "imported"},
    "given family is kept": {"family": "My Family"},
    "family empty": {"family": ""},
    "family unknown and nothing detected": {"family": "unknown"},
    "repo id": {"family": "x", "repo_id": "org/repo"},
    "model_type given, no subtype": {"model_type": "diffusion"},
    "model_type llm given with subtype": {"model_type": "llm", "subtype": "chat"},
    "subtype without model_type is ignored": {"subtype": "chat"},
    "name without usable characters": {"official_name": "!!!", "family": "!!!"},
}


def _content(name: str) -> bytes:
    if name == "big.safetensors":
        hints = ("down_blocks", "up_blocks", "mid_block", "time_embedding", "conv_in", "conv_out")
        names = [f"{hint}.{number}.weight" for hint in hints for number in range(3)]
        header = {name: tensor("F32", [1], 4 * at, 4 * at + 4) for at, name in enumerate(names)}
        data = safetensors(header, bytes(4 * len(names)))
        return safetensors(json.dumps(header) + " " * (2329 - len(data)), bytes(4 * len(names)))
    return _CONTENTS.get(name, bytes.fromhex(_LLAMA["hex"]))


def _tree(folder: Path) -> list[str]:
    return sorted(
        f"{path.relative_to(folder).as_posix()}{'/' if path.is_dir() else ''}"
        for path in folder.rglob("*")
        if ".pumas" not in path.parts and not path.name.startswith("models.db")
    )


def _compared(document: dict[str, Any] | None, *, has_hashes: bool) -> dict[str, Any] | None:
    """A document without times, without what the original never writes, its files in order of their names."""
    if document is None:
        return None
    files = [{key: file[key] for key in ("name", "original_name", "size")} for file in document["files"]]
    changed = {"files": sorted(files, key=lambda file: file["name"]), "added_date": "<time>", "updated_date": "<time>"}
    return {**document, **changed, **({} if has_hashes else {"hashes": None})}


@pytest.mark.parametrize(("case_id", "case"), library_cases("import"))
def test_import(case_id, case, library, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name in case["in_before"]:
        path = source / name
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_bytes(_content(path.name))
    if case["name"] == "second import of the same name":
        write_model(library, "llm/fam/MyModel10")
        (library / "llm/fam/MyModel10/MyModel10.gguf").rename(library / "llm/fam/MyModel10/x.gguf")
        (library / "llm/fam/MyModel10/overrides.json").write_text("{}")
    if case["name"] == "left-over temporary folder is reused":
        old = library / "llm/fam/.tmp_import_MyModel10/old.gguf"
        old.parent.mkdir(parents=True)
        old.write_bytes(b"GGUF")
    given = {"family": "fam", "official_name": "My Model 1.0", **_GIVEN.get(case["name"], {})}
    path = source / (case["in_before"][0] if case["in_before"] else "missing")
    with PumasApi(library.parents[1]) as api:
        (result,) = api.import_model(path, mode="move", allows_duplicates=True, **given).result().results
        index = sorted(model.model_id for model in api.list_models())
    document = None if result.model_path is None else json.loads((result.model_path / "metadata.json").read_text())
    has_hashes = case["name"] != "folder: type from the largest file"  # the recorded file is not told
    ours = {
        **case,
        "in_after": _tree(source),
        "returned": None if result.model_path is None else str(result.model_path).replace(str(library), "{library}"),
        "error": "FileNotFoundError" if result.error_kind == "not_found" else result.error and str(result.error_kind),
        "library_after": _tree(library),
        "metadata": _compared(document, has_hashes=has_hashes),
        "index": index,
    }
    recorded = {**case, "metadata": _compared(case["metadata"], has_hashes=has_hashes)}
    keys = ("in_after", "returned", "error", "library_after", "metadata", "index")
    check(case_id, {key: recorded[key] for key in keys}, {key: ours[key] for key in keys})


def test_batch(serve, library, tmp_path):
    recorded, empty = (case for _, case in (param.values for param in library_cases("import.batch")))
    source = library.parents[1] / "in"
    source.mkdir()
    (source / "a.gguf").write_bytes(_content("a.gguf"))
    (source / "b.ckpt").write_bytes(b"zz")
    client = serve(library.parents[1])
    specs: list[dict[str, str]] = [
        {"path": str(source / "a.gguf"), "family": "imported"},
        {"path": str(source / "b.ckpt"), "official_name": "B", "model_type": "diffusion", "subtype": "vae"},
        {"path": ""},
        {"path": str(source / "none")},
        {},
    ]
    answer = client.call("import_batch", {"import_specs": specs})
    assert json.loads(json.dumps(answer).replace(str(library.parents[1]), "{root}")) == recorded
    assert client.call("import_batch", {"import_specs": []}) == empty["empty list"]


@pytest.mark.parametrize(("case_id", "case"), library_cases("hash.dual"))
def test_digests(case_id, case, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(number % 251 for number in range(case["size"])))
    with PumasApi(tmp_path / "root") as api:
        (found,) = api.hash_files([path]).result()
    check(case_id, case, {"size": case["size"], "sha256": found.sha256, "blake3": found.blake3})
