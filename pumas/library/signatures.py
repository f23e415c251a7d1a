r"""Kinds of models by the names and shapes of their tensors, beyond the contract's tables (L-25).

One row a kind, the first that holds wins. Rows only refine: what the tables call unknown, and what they can't tell
apart (an adapter from the model it belongs to, a VAE or a text encoder from a whole checkpoint).

A row's words are looked for in the names of all tensors, in lower case, each on a line of its own: `\n` in a word is
the beginning or the end of a name. Of each group of words one must be there, of `without` none.

Where the words come from:

    LoRA                kohya-ss/sd-scripts networks/lora.py; LyCORIS 4.1 lycoris/modules (`weight_list`), wrapper.py
                        (`LORA_PREFIX`); PEFT 0.21 utils/save_and_load.py (`base_model.model.`);
                        diffusers loaders/lora_conversion_utils.py
    ControlNet          ComfyUI comfy/controlnet.py, comfy/sd.py; diffusers models/controlnets; sd-webui-controlnet;
                        InvokeAI 6.14 model_manager/configs/controlnet.py
    IP-Adapter          InvokeAI model_manager/configs/ip_adapter.py
    VAE                 CompVis ldm/modules/diffusionmodules/model.py; diffusers models/autoencoders; comfy/sd.py
    text, vision        transformers, modeling files of clip, siglip, t5, bert, whisper; open_clip model.py
    textual inversion   stable-diffusion-webui modules/textual_inversion; ComfyUI comfy/sd1_clip.py
    upscalers           ESRGAN RRDBNet_arch.py; BasicSR archs/rrdbnet_arch.py, swinir_arch.py; spandrel 0.4
                        architectures (`detect`)
    diffusion models    ComfyUI-GGUF tools/convert.py (`keys_detect`); ComfyUI comfy/model_detection.py; diffusers 0.42
                        loaders/single_file_utils.py (`CHECKPOINT_KEY_NAMES`)

The rows were tried on all names and shapes of Stable Diffusion 1 and 3, SDXL and FLUX, whole, in parts and as LoRA and
LyCORIS, as sd-mecha 1.1 lists them (builtin/model_configs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain

Shapes = Callable[[], Mapping[str, Sequence[int]]]
"""Reads the shapes of all tensors by lower-case name; asked only by rows with widths."""


@dataclass(frozen=True, slots=True)
class Width:
    """A family told by one dimension: that of `axis` in the first tensor whose name ends so."""

    ending: str
    axis: int
    families: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Signature:
    """One row: a kind, and what the names of its tensors have."""

    about: str
    model_type: str
    subtype: str
    family: str | None
    words: tuple[tuple[str, ...], ...]
    without: tuple[str, ...] = ()
    widths: tuple[Width, ...] = ()

    def holds(self, found: AbstractSet[str]) -> bool:
        """Whether the words that were found are those of this kind."""
        return all(not found.isdisjoint(group) for group in self.words) and found.isdisjoint(self.without)


# Width of the text that cross attention reads: CLIP-L of SD 1, OpenCLIP-H of SD 2, both encoders of SDXL side by side.
_CONTEXT = {768: "stable-diffusion", 1024: "stable-diffusion", 2048: "sdxl"}
_UNET_WIDTHS = (Width("attn2.to_k.weight", 1, _CONTEXT),)
_LORA_WIDTHS = (
    Width("attn2_to_k.lora_down.weight", 1, _CONTEXT),
    Width("attn2.to_k.lora_a.weight", 1, _CONTEXT),
    Width("attn2.to_k.lora.down.weight", 1, _CONTEXT),
    Width("attn2.processor.to_k_lora.down.weight", 1, _CONTEXT),
)
_EMBEDDING_WIDTHS = (Width("emb_params", 1, {768: "stable-diffusion", 1024: "stable-diffusion"}),)

_LORA_WORDS = (
    "lora_down.", "lora_up.", ".lora_a.", ".lora_b.", ".lora.down.", "_lora.down.", ".hada_w1_", ".lokr_w1",
    "\nlora_unet_", "\nlora_te", "\nlycoris_", "\nbase_model.model.",
)  # fmt: skip
_OF_DIFFUSION = (
    "\nlora_",
    "\nlycoris_",
    "unet",
    "diffusion_model",
    "text_model",
    "transformer_blocks",
    "double_blocks",
)
_BACKBONE = "diffusion_model."


def _lora(family: str | None, *groups: tuple[str, ...], without: tuple[str, ...] = ()) -> Signature:
    widths = () if family else _LORA_WIDTHS
    return Signature("a LoRA", "diffusion", "loras", family, (_LORA_WORDS, *groups), without, widths)


def _model(family: str, *groups: tuple[str, ...], without: tuple[str, ...] = ()) -> Signature:
    return Signature("a diffusion model", "diffusion", "checkpoints", family, groups, without)


_LORAS = (
    Signature(
        "an adapter of a language model", "llm", "loras", None,
        (
            _LORA_WORDS,
            (
                "model.layers.", "transformer.h.", "gpt_neox.layers.", "model.decoder.layers.", "transformer.blocks.",
                "encoder.layer.", "encoder.block.", "decoder.block.",
            ),
        ),
        _OF_DIFFUSION,
    ),
    _lora("sd3", ("joint_blocks",)),
    _lora("hyvid", ("double_blocks",), ("individual_token_refiner", "double_blocks.0.img_attn_qkv.")),
    _lora("flux", ("double_blocks", "single_transformer_blocks")),
    _lora("wan", ("blocks.0.cross_attn.", "blocks_0_cross_attn_")),
    _lora("qwen_image", ("transformer_blocks.0.attn.add_q_proj.", "transformer_blocks_0_attn_add_q_proj.")),
    _lora(None),
)  # fmt: skip

_PARTS = (
    Signature(
        "a textual inversion", "diffusion", "embeddings", None, (("\nemb_params\n", "\nstring_to_param\n"),),
        widths=_EMBEDDING_WIDTHS,
    ),
    Signature("a textual inversion", "diffusion", "embeddings", "sdxl", (("\nclip_g\n",), ("\nclip_l\n",)), (".",)),
    Signature(
        "an IP-Adapter", "diffusion", "ipadapter", None,
        (("\nimage_proj", "\nip_adapter_proj_model."), ("\nip_adapter",)),
    ),
    Signature(
        "a ControlNet", "diffusion", "controlnet", None,
        ((
            "\ncontrol_model.", "controlnet_cond_embedding.", "controlnet_blocks.", "controlnet_down_blocks.",
            "controlnet_x_embedder.", "\ninput_hint_block.", "\nzero_convs.", "\nlllite_", "control_all_x_embedder.",
            "\ncontrol_noise_refiner.",
        ),),
        widths=_UNET_WIDTHS,
    ),
    Signature("a T2I-Adapter", "diffusion", "controlnet", None, (("\nadapter.body.",),)),
    Signature(
        "an upscaler", "diffusion", "upscale", "esrgan",
        (("\nmodel.1.sub.0.rdb1.", "\nbody.0.rdb1.", "\nrrdb_trunk.0.rdb1."),),
    ),
    Signature(
        "an upscaler", "diffusion", "upscale", "hat", (("\nconv_first.weight\n",), (".residual_group.overlap_attn.",)),
    ),
    Signature(
        "an upscaler", "diffusion", "upscale", "swin2sr",
        (("\nconv_first.weight\n",), (".residual_group.blocks.",), ("\npatch_embed.proj.weight\n",)),
    ),
    Signature(
        "an upscaler", "diffusion", "upscale", "swinir",
        (("\nconv_first.weight\n", "\nconv_first.1.weight\n"), (".residual_group.blocks.",)),
    ),
    Signature("an upscaler", "diffusion", "upscale", "dat", (("\nbefore_rg.1.weight\n",), (".blocks.0.ffn.sg.conv.",))),
)  # fmt: skip

_WHOLE = (
    Signature(
        "a whole checkpoint of SDXL", "diffusion", "checkpoints", "sdxl",
        ((_BACKBONE,), ("\nconditioner.embedders.",)),
    ),
    _model("sdxl", ("add_embedding.linear_1.weight\n", "label_emb.0.0.weight\n"), ("down_blocks.0.", "input_blocks.")),
    Signature(
        "a whole checkpoint", "diffusion", "checkpoints", "stable-diffusion",
        (("diffusion_model.input_blocks.", "\ninput_blocks."),), widths=_UNET_WIDTHS,
    ),
    _model("sd3", ("joint_blocks.0.x_block.attn.qkv.weight\n",)),
    _model("hyvid", ("double_blocks.0.img_attn_proj.weight\n",), ("txt_in.individual_token_refiner.",)),
    # Both have FLUX.1's own names too.
    _model("chroma", ("distilled_guidance_layer.",),
           ("double_blocks.0.img_attn.", "transformer_blocks.0.attn.")),
    _model("flux2", ("single_stream_modulation.lin",), ("double_blocks.0.img_attn.", "transformer_blocks.0.attn.")),
    _model("flux", ("double_blocks.0.img_attn.proj.weight\n", "transformer_blocks.0.attn.norm_added_k.weight\n"),
           ("single_blocks.0.", "single_transformer_blocks.0.")),
    _model("qwen_image", ("transformer_blocks.0.attn.norm_added_k.weight\n",), ("transformer_blocks.0.img_mod.",)),
    _model("sd3", ("transformer_blocks.0.attn.add_q_proj.weight\n",), ("pos_embed.proj.weight\n",)),
    _model("aura", ("double_layers.3.modx.1.weight\n", "joint_transformer_blocks.3.ff_context.out_projection.")),
    _model("hidream", ("caption_projection.0.linear.weight\n",), ("double_stream_blocks.0.",)),
    _model("cosmos", ("blocks.0.mlp.layer1.weight\n",), ("blocks.0.adaln_modulation_cross_attn.1.weight\n",)),
    _model("cosmos", ("blocks.block1.blocks.0.block.attn.to_q.0.weight\n",)),
    _model("mochi", ("blocks.0.attn.qkv_x.weight\n",)),
    _model("stable-cascade", ("clip_txt_mapper.weight\n", "down_blocks.1.0.channelwise.0.weight\n")),
    _model("wan", ("blocks.0.self_attn.norm_q.weight\n",), ("text_embedding.2.weight\n",), ("head.modulation\n",)),
    _model("ltxv", ("adaln_single.emb.timestep_embedder.",), ("transformer_blocks.27.scale_shift_table\n",)),
    _model("sana", ("blocks.0.cross_attn.kv_linear.",), ("attention_y_norm.weight\n",),
           ("blocks.0.mlp.inverted_conv.",)),
    _model("pixart", ("t_block.1.weight\n", "adaln_single.linear.weight\n"),
           ("blocks.0.cross_attn.kv_linear.", "transformer_blocks.0.scale_shift_table\n")),
    _model("z_image", ("layers.0.adaln_modulation.0.weight\n",), ("cap_embedder.1.weight\n",),
           ("context_refiner.0.attention.",)),
    _model("lumina2", ("cap_embedder.1.weight\n",), ("context_refiner.0.attention.",)),
)  # fmt: skip

_VAE_WITHOUT = (_BACKBONE, "text_model.", "conditioner.", "cond_stage_model.")
_ENCODERS = (
    Signature(
        "a VAE", "diffusion", "vae", None,
        (
            ("\nencoder.down.", "\nencoder.down_blocks.", "\nencoder.downsamples.", "\nfirst_stage_model.encoder."),
            ("\ndecoder.up.", "\ndecoder.up_blocks.", "\ndecoder.upsamples.", "\nfirst_stage_model.decoder."),
        ),
        _VAE_WITHOUT,
    ),
    Signature(
        "a vision encoder of CLIP", "diffusion", "clip_vision", "clip",
        (("vision_model.encoder.layers.", "\nvisual.transformer.resblocks.", "\nvisual.blocks."),),
        ("language_model.", "model.layers.", _BACKBONE, "text_decoder."),
    ),
    Signature(
        "a text encoder of CLIP", "diffusion", "clip", "clip",
        (("text_model.encoder.layers.", "\ntransformer.resblocks.", "\nmodel.transformer.resblocks."),),
        ("vision_model.", "\nvisual.", _BACKBONE),
    ),
    Signature(
        "a text encoder of T5", "diffusion", "clip", "t5", (("encoder.block.0.layer.0.selfattention.q.",),),
        ("decoder.block.", _BACKBONE),
    ),
    Signature(
        "a T5", "llm", "", "t5", (("encoder.block.0.layer.0.selfattention.q.",), ("decoder.block.",)), (_BACKBONE,)
    ),
    Signature(
        "a model of BERT's kind", "llm", "", "bert",
        (("embeddings.word_embeddings.weight\n",), ("encoder.layer.0.attention.self.query.",)),
    ),
    Signature(
        "a Whisper", "audio", "checkpoints", "whisper",
        (("encoder.conv1.weight\n",), ("encoder.conv2.weight\n",), ("decoder.layers.0.encoder_attn.",)),
    ),
)  # fmt: skip

SIGNATURES = (*_LORAS, *_PARTS, *_WHOLE, *_ENCODERS)


SIGNATURE_WORDS = tuple(
    dict.fromkeys(chain.from_iterable((*chain.from_iterable(row.words), *row.without) for row in SIGNATURES))
)
"""All that is looked for."""


def find_signature(found: AbstractSet[str]) -> Signature | None:
    """The first row that holds; `found` are those of `SIGNATURE_WORDS` that are in the names of a model."""
    return next((row for row in SIGNATURES if row.holds(found)), None)


def family_by_shape(row: Signature, shapes: Shapes) -> str | None:
    """The family that a row's widths tell."""
    if not row.widths:
        return None
    for name, shape in shapes().items():
        for width in row.widths:
            if name.endswith(width.ending) and len(shape) > width.axis and shape[width.axis] in width.families:
                return width.families[shape[width.axis]]
    return None
