"""Model type and family, where the recorded cases say nothing."""

from __future__ import annotations

import os

import pytest
from support.headers import Gguf, safetensors

from pumas.library.file_kinds import kind_by_content
from pumas.models import ModelKind


@pytest.mark.parametrize(("size_bytes", "expected"), [(1_000_000_000, None), (1_000_000_001, "llm")])
def test_one_hint_is_enough_in_a_large_file(size_bytes, expected, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors('{"lm_head": 0}'))
    os.truncate(path, size_bytes)
    assert kind_by_content(path).model_type == expected


@pytest.mark.parametrize("architecture", ["flux", "SD3", "wan", "qwen_image"])
def test_diffusion_in_gguf(architecture, tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(Gguf().file([("general.architecture", "string", architecture)]))
    kind = kind_by_content(path)
    assert (kind.model_type, kind.family) == ("diffusion", architecture.lower())


@pytest.mark.parametrize("name", ["m.gguf", "m.safetensors", "m.pt"])
def test_what_can_not_be_read_says_nothing(name, tmp_path):
    assert kind_by_content(tmp_path / name) == ModelKind()
    os.mkfifo(tmp_path / name)
    assert kind_by_content(tmp_path / name) == ModelKind()
