"""Documents that say of which files a model consists."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pumas.errors import Damaged
from pumas.library.manifests import is_manifest, read_pipeline, read_shard_index


@pytest.fixture
def write(tmp_path):
    def run(document: Any):
        path = tmp_path / "model_index.json"
        path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
        return path

    return run


def test_names(tmp_path):
    assert is_manifest(tmp_path / "model.safetensors.index.json")
    assert is_manifest(tmp_path / "pytorch_model.bin.INDEX.JSON")
    assert is_manifest(tmp_path / "model_index.json")
    assert not is_manifest(tmp_path / "config.json")
    assert not is_manifest(tmp_path / "index.json.safetensors")


def test_shard_index(write, tmp_path):
    (tmp_path / "m-00001-of-00002.safetensors").touch()
    (tmp_path / "m-00002-of-00002.safetensors").mkdir()
    weights = {
        "a": "m-00001-of-00002.safetensors",
        "b": "m-00002-of-00002.safetensors",
        "c": "m-00002-of-00002.safetensors",
    }
    index = read_shard_index(write({"metadata": {"total_size": 7, "other": []}, "weight_map": weights}))
    assert (index.tensor_count, index.total_size_bytes) == (3, 7)
    assert index.files == ("m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors")
    assert index.missing == ("m-00002-of-00002.safetensors",)  # a folder is no shard


@pytest.mark.parametrize(("size", "expected"), [(7.0, 7), (-1, None), (2**64, None), (1e300, None), (None, None)])
def test_total_size_is_a_claim(write, size, expected):
    index = read_shard_index(write({"metadata": {"total_size": size}, "weight_map": {}}))
    assert index.total_size_bytes == expected
    assert read_shard_index(write({"weight_map": {}})).total_size_bytes is None


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        {"weight_map": []},
        {"weight_map": {"a": 1}},
        {"weight_map": {"a": "../b"}},
        {"weight_map": {"a": ".."}},
        {"weight_map": {"a": "/etc/passwd"}},
        {"weight_map": {"a": "b\\c"}},
        {"weight_map": {"a": "C:x"}},
        {"weight_map": {"a": ""}},
        {"weight_map": {"a": "b\0"}},
        {"weight_map": {"a": "x" * 256}},
        {"weight_map": {f"{n}": f"{n}" for n in range(10_001)}},
        {"weight_map": {}, "metadata": {"total_size": "much"}},
    ],
)
def test_a_shard_index_of_another_form(write, document):
    path = write(document)
    with pytest.raises(Damaged) as caught:
        read_shard_index(path)
    assert caught.value.path == path


def test_pipeline(write, tmp_path):
    (tmp_path / "unet").mkdir()
    document = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.6.0",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "safety_checker": [None, None],
        "requires_safety_checker": True,
    }
    pipeline = read_pipeline(write(document))
    assert (pipeline.class_name, pipeline.diffusers_version) == ("StableDiffusionPipeline", "0.6.0")
    assert pipeline.components == {
        "unet": ("diffusers", "UNet2DConditionModel"),
        "vae": ("diffusers", "AutoencoderKL"),
        "safety_checker": (None, None),
    }
    assert pipeline.missing == ("vae",)


@pytest.mark.parametrize(
    "document",
    [
        b"{",
        b"[]",
        b"[" * 100_000,
        {},
        {"_class_name": 1},
        {"_class_name": "P", "unet": ["diffusers"]},
        {"_class_name": "P", "unet": ["diffusers", 1]},
        {"_class_name": "P", "../unet": ["diffusers", "UNet"]},
        {"_class_name": "P", **{f"p{n}": ["a", "b"] for n in range(101)}},
    ],
)
def test_a_pipeline_of_another_form(write, document):
    with pytest.raises(Damaged):
        read_pipeline(write(document))


@pytest.mark.parametrize(("read", "longest"), [(read_pipeline, 1 << 20), (read_shard_index, 32 << 20)])
def test_a_document_without_end(read, longest, write):
    with pytest.raises(Damaged, match="larger than"):
        read(write(b" " * (longest + 1)))


def test_tensors_without_end(write):
    tensors = ",".join(f'"{number:x}":"a"' for number in range(250_001))
    with pytest.raises(Damaged, match="more than 250000 tensors"):
        read_shard_index(write(f'{{"weight_map":{{{tensors}}}}}'.encode()))
