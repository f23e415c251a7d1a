"""Model type and family, where the recorded cases say nothing."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from support.headers import Gguf, safetensors

from pumas.library.file_kinds import file_kinds, kind_by_content
from pumas.library.kinds import kind_of
from pumas.library.naming import model_folder
from pumas.models import ModelKind

SEEDS = Path(__file__).parents[3] / "_native" / "fuzz" / "seeds"


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


@pytest.mark.parametrize("seed", sorted(SEEDS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_no_hostile_header_is_a_failure(seed, tmp_path):
    """The files that fuzzing begins with, whole and cut, under every name: there is always an answer."""
    data = seed.read_bytes()
    paths = []
    for number, length in enumerate({len(data), len(data) - 1, len(data) // 2, 40, 24, 9, 8, 4, 0}):
        for suffix in (".gguf", ".safetensors", ".pt", ""):
            paths.append(tmp_path / f"{number}{suffix}")
            paths[-1].write_bytes(data[: max(length, 0)])
    for path, kind in zip(paths, file_kinds(paths), strict=True):
        assert kind.model_type is not None
        assert 0 <= kind.confidence <= 1
        assert kind == kind_of(path)
        msgspec.json.encode(kind)


def test_a_family_that_leads_elsewhere_is_only_a_text(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(Gguf().file([("general.architecture", "string", "../../etc/\n\x1b[31m")]))
    (kind,) = file_kinds([path])
    assert model_folder(tmp_path, kind.model_type or "", kind.family or "", "a") == tmp_path / "llm" / "etc31m" / "a"
