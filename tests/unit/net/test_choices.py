"""What can be downloaded of a repo."""

from __future__ import annotations

import pytest

from pumas.net.choices import choices_of, is_weights
from pumas.repos import RepoFile


def repo(*paths):
    return [RepoFile(path=path, size_bytes=1, sha256=None) for path in paths]


def everything(*paths):
    return {token: [file.path for file in files] for token, files in choices_of(repo(*paths))}


def chosen(*paths):
    found = everything(*paths)
    assert list(found)[-1:] in ([], [None]), "the whole repo is the last"
    return {token: files for token, files in found.items() if token is not None}


def test_each_quantization_takes_its_files_and_what_all_need():
    assert chosen(
        "README.md", "config.json", "m-Q8_0.gguf", "m-Q4_K_M-1-of-2.gguf", "m-Q4_K_M-2-of-2.gguf", "a.png"
    ) == {
        "q4_k_m": ["config.json", "m-Q4_K_M-1-of-2.gguf", "m-Q4_K_M-2-of-2.gguf"],
        "q8_0": ["config.json", "m-Q8_0.gguf"],
    }


def test_a_tokenizer_goes_with_each():
    shared = ["tokenizer.model", "merges.txt", "sub/vocab.json", "chat_template.jinja"]
    assert chosen(*shared, "m-Q4_0.gguf") == {"q4_0": [*shared, "m-Q4_0.gguf"]}


@pytest.mark.parametrize(
    ("projectors", "taken"),
    [
        (["mmproj-BF16.gguf", "mmproj-F16.gguf"], "mmproj-F16.gguf"),
        (["mmproj-F32.gguf", "mmproj-Q8_0.gguf"], "mmproj-Q8_0.gguf"),
        (["mmproj-model.gguf"], "mmproj-model.gguf"),
        (["m.mmproj-IQ1_S.gguf"], "m.mmproj-IQ1_S.gguf"),
    ],
)
def test_one_projector_goes_with_each_and_is_no_choice_of_its_own(projectors, taken):
    assert chosen(*projectors, "m-Q8_0.gguf") == {"q8_0": [taken, "m-Q8_0.gguf"]}


def test_weights_without_a_quantization_are_no_part_of_another():
    assert chosen("model.safetensors", "model.fp16.safetensors") == {"fp16": ["model.fp16.safetensors"]}


def test_the_whole_repo_is_a_choice():
    assert everything("README.md", ".gitattributes", "model.safetensors", "unet/x.bin", "cover.png") == {
        None: ["model.safetensors", "unet/x.bin", "cover.png"]
    }
    assert everything("m-Q4_0.gguf", "m-Q8_0.gguf")[None] == ["m-Q4_0.gguf", "m-Q8_0.gguf"]
    assert everything("config-q4_0.json", "model.bin") == {None: ["config-q4_0.json", "model.bin"]}


def test_an_empty_repo_has_nothing_to_choose():
    assert everything() == {}
    assert everything("README.md") == {}


def test_names_of_weights():
    assert is_weights("a/B.GGUF")
    assert not is_weights("model.safetensors.index.json")
