"""`pumas import` as a user runs it."""

from __future__ import annotations

import json
import os

import pytest
from support.headers import Gguf

from pumas.cli import main

LLAMA = Gguf().file([("general.architecture", "string", "llama")])


@pytest.fixture
def pumas(tmp_path, capsys):
    """Run one command on a root of its own; exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--root", str(tmp_path / "root")])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_import_says_what_became_of_each_path(pumas, tmp_path):
    path = tmp_path / "My Model.gguf"
    path.write_bytes(LLAMA)
    code, out, err = pumas("import", str(path), str(tmp_path / "none"), "--tag", "chat")
    assert (code, out) == (1, "llm/llama/MyModel: 1 file, 69 B\n1 model imported\n")
    assert err == f"pumas: {tmp_path}/none: Local path not found: {tmp_path}/none\n"
    assert path.exists()
    code, out, _ = pumas("list", "--json")
    assert [(model["model_id"], model["tags"]) for model in json.loads(out)] == [("llm/llama/MyModel", ["chat"])]


def test_import_moves_and_names(pumas, tmp_path):
    path = tmp_path / "a.gguf"
    path.write_bytes(LLAMA)
    code, out, err = pumas("import", str(path), "--mode", "move", "--name", "Other", "--family", "own", "--json")
    assert (code, err) == (0, "")
    (result,) = json.loads(out)["results"]
    assert result["model_id"] == "llm/own/Other"
    assert not path.exists()


def test_a_dry_run_tells_and_does_nothing(pumas, tmp_path):
    path = tmp_path / "My-Model.gguf"
    path.write_bytes(LLAMA)
    (tmp_path / "note.txt").write_text("text")
    code, out, err = pumas("import", "--dry-run", str(path), str(tmp_path / "note.txt"))
    assert code == 1
    head, found, refused = out.splitlines()
    assert head.split() == ["PATH", "MODEL", "TYPE", "FILES", "SIZE", "CONFIDENCE", "EVIDENCE"]
    assert found.split()[1:7] == ["llm/llama/My-Model", "llm", "1", "69", "B", "100%"]
    assert refused.split()[1] == "refused"
    assert "no file of a known model format" in err
    assert path.exists()
    assert json.loads(pumas("list", "--json")[1]) == []
    code, out, _ = pumas("import", "--dry-run", "--json", "--family", "own", str(path))
    assert (code, [one["model_id"] for one in json.loads(out)]) == (0, ["llm/own/My-Model"])


def test_a_duplicate_is_refused_until_it_is_asked_for(pumas, tmp_path):
    path = tmp_path / "a.gguf"
    path.write_bytes(LLAMA)
    assert pumas("import", str(path))[0] == 0
    code, _, err = pumas("import", str(path))
    assert code == 1
    assert "in the library already: llm/llama/a/a.gguf" in err
    assert pumas("import", str(path), "--duplicates")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "told"), [(("--mode", "steal"), "There is no mode 'steal'"), (("b", "--name", "A"), "one model only")]
)
def test_bad_options_are_refused(arguments, told, pumas, tmp_path):
    code, _, err = pumas("import", str(tmp_path / "a.gguf"), *arguments)
    assert code == 2
    assert told in err


def test_shards_are_one_model_and_a_dry_run_says_so(pumas, tmp_path):
    paths = [tmp_path / f"My Set-{number:05d}-of-00002.gguf" for number in (1, 2)]
    for path in paths:
        path.write_bytes(LLAMA)
    code, out, _ = pumas("import", *map(str, paths), "--dry-run", "--json")
    (candidate,) = json.loads(out)
    assert (code, candidate["model_id"]) == (0, "llm/llama/MySet")
    code, out, _ = pumas("import", *map(str, paths), "--mode", "move", "--json")
    (result,) = json.loads(out)["results"]
    assert (code, result["model_id"], result["file_count"]) == (0, "llm/llama/MySet", 2)
    assert not any(path.exists() for path in paths)


def test_names_of_any_bytes_can_be_told(pumas, tmp_path):
    path = tmp_path / os.fsdecode(b"\xff\xfe.gguf")
    path.write_bytes(LLAMA)
    code, out, _ = pumas("import", str(path), str(path) + "no", "--json")
    first, second = json.loads(out)["results"]
    assert (code, first["model_id"]) == (1, "llm/llama/model")
    assert second["error"].startswith("Local path not found: ")
