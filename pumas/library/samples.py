"""A small library of real, tiny model files, so that the first screen of a new installation isn't empty.

Files are valid GGUF v3 and safetensors with a few bytes of weights; documents have the form of `storage.md` §4.2.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pumas.errors import system_errors
from pumas.library.naming import normalize_name
from pumas.store.documents import write_document
from pumas.store.metadata import METADATA, OVERRIDES
from pumas.store.times import TimeForm, format_time

_GGUF_STRING = 8  # value type of the GGUF format


@dataclass(frozen=True, slots=True)
class _Sample:
    official_name: str
    model_type: str
    subtype: str
    family: str
    file_name: str
    tags: tuple[str, ...]
    description: str


_SAMPLES = (
    _Sample(
        "Sample Llama 1B Instruct Q4_K_M",
        "llm",
        "",
        "llama",
        "sample-llama-1b-Q4_K_M.gguf",
        ("gguf", "text-generation", "sample"),
        "A tiny made-up chat model that shows what an entry looks like",
    ),
    _Sample(
        "Sample Qwen Coder 0.5B Q8_0",
        "llm",
        "",
        "qwen",
        "sample-qwen-coder-Q8_0.gguf",
        ("gguf", "code", "sample"),
        "A tiny made-up coding model",
    ),
    _Sample(
        "Sample SDXL Base",
        "diffusion",
        "checkpoints",
        "sdxl",
        "sample-sdxl-base.safetensors",
        ("text-to-image", "sdxl", "sample"),
        "A tiny made-up image checkpoint",
    ),
    _Sample(
        "Sample Detail LoRA",
        "diffusion",
        "loras",
        "sdxl",
        "sample-detail-lora.safetensors",
        ("lora", "sdxl", "sample"),
        "A tiny made-up LoRA",
    ),
)


def write_samples(library: Path) -> int:
    """Add the samples to a library.

    Returns:
        Number of models added.

    Raises:
        Unavailable, NoSpace: The library can't be written.
    """
    for sample in _SAMPLES:
        _write_sample(library, sample)
    return len(_SAMPLES)


def _write_sample(library: Path, sample: _Sample) -> None:
    name = normalize_name(sample.official_name)
    folder = library / sample.model_type / sample.family / name
    data = _gguf(sample.family) if sample.file_name.endswith(".gguf") else _safetensors({"sample": "pumas"})
    with system_errors("Writing the sample library"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / sample.file_name).write_bytes(data)
    now = format_time(datetime.now(UTC), TimeForm.ZULU)
    document = {
        "model_id": name,
        "family": sample.family,
        "model_type": sample.model_type,
        "subtype": sample.subtype,
        "official_name": sample.official_name,
        "cleaned_name": name,
        "tags": list(sample.tags),
        "base_model": "",
        "preview_image": "",
        "release_date": "",
        "download_url": "",
        "model_card": {},
        "inference_settings": {},
        "compatible_apps": [],
        "hashes": {"sha256": hashlib.sha256(data).hexdigest(), "blake3": ""},
        "notes": "",
        "added_date": now,
        "updated_date": now,
        "size_bytes": len(data),
        "files": [{"name": sample.file_name, "original_name": sample.file_name, "size": len(data)}],
        "description": sample.description,
    }
    write_document(folder / OVERRIDES.file, {})
    # The document makes the folder a model, so it comes last.
    write_document(folder / METADATA.file, document)


def _gguf(architecture: str) -> bytes:
    """GGUF v3, little-endian: magic, version, tensor count, key count, then keys (ggml, docs/gguf.md)."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    keys = {"general.architecture": architecture, "general.name": f"Sample {architecture}"}
    body = b"".join(text(key) + struct.pack("<I", _GGUF_STRING) + text(value) for key, value in keys.items())
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + body


def _safetensors(metadata: Mapping[str, str]) -> bytes:
    """Length of the header (u64, little-endian), the header as JSON, the bytes of the tensors."""
    tensor = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    header = json.dumps({"__metadata__": dict(metadata), "sample.weight": tensor}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(16)
