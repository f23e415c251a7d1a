"""What folders hold: their documents tell, else their largest file."""

from __future__ import annotations

import json
import os

import pytest
from support.headers import Gguf, safetensors, tensor

from pumas.library.kinds import kind_of


@pytest.fixture
def repo(tmp_path):
    def repo(**documents):
        folder = tmp_path / "repo"
        folder.mkdir(exist_ok=True)
        for name, document in documents.items():
            text = document if isinstance(document, str) else json.dumps(document)
            (folder / f"{name}.json").write_text(text)
        return folder

    return repo


def unknown(path):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(safetensors({"w": tensor("F16", (1,), 0, 2)}, bytes(2)))


@pytest.mark.parametrize(
    ("class_name", "expected"),
    [
        ("StableDiffusionXLPipeline", ("diffusion", "checkpoints", "sdxl")),
        ("StableDiffusion3Pipeline", ("diffusion", "checkpoints", "sd3")),
        ("StableDiffusionPipeline", ("diffusion", "checkpoints", "stable-diffusion")),
        ("FluxPipeline", ("diffusion", "checkpoints", "flux")),
        ("WuerstchenPipeline", ("diffusion", "checkpoints", None)),
        ("AudioLDM2Pipeline", ("audio", "checkpoints", None)),
    ],
)
def test_a_pipeline_is_what_its_class_says(class_name, expected, repo):
    folder = repo(model_index={"_class_name": class_name})
    unknown(folder / "unet" / "model.safetensors")
    kind = kind_of(folder)
    assert (kind.model_type, kind.subtype, kind.family) == expected
    assert kind.evidence == (f"model_index.json names the pipeline {class_name}",)
    assert kind.confidence == 1.0


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}, ("llm", "", "qwen")),
        ({"architectures": ["BertModel"], "model_type": "bert"}, ("llm", "", "bert")),
        ({"model_type": "gpt_neox"}, ("llm", "", "gpt-neox")),
        ({"model_type": "whisper"}, ("audio", "checkpoints", "whisper")),
        ({"model_type": "clip_text_model"}, ("diffusion", "clip", "clip")),
        ({"architectures": ["T5EncoderModel"], "model_type": "t5"}, ("diffusion", "clip", "t5")),
        ({"architectures": ["ViTForImageClassification"], "model_type": "vit"}, ("vision", "checkpoints", "vit")),
        ({"_class_name": "AutoencoderKL"}, ("diffusion", "vae", None)),
        ({"_class_name": "FluxControlNetModel"}, ("diffusion", "controlnet", None)),
        ({"_class_name": "SD3Transformer2DModel"}, ("diffusion", "checkpoints", None)),
    ],
)
def test_a_repo_is_what_its_config_says(config, expected, repo):
    folder = repo(config=config)
    unknown(folder / "model.safetensors")
    kind = kind_of(folder)
    assert (kind.model_type, kind.subtype, kind.family) == expected
    assert kind.evidence[0].startswith("config.json says that it is a ")
    assert not kind.needs_review


def test_an_adapter_says_of_what_it_is(repo):
    folder = repo(adapter_config={"peft_type": "LORA", "base_model_name_or_path": "org/base"})
    unknown(folder / "adapter_model.safetensors")
    kind = kind_of(folder)
    assert (kind.model_type, kind.subtype) == ("llm", "loras")
    assert "of org/base" in kind.evidence[0]


def test_a_gguf_file_knows_better_than_the_documents_beside_it(repo):
    folder = repo(config={"model_type": "bert"})
    (folder / "model.gguf").write_bytes(Gguf().file([("general.architecture", "string", "qwen2")]))
    kind = kind_of(folder)
    assert (kind.family, kind.confidence) == ("qwen", 1.0)
    assert kind.evidence == ("model.gguf: its GGUF header names the architecture qwen2",)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{", '{"model_type": 5}', "[" * 100_000, '"' + "x" * (2 << 20)],
)
def test_documents_of_another_form_say_nothing(text, repo):
    folder = repo(config=text, model_index=text, adapter_config=text)
    unknown(folder / "model.safetensors")
    kind = kind_of(folder)
    assert (kind.model_type, kind.needs_review) == ("diffusion", True)


def test_weights_may_lie_below(repo):
    folder = repo()
    unknown(folder / "sub" / "model.bin")
    (folder / "readme.md").write_text("x" * 1000)
    assert kind_of(folder).evidence == ("model.bin: only its name says so: it ends with .bin",)


def test_a_folder_that_holds_no_model_has_no_confidence(repo):
    folder = repo()
    assert (kind_of(folder).model_type, kind_of(folder).confidence) == ("llm", 0)
    (folder / "readme.md").write_text("text")
    assert kind_of(folder).confidence == 0
    assert kind_of(repo(config={"model_type": "bert"})).confidence == 0


def test_links_and_what_waits_hold_nothing_up(repo, tmp_path):
    folder = repo()
    os.mkfifo(folder / "config.json")
    os.mkfifo(folder / "model.gguf")
    (folder / "loop").symlink_to(folder)
    (folder / "dangling.safetensors").symlink_to("nowhere")
    assert kind_of(folder).confidence == 0
