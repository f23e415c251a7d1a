"""`pumas identify` as a user meets it."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from support.headers import Gguf, safetensors, tensor

from pumas.cli import main

SIZE = 256 * 4 // 256 * 144


@pytest.fixture
def pumas(tmp_path, library, capfd):
    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--root", str(library.parents[1])])
        return int(ended.value.code or 0), *capfd.readouterr()

    return run


class Harm:
    def __reduce__(self) -> Any:
        return os.mkdir, ("was-loaded",)


def gguf(path: Path) -> Path:
    keys = [("general.architecture", "string", "llama"), ("general.file_type", "uint32", 15)]
    path.write_bytes(Gguf().file(keys, [("w", (256, 4), 12, 0)], bytes(SIZE + 32)))
    return path


def test_people_see_a_table(pumas, tmp_path):
    lora = tmp_path / "lora.safetensors"
    metadata = {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}
    lora.write_bytes(safetensors({"__metadata__": metadata, "a": tensor("F16", (2, 3), 0, 12)}, bytes(12)))
    code, out, err = pumas("identify", gguf(tmp_path / "m.gguf"), lora)
    head, first, second = out.splitlines()
    assert head.split() == ["PATH", "FORMAT", "ARCHITECTURE", "QUANTIZATION", "PARAMETERS", "TENSORS", "SIZE", "RISK"]
    assert first.split()[1:6] == ["gguf", "llama", "Q4_K_M", "1.0", "K"]
    assert second.split()[1:4] == ["safetensors", "stable-diffusion-xl-v1-base/l…", "F16"]
    assert (code, err) == (0, "")


def test_programs_see_the_record(pumas, library):
    path = gguf(library / "m.gguf")
    code, out, err = pumas("identify", path, "--json")
    (found,) = json.loads(out)
    assert (found["path"], found["format"], found["problem"]) == (str(path), "gguf", None)
    assert found["header"]["parameter_count"] == 1024
    assert found["header"]["metadata"] == {"general.architecture": "llama", "general.file_type": 15}
    assert (code, err) == (0, "")


def test_a_name_that_is_not_utf8(pumas, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.gguf")
    gguf(Path(path))
    code, out, _ = pumas("identify", path, "--json")
    assert (code, json.loads(out)[0]["path"]) == (0, f"{tmp_path}/\\xff.gguf")
    assert pumas("identify", path)[0] == 0
    os.truncate(path, 4)
    assert pumas("identify", path)[2].startswith(f"pumas: {tmp_path}/\\xff.gguf: it ends")


def test_what_is_wrong_is_told_and_ends_with_1(pumas, tmp_path):
    (tmp_path / "bad.gguf").write_bytes(b"GGUF")
    (tmp_path / "bad.pt").write_bytes(pickle.dumps(Harm(), 2))
    (tmp_path / "model_index.json").write_text('{"_class_name": "P", "unet": ["a", "b"]}')
    code, out, err = pumas("identify", *sorted(tmp_path.glob("*.*")), tmp_path / "gone\n")
    assert code == 1
    assert len(out.splitlines()) == 5
    assert "dangerous" in out
    assert err.splitlines() == [
        f"pumas: {tmp_path}/bad.gguf: it ends in the middle of its version (byte 4)",
        f"pumas: {tmp_path}/bad.pt: loading it can do harm, it would call {os.mkdir.__module__}.mkdir; do not load it",
        f"pumas: {tmp_path}/model_index.json: 1 of the files or folders it names are missing: unet",
        f"pumas: {tmp_path}/gone : it can't be read: No such file or directory",
    ]
    assert not Path("was-loaded").exists()


def test_neither_root_nor_cache_is_made_for_files_elsewhere(capfd, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["identify", str(gguf(tmp_path / "m.gguf")), "--root", str(tmp_path / "root")])
    assert not ended.value.code
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("data", "told"), [(pickle.dumps(Path(), 2), "load it only if"), (b"\x80\x02}", "can't be told")]
)
def test_a_doubtful_pickle_is_told_and_ends_with_0(data, told, pumas, tmp_path):
    (tmp_path / "a.pt").write_bytes(data)
    code, _, err = pumas("identify", tmp_path / "a.pt")
    assert code == 0
    assert told in err
