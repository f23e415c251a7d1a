from __future__ import annotations

import json
import tempfile

import pytest
from support.roots import write_model

from pumas import PumasApi
from pumas.cli import main
from pumas.config import Config
from pumas.store.metadata import VERSIONS, locate, update
from pumas.store.paths import Layout


@pytest.fixture
def root(library, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    write_model(library, "llm/llama/one")
    folder = library.parents[1]
    with PumasApi(folder, config=Config()) as api:
        api.rebuild_index().result()
    update(locate(Layout(folder), VERSIONS, "comfyui"), lambda value: {**value, "defaultVersion": "v1"})
    update(locate(Layout(folder), VERSIONS, "comfyui"), lambda value: {**value, "defaultVersion": "v2"})
    return folder


@pytest.fixture
def doctor(root, capfd):
    """Run `pumas doctor` on the root in this process; exit code and what it wrote to standard output."""

    def run(*arguments: str) -> tuple[int, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["doctor", *arguments, "--root", str(root)])
        streams = capfd.readouterr()
        assert streams.err == ""
        return int(ended.value.code or 0), str(streams.out)

    return run


@pytest.fixture
def damaged(root):
    path = root / "launcher-data" / "metadata" / "versions.json"
    path.write_bytes(b"{")
    index = root / "shared-resources" / "models" / "models.db"
    index.write_bytes(b"no index")
    return path, index


def test_a_healthy_root(doctor, root):
    assert doctor() == (0, f"{root}: nothing is wrong\n")


def test_notes_are_no_problems(doctor, root, library):
    write_model(library, "llm/llama/two")
    code, told = doctor()
    assert code == 0
    assert told.startswith(f"Note: {library}/models.db: the index is not in line with the disk: 1 models are new")
    assert told.endswith(f"{root}: 0 problems, 1 note\n")


def test_problems_come_with_remedies_and_exit_code_1(doctor, root, damaged):
    document, index = damaged
    code, told = doctor()
    lines = told.splitlines()
    assert code == 1
    assert lines[0] == f"Problem: {document}: versions.json is not valid JSON"
    assert "`pumas doctor --fix` puts its backup in its place" in lines[1]
    assert lines[2].startswith(f"Problem: {index}: the index is damaged: ")
    assert lines[-1] == f"{root}: 2 problems, 0 notes"
    assert (document.read_bytes(), index.read_bytes()) == (b"{", b"no index")


def test_fix_repairs_and_a_second_run_finds_nothing(doctor, root, damaged):
    document, index = damaged
    code, told = doctor("--fix")
    lines = told.splitlines()
    assert code == 0
    assert lines[0] == f"Repaired: {document}: its backup was put in its place"
    assert lines[1].startswith(f"  now in {root}/launcher-data/quarantine/")
    assert lines[2] == f"Repaired: {index}: the index was written again: 1 model"
    assert lines[-1] == f"{root}: nothing is wrong"
    assert json.loads(document.read_bytes())["defaultVersion"] == "v1"
    assert doctor() == (0, f"{root}: nothing is wrong\n")
    assert doctor("--fix") == (0, f"{root}: nothing is wrong\n")


def test_what_can_not_be_repaired_remains(doctor, root, damaged):
    document, _ = damaged
    document.with_name("versions.json.bak").unlink()
    code, told = doctor("--fix")
    assert code == 1
    assert "There is no backup that can be used" in told
    assert told.endswith(f"{root}: 1 problem, 0 notes\n")


def test_a_repair_that_fails_says_why(doctor, root, damaged):
    (root / "launcher-data" / "quarantine").write_text("in the way")
    code, told = doctor("--fix")
    assert code == 1
    assert "Not repaired: " in told
    assert "to the quarantine" in told


def test_as_json(doctor, root, damaged):
    document, index = damaged
    code, told = doctor("--json")
    diagnosis = json.loads(told)
    assert code == 1
    assert (diagnosis["root"], diagnosis["is_healthy"], diagnosis["repairs"]) == (str(root), False, [])
    assert [(one["kind"], one["severity"], one["path"]) for one in diagnosis["findings"]] == [
        ("document_damaged", "problem", str(document)),
        ("index_damaged", "problem", str(index)),
    ]
    code, told = doctor("--fix", "--json")
    diagnosis = json.loads(told)
    assert (code, diagnosis["is_healthy"], diagnosis["findings"]) == (0, True, [])
    assert [(one["kind"], one["is_done"]) for one in diagnosis["repairs"]] == [
        ("document_damaged", True),
        ("index_damaged", True),
    ]
    assert all(one["moved_to"].startswith(f"{root}/launcher-data/quarantine/") for one in diagnosis["repairs"])


def test_a_root_that_is_not_there(tmp_path, capfd):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--root", str(tmp_path / "nowhere")])
    assert ended.value.code == 2
    assert "There is no launcher root" in capfd.readouterr().err
    assert not (tmp_path / "nowhere").exists()
