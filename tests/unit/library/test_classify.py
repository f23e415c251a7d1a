"""What an import would make of paths; nothing is changed by asking."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from support.headers import Gguf, safetensors, tensor
from support.roots import write_model

from pumas import PumasApi
from pumas.models import ImportCandidate


@pytest.fixture
def incoming(tmp_path):
    folder = tmp_path / "incoming"
    folder.mkdir()
    return folder


@pytest.fixture
def classify(library):
    def classify(*paths) -> tuple[ImportCandidate, ...]:
        with PumasApi(library.parents[1]) as api:
            api.refresh_models().result(30)
            return api.classify_model_import_paths(paths).result(30)

    return classify


def gguf(path: Path, architecture: str = "llama", size_bytes: int = 0) -> Path:
    path.write_bytes(Gguf().file([("general.architecture", "string", architecture)]).ljust(size_bytes, b"\0"))
    return path


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*")}


def test_a_file_is_told_and_nothing_is_written(incoming, library, classify):
    path = gguf(incoming / "My Model 1.0.gguf")
    before = snapshot(incoming)
    (one,) = classify(path)
    assert (one.paths, one.refusal) == ((str(path),), None)
    assert (one.model_type, one.family, one.official_name) == ("llm", "llama", "My Model 1.0")
    assert one.model_id == "llm/llama/MyModel10"
    assert (one.files, one.size_bytes) == (("MyModel10.gguf",), path.stat().st_size)
    assert (one.confidence, one.needs_review, one.notes, one.duplicate_of) == (1.0, False, (), ())
    assert snapshot(incoming) == before
    assert [name for name in os.listdir(library) if not name.startswith((".", "models.db"))] == []


def test_shards_are_one_candidate_that_says_what_is_missing(incoming, classify):
    names = [f"big-0000{n}-of-00003.safetensors" for n in (1, 3)]
    llm = {f"model.layers.{n}.self_attn.w": tensor("F16", (1,), 2 * n, 2 * n + 2) for n in range(6)}
    (incoming / names[0]).write_bytes(safetensors({"x": tensor("F16", (1,), 0, 2)}, bytes(2)))
    (incoming / names[1]).write_bytes(safetensors(llm, bytes(12)))
    (one,) = classify(*(incoming / name for name in names))
    assert one.paths == tuple(str(incoming / name) for name in names)
    assert (one.model_type, one.official_name, len(one.files)) == ("llm", "big", 2)
    assert [(found.name, found.missing) for found in one.shards] == [("big.safetensors", (2,))]
    assert "big.safetensors: 1 of 3 parts are missing" in one.notes


def test_a_repo_is_one_candidate_told_by_its_documents(incoming, classify):
    repo = incoming / "all-MiniLM"
    (repo / "onnx").mkdir(parents=True)
    (repo / "config.json").write_text('{"architectures": ["BertModel"], "model_type": "bert"}')
    (repo / "model.safetensors").write_bytes(safetensors({"w": tensor("F16", (1,), 0, 2)}, bytes(2)))
    (repo / "onnx" / "model.onnx").write_bytes(b"\x08\x07\x12")
    (one,) = classify(repo)
    assert (one.model_type, one.family, one.model_id) == ("llm", "bert", "llm/bert/all-MiniLM")
    assert set(one.files) == {"config.json", "model.safetensors", "onnx/model.onnx"}
    assert one.evidence[0] == "config.json says that it is a BertModel"


def test_a_duplicate_is_told_whatever_its_name(incoming, library, classify):
    content = gguf(incoming / "other name.gguf").read_bytes()
    with PumasApi(library.parents[1]) as api:
        api.import_model(incoming / "other name.gguf", official_name="Known").result(30)
    same_size = gguf(incoming / "same size.gguf", "mamba")
    assert same_size.stat().st_size == len(content)
    duplicate, other = classify(incoming / "other name.gguf", same_size)
    assert duplicate.duplicate_of == ("llm/llama/Known/othername.gguf",)
    assert other.duplicate_of == ()


def test_two_of_one_name_are_told_apart(incoming, library, classify):
    write_model(library, "llm/llama/v15")
    (incoming / "a").mkdir()
    first, second = classify(gguf(incoming / "v1.5.gguf"), gguf(incoming / "a" / "v15.gguf"))
    assert (first.model_id, second.model_id) == ("llm/llama/v15-2", "llm/llama/v15-3")
    assert first.notes == ("A model of the name v15 is there already; this one would be v15-2",)


def test_only_a_name_needs_review_and_no_name_is_refused(incoming, classify):
    for name in ("text.safetensors", "text.txt"):
        (incoming / name).write_text("just a text")
    named, other = classify(incoming / "text.safetensors", incoming / "text.txt")
    assert (named.refusal, named.needs_review, named.model_type) == (None, True, "diffusion")
    assert other.refusal is not None
    assert "no file of a known model format" in other.refusal


def test_a_link_is_followed_and_told(incoming, tmp_path, classify):
    (incoming / "link.gguf").symlink_to(gguf(tmp_path / "real.gguf"))
    (one,) = classify(incoming / "link.gguf")
    assert one.refusal is None
    assert any("is a link" in note and "real.gguf" in note for note in one.notes)


def test_what_is_no_model_is_refused_and_hinders_nothing(incoming, library, tmp_path, classify, monkeypatch):
    os.mkfifo(incoming / "fifo.gguf")
    monkeypatch.chdir(incoming)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.gguf")
        (incoming / "loop.gguf").symlink_to("loop.gguf")
        (incoming / "empty").mkdir()
        wrong = ["/dev/null", "", "a\0b", "x" * 5000, incoming / "none.gguf", library.parents[1], incoming / "empty"]
        wrong += [incoming / f"{name}.gguf" for name in ("fifo", "socket", "loop")]
        found = classify(*wrong, gguf(incoming / "good.gguf"))
    assert len(found) == len(wrong) + 1
    assert all(one.refusal for one in found[:-1])
    assert found[-1].model_id == "llm/llama/good"


@pytest.mark.parametrize(
    "name", [b"..gguf", b"a\nb.gguf", b"\xff\xfe.gguf", b"CON.gguf", b"\xd0\xbc.gguf", b"x" * 250 + b".gguf"]
)
def test_hostile_names_stay_in_the_library(name, incoming, classify):
    path = Path(os.fsdecode(os.fsencode(incoming) + b"/" + name))
    (one,) = classify(gguf(path))
    assert one.refusal is None
    assert one.model_id is not None
    assert one.model_id.isascii()
    assert len(one.model_id.split("/")) == 3
    for text in (*one.paths, one.official_name, *one.notes, *one.files):
        text.encode()
