"""What of a model is looked up on the hub."""

from __future__ import annotations

import pytest

from pumas.library.lookup_target import Target, target_of_model
from pumas.net.hub_names import base_name

SHA = "a" * 64


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "Llama3.1"
    folder.mkdir()
    (folder / "m.gguf").write_bytes(b"x" * 10)
    (folder / "config.json").write_bytes(b"{}" * 99)
    return folder


def entry(**given):
    return {"name": "m.gguf", "original_name": "Llama-3.1-8B.Q4_K_M.gguf", "size": 10, **given}


def test_a_file_is_called_what_it_was_before_it_came_into_the_library(folder):
    target = target_of_model(folder, {"files": [{"name": "config.json", "size": 198}, entry(sha256=SHA)]})
    assert target == Target("Llama-3.1-8B.Q4_K_M.gguf", folder / "m.gguf", 10, SHA)


def test_the_digest_of_the_largest_file_may_stand_apart(folder):
    assert target_of_model(folder, {"files": [entry()], "hashes": {"sha256": SHA.upper()}}).sha256 == SHA
    assert target_of_model(folder, {"files": [entry()], "hashes": {"sha256": ""}}).sha256 is None


def test_a_digest_of_another_size_is_none(folder):
    assert target_of_model(folder, {"files": [entry(sha256=SHA, size=9)]}).sha256 is None


@pytest.mark.parametrize("generic", ["model.safetensors", "diffusion_pytorch_model-00001-of-00002.safetensors"])
def test_a_name_that_all_files_have_says_less_than_that_of_the_model(folder, generic):
    target = target_of_model(folder, {"official_name": "Flux 1.0 dev", "files": [entry(original_name=generic)]})
    assert target.filename == "Flux 1.0 dev.gguf"
    assert base_name(target.filename) == "Flux 1.0 dev"


def test_a_file_that_is_gone_is_looked_up_by_its_name(folder):
    (folder / "m.gguf").unlink()
    assert target_of_model(folder, {"files": [entry(sha256=SHA)]}) == Target("Llama-3.1-8B.Q4_K_M.gguf")


@pytest.mark.parametrize("document", [{}, {"files": 5}, {"files": [entry(name="../../etc/passwd.gguf")]}])
def test_a_document_without_a_usable_file_leaves_the_name(folder, document):
    target = target_of_model(folder, document)
    assert base_name(target.filename) == "Llama3.1"
    assert target.path is None


def test_odd_original_names_are_left_alone(folder):
    assert target_of_model(folder, {"files": [entry(original_name=5)]}).filename == "m.gguf"
    assert target_of_model(folder, {"files": [entry(original_name="a/b/c.gguf")]}).filename == "c.gguf"
