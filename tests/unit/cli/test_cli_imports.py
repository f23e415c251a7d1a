"""`pumas import` as a user runs it."""

from __future__ import annotations

import json

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


def test_a_duplicate_is_refused_until_it_is_asked_for(pumas, tmp_path):
    path = tmp_path / "a.gguf"
    path.write_bytes(LLAMA)
    assert pumas("import", str(path))[0] == 0
    code, _, err = pumas("import", str(path))
    assert code == 1
    assert "in the library already: llm/llama/a/a.gguf" in err
    assert pumas("import", str(path), "--duplicates")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "told"), [(("--mode", "steal"), "There is no mode 'steal'"), (("b", "--name", "A"), "one PATH only")]
)
def test_bad_options_are_refused(arguments, told, pumas, tmp_path):
    code, _, err = pumas("import", str(tmp_path / "a.gguf"), *arguments)
    assert code == 2
    assert told in err
