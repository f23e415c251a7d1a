from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import blake3
import pytest
from support.roots import write_model

from pumas.cli import main

SHA256 = hashlib.sha256(b"GGUF").hexdigest()


@pytest.fixture
def pumas(tmp_path, capfd):
    """Run a command in this process; exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--root", str(tmp_path / "root")])
        streams = capfd.readouterr()
        return int(ended.value.code or 0), str(streams.out), str(streams.err)

    return run


def test_one_algorithm_is_told_as_by_sha256sum(pumas, tmp_path):
    names = ["plain", "with space", "back\\slash", "line\nbreak"]
    for name in names:
        (tmp_path / name).write_bytes(b"GGUF")
    code, out, err = pumas("hash", *(str(tmp_path / name) for name in names))
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == [f"{SHA256}  {tmp_path}/plain", f"{SHA256}  {tmp_path}/with space"]
    assert out.splitlines()[2:] == [f"\\{SHA256}  {tmp_path}/back\\\\slash", f"\\{SHA256}  {tmp_path}/line\\nbreak"]
    assert not (tmp_path / "root").exists(), "no root is made"


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum")
@pytest.mark.parametrize("algorithms", [["sha256"], ["sha256", "blake3", "xxh3_128"]])
def test_sha256sum_can_check_the_lines(pumas, tmp_path, algorithms):
    (tmp_path / "back\\slash\nbreak").write_bytes(b"GGUF")
    options = [part for name in algorithms for part in ("--algorithm", name)]
    out = pumas("hash", str(tmp_path / "back\\slash\nbreak"), *options)[1]
    checked = subprocess.run(["sha256sum", "--check"], input=out, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked


def test_several_algorithms_are_tagged(pumas, tmp_path):
    (tmp_path / "a").write_bytes(b"GGUF")
    out = pumas("hash", str(tmp_path / "a"), "--algorithm", "blake3", "--algorithm", "sha256")[1]
    digest = blake3.blake3(b"GGUF").hexdigest()
    assert out == f"BLAKE3 ({tmp_path}/a) = {digest}\nSHA256 ({tmp_path}/a) = {SHA256}\n"


def test_bad_files_are_told_and_hide_no_others(pumas, tmp_path):
    (tmp_path / "a").write_bytes(b"GGUF")
    code, out, err = pumas("hash", str(tmp_path / "missing"), str(tmp_path / "a"), str(tmp_path))
    assert (code, out) == (1, f"{SHA256}  {tmp_path}/a\n")
    assert err == (
        f"pumas: {tmp_path}/missing: No such file or directory\npumas: {tmp_path}: it is a folder, not a regular file\n"
    )
    assert pumas("hash", str(tmp_path / "missing"))[:2] == (1, "")
    code, out, _ = pumas("hash", str(tmp_path / "missing"), str(tmp_path / "a"), "--json")
    assert code == 1
    assert [(one["path"], one["sha256"], one["error"]) for one in json.loads(out)] == [
        (f"{tmp_path}/missing", None, "No such file or directory"),
        (f"{tmp_path}/a", SHA256, None),
    ]


def test_a_name_that_is_no_text_is_told(pumas, tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"\xff")
    with open(path, "wb") as file:
        file.write(b"GGUF")
    code, out, _ = pumas("hash", os.fsdecode(path), "--json")
    assert (code, [(one["path"], one["sha256"]) for one in json.loads(out)]) == (0, [(f"{tmp_path}/\\xff", SHA256)])


def test_an_unknown_algorithm_is_wrong_use(pumas, tmp_path):
    code, out, err = pumas("hash", str(tmp_path), "--algorithm", "md5")
    assert (code, out) == (2, "")
    assert err == "pumas: `algorithms`: there is no algorithm 'md5'; choose from sha256, blake3, xxh3_128\n"


def test_files_of_the_library_go_through_its_cache(pumas, library):
    folder = write_model(library, "llm/llama/One")
    code, out, err = pumas("hash", str(folder / "One.gguf"))
    assert (code, out, err) == (0, f"{SHA256}  {folder}/One.gguf\n", "")
    assert (library / ".pumas" / "cache").is_dir()


@pytest.fixture
def model(library) -> Path:
    entry = {"name": "One.gguf", "size": 4, "sha256": SHA256}
    return write_model(library, "llm/llama/One", files=[entry])


def test_sound_models_are_told_in_a_line(pumas, model):
    code, out, err = pumas("verify")
    assert (code, err) == (0, "")
    assert out == "1 model: 0 files unchanged, 1 read (4 B); 0 problems, 0 notes\n"


def test_problems_have_an_exit_code(pumas, model):
    (model / "One.gguf").write_bytes(b"FUGG")
    (model / "\x1b[31mred").write_bytes(b"")
    code, out, err = pumas("verify", "llm/llama/One")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0].startswith("Differs: llm/llama/One/One.gguf: its content is not what was recorded")
    assert lines[1] == f"  expected {SHA256}, found {hashlib.sha256(b'FUGG').hexdigest()}"
    assert lines[2] == "Extra: llm/llama/One/[31mred: the document does not name it"
    assert lines[3] == "1 model: 0 files unchanged, 1 read (4 B); 1 problem, 1 note"
    code, out, _ = pumas("verify", "--json")
    report = json.loads(out)
    assert code == 1
    assert {one["kind"] for one in report["findings"]} == {"differs", "extra"}


def test_a_note_alone_has_none(pumas, model):
    (model / "notes.txt").write_bytes(b"")
    assert pumas("verify")[0] == 0


def test_what_is_left_and_what_is_not_recorded_is_told(pumas, library):
    write_model(library, "llm/llama/One")
    out = pumas("verify", "--budget", "0s")[1]
    assert "Left for the next run: 1 file, 4 B\n" in out
    assert "1 file without a recorded digest; --record writes them down\n" in pumas("verify", "--max-age", "30d")[1]
    assert "Recorded the digests of 1 file\n" in pumas("verify", "--record", "--full", "--budget", "1.5h")[1]


@pytest.mark.parametrize("text", ["", "2", "h", "2x", "-1h", "1e3s", "2 h"])
def test_times_of_another_form_are_wrong_use(pumas, text):
    code, out, err = pumas("verify", "--budget", text)
    assert (code, out) == (2, "")
    assert "is no time such as 90s, 20m, 2h or 30d" in err


def test_an_unknown_model_is_told(pumas, model):
    assert pumas("verify", "llm/llama/Two")[0] == 3
