"""Kinds that the names and shapes of tensors tell, with the names that real files of each kind have."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
from support.headers import safetensors

from pumas.library.file_kinds import file_kinds
from pumas.models import ModelKind

_ATTENTION = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


def kind(folder: Path, names: dict[str, list[int]] | list[str], metadata: dict[str, str] | None = None) -> ModelKind:
    """The kind of a file with tensors of these names, and shapes where it matters."""
    shapes = names if isinstance(names, dict) else {name: [1] for name in names}
    header: dict[str, object] = {"__metadata__": metadata or {}}
    at = 0
    for name, shape in shapes.items():
        size = 2
        for one in shape:
            size *= one
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    path = folder / "model.safetensors"
    path.write_bytes(safetensors(header))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + at)
    return file_kinds([path])[0]


LORA = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
CASES = [
    ({LORA: [4, 768]}, ("diffusion", "loras", "stable-diffusion")),
    ({LORA: [4, 2048]}, ("diffusion", "loras", "sdxl")),
    (["lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha"], ("diffusion", "loras", None)),
    (["lora_unet_double_blocks_0_img_attn_proj.lora_down.weight"], ("diffusion", "loras", "flux")),
    (["transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight"], ("diffusion", "loras", "flux")),
    (["diffusion_model.blocks.0.cross_attn.k.lora_A.weight"], ("diffusion", "loras", "wan")),
    ({"unet.down_blocks.0.attn2.to_k.lora_A.weight": [8, 2048]}, ("diffusion", "loras", "sdxl")),
    (["lora_unet_mid_block_attentions_0_proj_in.hada_w1_a"], ("diffusion", "loras", None)),
    (["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"], ("llm", "loras", None)),
    (["base_model.model.model.layers.0.self_attn.k_proj.ia3_l"], ("llm", "loras", None)),
    (["base_model.model.encoder.layer.0.attention.self.query.vera_lambda_b"], ("llm", "loras", None)),
    (["lycoris_unet_mid_block_attentions_0_proj_in.oft_blocks"], ("diffusion", "loras", None)),
    (
        ["control_model.input_hint_block.0.weight", "control_model.time_embed.0.weight"],
        ("diffusion", "controlnet", None),
    ),
    (
        {"controlnet_cond_embedding.conv_in.weight": [1], "down_blocks.1.attn2.to_k.weight": [640, 2048]},
        ("diffusion", "controlnet", "sdxl"),
    ),
    (["encoder.down.0.block.0.conv1.weight", "decoder.up.0.block.0.conv1.weight"], ("diffusion", "vae", None)),
    (["encoder.down_blocks.0.w", "decoder.up_blocks.0.w", "quant_conv.weight"], ("diffusion", "vae", None)),
    (["text_model.encoder.layers.0.self_attn.q_proj.weight"], ("diffusion", "clip", "clip")),
    (["vision_model.encoder.layers.0.self_attn.q_proj.weight"], ("diffusion", "clip_vision", "clip")),
    (["encoder.block.0.layer.0.SelfAttention.q.weight"], ("diffusion", "clip", "t5")),
    (["encoder.block.0.layer.0.SelfAttention.q.weight", "decoder.block.0.layer.0.w"], ("llm", "", "t5")),
    ({"emb_params": [2, 768]}, ("diffusion", "embeddings", "stable-diffusion")),
    ({"clip_l": [2, 768], "clip_g": [2, 1280]}, ("diffusion", "embeddings", "sdxl")),
    (["model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"], ("diffusion", "upscale", "esrgan")),
    (["conv_first.weight", "layers.0.residual_group.blocks.0.norm1.weight"], ("diffusion", "upscale", "swinir")),
    (
        [
            *("conv_first.weight", "layers.0.residual_group.blocks.0.norm1.weight"),
            "layers.0.residual_group.overlap_attn.qkv.weight",
        ],
        ("diffusion", "upscale", "hat"),
    ),
    (
        ["ip_adapter_proj_model.norm.weight", "double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight"],
        ("diffusion", "ipadapter", None),
    ),
    (
        ["model.diffusion_model.input_blocks.0.0.weight", "conditioner.embedders.1.model.ln_final.weight"],
        ("diffusion", "checkpoints", "sdxl"),
    ),
    (
        {f"model.diffusion_model.{_ATTENTION}": [320, 768], "first_stage_model.encoder.down.0.w": [1]},
        ("diffusion", "checkpoints", "stable-diffusion"),
    ),
    (
        ["double_blocks.0.img_attn.proj.weight", "single_blocks.0.linear1.weight"],
        ("diffusion", "checkpoints", "flux"),
    ),
    (
        [
            "double_blocks.0.img_attn.proj.weight",
            "single_blocks.0.linear1.weight",
            "distilled_guidance_layer.in_proj.bias",
        ],
        ("diffusion", "checkpoints", "chroma"),
    ),
    (
        [
            "double_blocks.0.img_attn.proj.weight",
            "single_blocks.0.linear1.weight",
            "single_stream_modulation.lin.weight",
        ],
        ("diffusion", "checkpoints", "flux2"),
    ),
    (
        ["cap_embedder.1.weight", "context_refiner.0.attention.qkv.weight", "layers.0.adaLN_modulation.1.weight"],
        ("diffusion", "checkpoints", "lumina2"),
    ),
    (
        ["cap_embedder.1.weight", "context_refiner.0.attention.qkv.weight", "layers.0.adaLN_modulation.0.weight"],
        ("diffusion", "checkpoints", "z_image"),
    ),
    (
        [
            *("t_block.1.weight", "blocks.0.cross_attn.kv_linear.weight", "attention_y_norm.weight"),
            "blocks.0.mlp.inverted_conv.conv.weight",
        ],
        ("diffusion", "checkpoints", "sana"),
    ),
    (["t_block.1.weight", "blocks.0.cross_attn.kv_linear.weight"], ("diffusion", "checkpoints", "pixart")),
    (["joint_blocks.0.x_block.attn.qkv.weight"], ("diffusion", "checkpoints", "sd3")),
    (
        ["blocks.0.self_attn.norm_q.weight", "text_embedding.2.weight", "head.modulation"],
        ("diffusion", "checkpoints", "wan"),
    ),
    (
        ["embeddings.word_embeddings.weight", "encoder.layer.0.attention.self.query.weight"],
        ("llm", "", "bert"),
    ),
    (
        [
            *(f"model.encoder.{name}.weight" for name in ("conv1", "conv2")),
            "model.decoder.layers.0.encoder_attn.k_proj.weight",
            *(f"model.encoder.layers.{n}.self_attn.k_proj.weight" for n in range(6)),
        ],
        ("audio", "checkpoints", "whisper"),
    ),
]


@pytest.mark.parametrize(("names", "expected"), CASES, ids=lambda value: "-".join(map(str, value))[:40])
def test_a_kind_is_told_by_its_tensors(names, expected, tmp_path):
    found = kind(tmp_path, names)
    assert (found.model_type, found.subtype, found.family) == expected
    assert found.confidence == 0.95
    assert found.evidence[0].startswith("its tensors are named like those of")
    assert not found.needs_review


@pytest.mark.parametrize(
    ("metadata", "family"),
    [
        ({"ss_base_model_version": "sdxl_base_v1-0"}, "sdxl"),
        ({"modelspec.architecture": "stable-diffusion-v1/lora"}, "stable-diffusion"),
        ({"modelspec.architecture": "Flux.1-dev/lora"}, "flux"),
        ({"ss_base_model_version": "other"}, None),
    ],
)
def test_a_lora_without_telling_shapes_is_of_the_family_that_its_maker_wrote(metadata, family, tmp_path):
    assert kind(tmp_path, ["lora_te_text_model_encoder_layers_0.lora_up.weight"], metadata).family == family


@pytest.mark.parametrize("text", ["not_lora_unet", "xemb_params", "emb_paramsx", "model.diffusion"])
def test_a_word_that_only_resembles_tells_nothing(text, tmp_path):
    found = kind(tmp_path, [text])
    assert (found.needs_review, found.confidence) == (True, 0.2)


def checkpoint(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(dict.fromkeys(names, 0), protocol=2))
    return path


def test_checkpoints_of_pytorch_are_told_by_the_texts_in_their_pickles(tmp_path):
    upscaler = checkpoint(tmp_path / "4x.pth", ["model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"])
    language = checkpoint(tmp_path / "pytorch_model.bin", [f"model.layers.{n}.self_attn.k" for n in range(9)])
    embedding = tmp_path / "style.pt"
    embedding.write_bytes(pickle.dumps({"string_to_token": {}, "string_to_param": {}}, protocol=2))
    hidden = checkpoint(tmp_path / "blob", ["w"])
    kinds = file_kinds([upscaler, language, embedding, hidden])
    assert [(one.model_type, one.subtype) for one in kinds] == [
        ("diffusion", "upscale"),
        ("llm", ""),
        ("diffusion", "embeddings"),
        ("llm", ""),
    ]
    assert [one.needs_review for one in kinds] == [False, False, False, True]


def test_a_checkpoint_of_many_tensors_is_read_whole(tmp_path):
    names = [f"a_rather_long_name_of_a_layer_with_a_number_{n:06d}.weight" for n in range(50_000)]
    (found,) = file_kinds([checkpoint(tmp_path / "big.ckpt", [*names, "lora_unet_x.lora_down.weight"])])
    assert found.subtype == "loras"


class _Harm:
    def __reduce__(self):
        return open, ("made-by-the-pickle", "w")


def test_a_pickle_is_never_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "harm.pt").write_bytes(pickle.dumps([_Harm(), "lora_unet_x"], protocol=2))
    (found,) = file_kinds(["harm.pt"])
    assert found.subtype == "loras"
    assert not (tmp_path / "made-by-the-pickle").exists()


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04", b"PK\x03\x04rest", b"\x80\x02}q", b"\x80\x02X\xff\xff\xff\x7f", b"GGUF", b"GGML"]
)
def test_damage_is_no_failure(content, tmp_path):
    for name in ("model.pt", "model.gguf", "model"):
        (tmp_path / name).write_bytes(content)
        assert file_kinds([tmp_path / name])[0].model_type is not None


def test_a_zip_that_holds_no_checkpoint_is_no_model(tmp_path):
    with zipfile.ZipFile(tmp_path / "papers.zip", "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
    assert file_kinds([tmp_path / "papers.zip"])[0].confidence == 0
