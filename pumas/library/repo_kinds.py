"""What kind of model a folder holds: a repository of a hub says so in its documents, else its largest file does.

    model_index.json        Diffusers: a pipeline; its class says which
    adapter_config.json     PEFT: an adapter, of which model
    config.json             transformers: `architectures`, `model_type`; a part of Diffusers: `_class_name`

They come from a hub: read as far as they have the form that they should have, and bounded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from pumas.errors import Damaged, shown
from pumas.library.file_kinds import file_kinds, gguf_family, has_model_name
from pumas.library.formats import first_bytes
from pumas.library.manifests import PIPELINE, read_pipeline
from pumas.models import SURE, ModelKind

_MAX_CONFIG = 1 << 20  # the largest have 100 KiB: a label for each of ten thousand classes
_MAX_ENTRIES = 10_000  # of a folder, in which weights are looked for
_MAX_DEPTH = 4

# Beginnings of the classes of Diffusers' pipelines; the first that fits.
_PIPELINES = (
    ("StableDiffusionXL", "sdxl"),
    ("StableDiffusion3", "sd3"),
    ("Flux2", "flux2"),
    ("Flux", "flux"),
    ("HunyuanVideo", "hyvid"),
    ("QwenImage", "qwen_image"),
    ("PixArt", "pixart"),
    ("Lumina2", "lumina2"),
    ("AuraFlow", "aura"),
    ("HiDream", "hidream"),
    ("LTX", "ltxv"),
    ("Wan", "wan"),
    ("Cosmos", "cosmos"),
    ("Chroma", "chroma"),
    ("ZImage", "z_image"),
    ("Sana", "sana"),
    ("Mochi", "mochi"),
    ("StableCascade", "stable-cascade"),
    ("StableDiffusion", "stable-diffusion"),
)
_AUDIO_PIPELINES = ("Audio", "Music", "StableAudio")
_PARTS = (("Autoencoder", "vae"), ("ControlNet", "controlnet"), ("UNet", "checkpoints"))
_PART_ENDS = (("ControlNetModel", "controlnet"), ("Transformer2DModel", "checkpoints"))

# `model_type` of transformers' configs, beyond language models.
_KINDS = {
    "clip_text_model": ("diffusion", "clip", "clip"),
    "clip_vision_model": ("diffusion", "clip_vision", "clip"),
    "siglip_vision_model": ("diffusion", "clip_vision", "siglip"),
    "clip": ("diffusion", "clip_vision", "clip"),
    "siglip": ("diffusion", "clip_vision", "siglip"),
}
_AUDIO = frozenset(
    {
        "bark", "clap", "encodec", "hubert", "musicgen", "parler_tts", "seamless_m4t", "speecht5", "vits", "wav2vec2",
        "whisper",
    }
)  # fmt: skip
_VISION_TASKS = ("ImageClassification", "ObjectDetection", "Segmentation", "DepthEstimation", "UniversalSegmentation")


class _Config(msgspec.Struct):
    architectures: object = None
    model_type: object = None
    class_name: object = msgspec.field(default=None, name="_class_name")


class _Adapter(msgspec.Struct):
    peft_type: object = None
    base_model_name_or_path: object = None


_Document = TypeVar("_Document", _Config, _Adapter)


def repo_kind(folder: Path) -> ModelKind:
    """What kind of model a folder holds; links in it are followed for files, never for folders.

    Raises:
        OSError: It can't be listed.
    """
    names = {name.lower(): name for name in os.listdir(folder)}  # noqa: PTH208 - names alone
    if PIPELINE in names and (kind := _pipeline_kind(folder / names[PIPELINE])) is not None:
        return kind
    largest = _largest(folder)
    content = file_kinds([largest])[0] if largest is not None else ModelKind(model_type="llm")
    if largest is not None:
        evidence = tuple(f"{shown(largest.name)}: {one}" for one in content.evidence)
        content = msgspec.structs.replace(content, evidence=evidence)
    told = None
    if "adapter_config.json" in names:
        told = _adapter_kind(folder / names["adapter_config.json"])
    if told is None and "config.json" in names:
        told = _config_kind(folder / names["config.json"])
    # Documents without any weights make no model; GGUF says of itself what it is.
    if told is None or content.confidence in (0, 1.0):
        return content
    return _merged(told, content)


def _merged(told: ModelKind, content: ModelKind) -> ModelKind:
    """What the documents say, with what only the content knows."""
    agrees = content.confidence >= SURE and content.model_type == told.model_type
    return msgspec.structs.replace(
        told,
        subtype=content.subtype if agrees and content.subtype and told.subtype in ("", "checkpoints") else told.subtype,
        family=told.family or (content.family if agrees else None),
        extra=content.extra,
        evidence=(*told.evidence, *content.evidence),
    )


def _largest(folder: Path) -> Path | None:
    """The largest model file directly in a folder, else the largest below it, else the largest file of all."""
    direct = _sized(entry for entry in os.scandir(folder))
    below = [] if any(has_model_name(name) for _, name in direct) else _sized(_below(folder))
    best = max(((has_model_name(path), size, path) for size, path in (*direct, *below)), default=None)
    return Path(best[2]) if best is not None else None


def _sized(entries: Iterator[os.DirEntry[str]]) -> list[tuple[int, str]]:
    found = []
    for entry in entries:
        try:
            if entry.is_file():
                found.append((entry.stat().st_size, entry.path))
        except OSError:
            continue  # it vanished, or is a link in a loop
    return found


def _below(folder: Path) -> Iterator[os.DirEntry[str]]:
    left, folders = _MAX_ENTRIES, [(os.fspath(folder), 0)]
    while folders:
        path, depth = folders.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    left -= 1
                    if left < 0:
                        return
                    if entry.is_dir(follow_symlinks=False):
                        if depth < _MAX_DEPTH and not entry.name.startswith("."):
                            folders.append((entry.path, depth + 1))
                    elif depth:
                        yield entry
        except OSError:
            continue  # what can't be listed says nothing


def _pipeline_kind(path: Path) -> ModelKind | None:
    try:
        name = read_pipeline(path).class_name
    except (Damaged, OSError):
        return None
    evidence = (f"{PIPELINE} names the pipeline {shown(name)}",)
    if name.startswith(_AUDIO_PIPELINES):
        return ModelKind(model_type="audio", subtype="checkpoints", evidence=evidence, confidence=1.0)
    family = next((family for beginning, family in _PIPELINES if name.startswith(beginning)), None)
    return ModelKind(model_type="diffusion", subtype="checkpoints", family=family, evidence=evidence, confidence=1.0)


def _adapter_kind(path: Path) -> ModelKind | None:
    adapter = _read(path, _Adapter)
    if adapter is None or not isinstance(adapter.peft_type, str):
        return None
    base = adapter.base_model_name_or_path
    of = f", of {shown(base)}" if isinstance(base, str) and base else ""
    evidence = f"adapter_config.json says that it is a {shown(adapter.peft_type)} adapter{of}"
    return ModelKind(model_type="llm", subtype="loras", evidence=(evidence,), confidence=0.95)


def _config_kind(path: Path) -> ModelKind | None:
    config = _read(path, _Config)
    if config is None:
        return None
    if isinstance(config.class_name, str):
        return _part_kind(config.class_name)
    if not isinstance(config.model_type, str) or not config.model_type:
        return None
    told = config.model_type.lower()
    architectures = config.architectures if isinstance(config.architectures, list) else []
    classes = [one for one in architectures if isinstance(one, str)]
    model_type, subtype, family = _KINDS.get(told, ("llm", "", gguf_family(told)))
    if told in _AUDIO:
        model_type, subtype = "audio", "checkpoints"
    elif any(task in one for one in classes for task in _VISION_TASKS):
        model_type, subtype = "vision", "checkpoints"
    elif "T5EncoderModel" in classes:
        model_type, subtype = "diffusion", "clip"
    evidence = f"config.json says that it is a {shown(classes[0] if classes else told)}"
    return ModelKind(
        model_type=model_type, subtype=subtype, family=shown(family), evidence=(evidence,), confidence=0.95
    )


def _part_kind(name: str) -> ModelKind | None:
    """A part of a pipeline of Diffusers."""
    subtype = next((subtype for beginning, subtype in _PARTS if name.startswith(beginning)), None)
    subtype = next((subtype for ending, subtype in _PART_ENDS if name.endswith(ending)), subtype)
    if subtype is None:
        return None
    evidence = (f"config.json says that it is a {shown(name)} of Diffusers",)
    return ModelKind(model_type="diffusion", subtype=subtype, evidence=evidence, confidence=0.95)


def _read(path: Path, kind: type[_Document]) -> _Document | None:
    try:
        data = first_bytes(path, _MAX_CONFIG + 1)
        return msgspec.json.decode(data, type=kind) if len(data) <= _MAX_CONFIG else None
    except (OSError, msgspec.DecodeError, RecursionError):
        return None
