"""Which files of a repo are run together."""

from __future__ import annotations

import pytest

from pumas.library.runnable import is_weights, main_set, run_together
from pumas.repos import RepoFile


def files(**sizes):
    return [RepoFile(path=path, size_bytes=size) for path, size in sizes.items()]


def paths(found):
    return [file.path for file in found]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"m-1-of-2.gguf": 5, "m-2-of-2.gguf": 4, "other.gguf": 6}, ["m-1-of-2.gguf", "m-2-of-2.gguf"]),
        ({"model.safetensors": 5, "pytorch_model.bin": 9, "config.json": 99}, ["model.safetensors"]),
        (
            {"consolidated.safetensors": 8, "model-1-of-2.safetensors": 5, "model-2-of-2.safetensors": 5},
            ["model-1-of-2.safetensors", "model-2-of-2.safetensors"],
        ),
        ({"a.bin": 1, "b.bin": 2}, ["b.bin"]),
        ({"m.gguf": 5, "mmproj-f16.gguf": 9}, ["m.gguf", "mmproj-f16.gguf"]),
        ({"m.safetensors": 5, "mmproj-f16.gguf": 9}, ["m.safetensors"]),
        ({"README.md": 5}, []),
        ({}, []),
    ],
)
def test_of_several_copies_one_is_run(sizes, expected):
    assert paths(run_together(files(**sizes))) == expected


def test_a_pipeline_is_run_with_all_its_parts_in_plain_precision():
    parts = {"unet/m.safetensors": 9, "unet/m.fp16.safetensors": 5, "vae/m.safetensors": 2, "vae/m.bin": 2}
    assert paths(run_together(files(**parts, **{"model_index.json": 1}))) == ["unet/m.safetensors", "vae/m.safetensors"]
    halves = {"unet/m.fp16.safetensors": 5, "vae/m.fp16.safetensors": 2, "model_index.json": 1}
    assert paths(run_together(files(**halves))) == ["unet/m.fp16.safetensors", "vae/m.fp16.safetensors"]


def test_the_header_is_that_of_the_largest_set_never_of_a_projector():
    found = files(**{"mmproj-f16.gguf": 9, "m.gguf": 5, "vae/x.gguf": 1})
    assert paths(main_set(found)) == ["m.gguf"]
    unknown = [RepoFile(path="a.gguf"), RepoFile(path="b.gguf", size_bytes=1)]
    assert paths(main_set(unknown)) == ["b.gguf"]


def test_names_of_weights():
    assert is_weights("a/B.GGUF")
    assert not is_weights("model.safetensors.index.json")
