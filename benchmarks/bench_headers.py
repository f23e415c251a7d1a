"""How long does it take to read what model files say of themselves?

Many: 5,000 GGUF files (24 keys, 48 tensors) and 5,000 safetensors files (100 tensors, five texts), in turn. Ours: one
call, its JSON decoded into records. Baseline: a plain Python loop, one read of 64 KiB each, `struct` or orjson, one
pass over the tensors; the same records. Vocabularies: 20 GGUF files with 128,000 words and as many scores and types
before the last keys; the architecture alone, and all keys with the long arrays counted. Baseline: the same loop over
the whole header. Kinds: type, subtype, family and evidence of the many files. Baseline: the same loop over them, which
only reads. All files are in the page cache; not pinned to one core, reading on all of them is a part of what is
asked.
"""

from __future__ import annotations

import math
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import orjson
import pumas_native
import pytest

from pumas.library.file_kinds import file_kinds

pytestmark = pytest.mark.timeout(900)

FILES = {"small": 40, "full": 10_000}
VOCABULARIES = {"small": (2, 1000), "full": (20, 128_000)}
TARGET_RATIO = 1 / 2.5
TARGET_S = 0.3
TARGET_KINDS_RATIO = 1 / 2
TARGET_TYPE_S = 0.005
TARGET_KEYS_S = 0.025

_WIDTHS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_NAMES = {4: "uint32", 5: "int32", 6: "float32", 8: "string"}
_TEXT, _ARRAY = 8, 9
_LONG = 64


class Facts(msgspec.Struct):
    """What both sides tell of a file."""

    format: str
    tensor_count: int
    architecture: str | None = None
    metadata: dict[str, Any] = {}
    parameter_count: int = 0


@pytest.fixture(scope="module")
def files(size: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    folder = tmp_path_factory.mktemp("headers")
    paths = []
    for number in range(FILES[size]):
        data, data_bytes = _safetensors(number) if number % 2 else _gguf(number)
        ending = "safetensors" if number % 2 else "gguf"
        paths.append(_write(folder / f"model-{number:05d}.{ending}", data, data_bytes))
    yield paths
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def vocabularies(size: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    folder = tmp_path_factory.mktemp("vocabularies")
    count, words = VOCABULARIES[size]
    paths = []
    for number in range(count):
        keys = [_key("general.architecture", _TEXT, _text("llama")), _key("llama.block_count", 4, _u32(number))]
        keys.append(_array("tokenizer.ggml.tokens", 8, words, b"".join(_text(f"Ġword{n}") for n in range(words))))
        keys.append(_array("tokenizer.ggml.scores", 6, words, struct.pack(f"<{words}f", *range(words))))
        keys.append(_array("tokenizer.ggml.token_type", 5, words, struct.pack(f"<{words}i", *[1] * words)))
        keys.append(_key("tokenizer.ggml.eos_token_id", 4, _u32(2)))
        keys.append(_key("tokenizer.chat_template", _TEXT, _text("{{ messages }}" * 100)))
        paths.append(_write(folder / f"{number}.gguf", _start(0, len(keys)) + b"".join(keys), 0))
    yield paths
    shutil.rmtree(folder)


def _write(path: Path, header: bytes, data_bytes: int) -> str:
    path.write_bytes(header)
    os.truncate(path, len(header) + data_bytes)
    return str(path)


def _u32(number: int) -> bytes:
    return struct.pack("<I", number)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _key(name: str, kind: int, value: bytes) -> bytes:
    return _text(name) + _u32(kind) + value


def _array(name: str, element: int, count: int, elements: bytes) -> bytes:
    return _key(name, _ARRAY, struct.pack("<IQ", element, count) + elements)


def _start(tensors: int, keys: int) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys)


def _gguf(number: int) -> tuple[bytes, int]:
    keys = [_key("general.architecture", _TEXT, _text("llama")), _key("general.file_type", 4, _u32(15))]
    keys += [_key(f"general.text_{n}", _TEXT, _text(f"value {n} of {number}")) for n in range(10)]
    keys += [_key(f"llama.count_{n}", 4, _u32(n * number)) for n in range(8)]
    keys += [_key(f"llama.epsilon_{n}", 6, struct.pack("<f", n / 4)) for n in range(3)]
    keys.append(_key("tokenizer.ggml.add_bos_token", 7, b"\1"))
    tensors = [
        _text(f"blk.{n // 8}.attn_{n % 8}.weight") + struct.pack("<IQQIQ", 2, 256, 4, 12, n * 576) for n in range(48)
    ]
    header = _start(len(tensors), len(keys)) + b"".join(keys + tensors)
    return header + bytes(-len(header) % 32), 48 * 576


def _safetensors(number: int) -> tuple[bytes, int]:
    header: dict[str, Any] = {"__metadata__": {f"key_{n}": f"value {n} of {number}" for n in range(5)}}
    for n in range(100):
        offsets = [n * 64, n * 64 + 64]
        header[f"model.layers.{n // 10}.part_{n % 10}.weight"] = {
            "dtype": "F16",
            "shape": [8, 4],
            "data_offsets": offsets,
        }
    text = orjson.dumps(header)
    return struct.pack("<Q", len(text)) + text, 6400


def _read_plainly(paths: list[str], *, first: int = 1 << 16, is_type_only: bool = False) -> list[Facts]:
    found = []
    for path in paths:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - what a plain loop does
            data = file.read(first)
        found.append(
            _gguf_facts(data, is_type_only=is_type_only) if data.startswith(b"GGUF") else _safetensors_facts(data)
        )
    return found


def _safetensors_facts(data: bytes) -> Facts:
    length = int.from_bytes(data[:8], "little")
    header = orjson.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    parameters = sum(math.prod(tensor["shape"]) for tensor in header.values())
    return Facts("safetensors", len(header), None, metadata, parameters)


def _gguf_facts(data: bytes, *, is_type_only: bool) -> Facts:
    unpack = struct.unpack_from
    _, tensors, keys = unpack("<IQQ", data, 4)
    at = 24
    metadata: dict[str, Any] = {}
    for _ in range(keys):
        (length,) = unpack("<Q", data, at)
        name = data[at + 8 : at + 8 + length].decode()
        at += 8 + length
        (kind,) = unpack("<I", data, at)
        metadata[name], at = _value(data, at + 4, kind)
        if is_type_only and name == "general.architecture":
            return Facts("gguf", tensors, metadata[name])
    parameters = 0
    for _ in range(tensors):
        (length,) = unpack("<Q", data, at)
        (dimensions,) = unpack("<I", data, at + 8 + length)
        shape = unpack(f"<{dimensions}Q", data, at + 12 + length)
        parameters += math.prod(shape)
        at += 24 + length + 8 * dimensions
    return Facts("gguf", tensors, metadata.get("general.architecture"), metadata, parameters)


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind == _TEXT:
        (length,) = struct.unpack_from("<Q", data, at)
        return data[at + 8 : at + 8 + length].decode(), at + 8 + length
    if kind != _ARRAY:
        return struct.unpack_from(f"<{_WIDTHS[kind]}", data, at)[0], at + struct.calcsize(_WIDTHS[kind])
    element, count = struct.unpack_from("<IQ", data, at)
    at += 12
    if element == _TEXT:
        for _ in range(count):
            at += 8 + struct.unpack_from("<Q", data, at)[0]
    else:
        at += count * struct.calcsize(_WIDTHS[element])
    assert count > _LONG, "the data has long arrays only"
    return {"type": _NAMES[element], "count": count}, at


_decode = msgspec.json.Decoder(Facts).decode


def _read(paths: list[str], **options: Any) -> list[Facts]:
    headers = pumas_native.read_headers(paths, **options)
    assert not headers.problems
    return [_decode(header) for header in headers.facts if header is not None]


def _timed(work: Callable[[], object]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


def test_many(
    alternate: Callable[..., tuple[float, float]], judge: Callable[[str, float, float], None], files: list[str]
) -> None:
    best, best_baseline = alternate(
        "headers-many", lambda: _timed(lambda: _read(files)), lambda: _timed(lambda: _read_plainly(files))
    )
    assert _read(files) == _read_plainly(files)
    judge("headers_many_ratio_to_plain_loop", best / best_baseline, TARGET_RATIO)
    judge("headers_many_s", best, TARGET_S)


def test_kinds(
    alternate: Callable[..., tuple[float, float]], judge: Callable[[str, float, float], None], files: list[str]
) -> None:
    best, best_baseline = alternate(
        "headers-kinds", lambda: _timed(lambda: file_kinds(files)), lambda: _timed(lambda: _read_plainly(files))
    )
    for kind, facts in zip(file_kinds(files), _read_plainly(files), strict=True):
        assert (kind.model_type, kind.family) == ("llm", facts.architecture)
        assert kind.confidence >= 0.9
    judge("kinds_ratio_to_plain_loop", best / best_baseline, TARGET_KINDS_RATIO)


def test_type_alone(
    alternate: Callable[..., tuple[float, float]], judge: Callable[[str, float, float], None], vocabularies: list[str]
) -> None:
    def plainly() -> list[Facts]:
        return _read_plainly(vocabularies, is_type_only=True)

    def ours() -> list[Facts]:
        return _read(vocabularies, detail="type")

    best, _ = alternate("headers-type", lambda: _timed(ours), lambda: _timed(plainly))
    assert ours() == plainly()
    judge("headers_type_s", best, TARGET_TYPE_S)


def test_past_vocabulary(
    alternate: Callable[..., tuple[float, float]], judge: Callable[[str, float, float], None], vocabularies: list[str]
) -> None:
    def plainly() -> list[Facts]:
        return _read_plainly(vocabularies, first=1 << 26)

    def ours() -> list[Facts]:
        return _read(vocabularies, detail="keys")

    best, _ = alternate("headers-vocabulary", lambda: _timed(ours), lambda: _timed(plainly))
    assert ours() == plainly()
    judge("headers_past_vocabulary_s", best, TARGET_KEYS_S)
