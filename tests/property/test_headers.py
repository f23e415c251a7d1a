"""Headers of any content come back as they were written; headers with a damaged byte never do harm."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pumas_native
from hypothesis import given
from hypothesis import strategies as st
from pumas_native.errors import HeaderError
from safetensors import SafetensorError, deserialize
from support.headers import CODES, Gguf, safetensors, tensor

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
DTYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q8_0": (8, 32, 34), "Q6_K": (14, 256, 210), "I64": (27, 1, 8)}
SAFE_DTYPES = {"F32": 4, "BF16": 2, "F8_E4M3": 1, "I64": 8, "BOOL": 1}


def _numbers(kind: str) -> st.SearchStrategy[Any]:
    if kind == "bool":
        return st.booleans()
    if kind.startswith("float"):
        return st.floats(width=32 if kind == "float32" else 64)
    bits = int(kind.removeprefix("u").removeprefix("int"))
    return st.integers(0, 2**bits - 1) if kind.startswith("u") else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


SCALARS = {kind: TEXT if kind == "string" else _numbers(kind) for kind in CODES if kind != "array"}


@st.composite
def values(draw: st.DrawFn) -> tuple[str, Any]:
    kind = draw(st.sampled_from([*SCALARS, "array"]))
    if kind != "array":
        return kind, draw(SCALARS[kind])
    element = draw(st.sampled_from(sorted(SCALARS)))
    return kind, (element, draw(st.lists(SCALARS[element], max_size=70)))


@st.composite
def rows(draw: st.DrawFn) -> list[tuple[str, str, list[int], int]]:
    """Tensors: name, data type, shape, elements."""
    found = []
    for name in draw(st.lists(TEXT, max_size=5, unique=True)):
        dtype = draw(st.sampled_from(sorted(DTYPES)))
        shape = draw(st.lists(st.integers(0, 3), max_size=4))
        shape[:1] = [size * DTYPES[dtype][1] for size in shape[:1]] or [DTYPES[dtype][1]]
        found.append((name, dtype, shape, math.prod(shape)))
    return found


def _expected(kind: str, value: Any) -> Any:
    if kind == "array":
        element, elements = value
        if len(elements) > 64:
            return {"type": element, "count": len(elements)}
        return [_expected(element, one) for one in elements]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _read(data: bytes, **options: Any) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        path.write_bytes(data)
        answer: dict[str, Any] = json.loads(pumas_native.read_header(path, **options))
        return answer


@given(st.sampled_from([1, 2, 3]), st.sampled_from("<>"), st.dictionaries(TEXT, values(), max_size=6), rows())
def test_gguf_comes_back(version, order, keys, tensors):
    keys.pop("general.alignment", None)
    table, offset = [], 0
    for name, dtype, shape, elements in tensors:
        code, per_block, block_bytes = DTYPES[dtype]
        table.append((name, shape, code, offset))
        offset += elements // per_block * block_bytes
        offset += -offset % 32
    data = Gguf(version, order).file([(name, *value) for name, value in keys.items()], table, bytes(offset))
    header = _read(data, detail="tensors")
    assert header["metadata"] == {name: _expected(*value) for name, value in keys.items()}
    assert [(row["name"], row["dtype"], row["shape"]) for row in header["tensors"]] == [row[:3] for row in tensors]
    assert header["parameter_count"] == sum(row[3] for row in tensors)
    assert header["missing_bytes"] == 0


@given(
    st.dictionaries(TEXT, TEXT, max_size=5),
    st.dictionaries(TEXT, st.sampled_from(sorted(SAFE_DTYPES)), max_size=5),
    st.data(),
)
def test_safetensors_comes_back(metadata, dtypes, data):
    dtypes.pop("__metadata__", None)
    header: dict[str, Any] = {"__metadata__": metadata}
    end = parameters = 0
    for name, dtype in dtypes.items():
        shape = data.draw(st.lists(st.integers(0, 4), max_size=4))
        begin, end = end, end + math.prod(shape) * SAFE_DTYPES[dtype]
        parameters += math.prod(shape)
        header[name] = tensor(dtype, shape, begin, end)
    found = _read(safetensors(header, bytes(end)), detail="tensors")
    assert found["metadata"] == metadata
    assert {row["name"]: row["shape"] for row in found["tensors"]} == {
        name: row["shape"] for name, row in header.items() if name != "__metadata__"
    }
    assert (found["parameter_count"], found["missing_bytes"]) == (parameters, 0)


KEYS = [("general.architecture", "string", "llama"), ("t", "array", ("string", ["a"] * 70))]
GOOD = [
    Gguf().file(KEYS, [("x", (8,), 0, 0)], bytes(32)),
    safetensors({"__metadata__": {"a": "b"}, "x": tensor("F32", (2, 2), 0, 16)}, bytes(16)),
]


DAMAGE = st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=8)), min_size=1, max_size=3)


def _damaged(good: bytes, damage: list[tuple[int, bytes]]) -> bytes:
    data = bytearray(good)
    for place, patch in damage:
        start = place % len(data)
        data[start : start + len(patch)] = patch
    return bytes(data)


@given(st.sampled_from(GOOD), DAMAGE)
def test_damaged_bytes_give_an_answer_or_an_error(good, damage):
    data = _damaged(good, damage)
    for options in ({"detail": "tensors"}, {"detail": "type"}, {"whole_arrays": True}):
        try:
            header = _read(data, **options)
        except HeaderError as exc:
            assert exc.offence
        else:
            assert header["size_bytes"] == len(data)


SEVERAL = safetensors(
    {
        "__metadata__": {"a": "b"},
        "x": tensor("F32", (2, 2), 0, 16),
        "y": tensor("I8", (), 16, 17),
        "z": tensor("F16", (0, 3), 17, 17),
        "f": tensor("F4", (2, 1), 17, 18),
    },
    bytes(18),
)


def _reference(data: bytes) -> list[tuple[str, str, list[int]]] | None:
    try:
        found = deserialize(data)
    except SafetensorError:
        return None
    return sorted((name, tensor["dtype"], tensor["shape"]) for name, tensor in found)


@given(DAMAGE)
def test_what_the_reference_reads_is_read_alike_and_nothing_else(damage):
    data = _damaged(SEVERAL, damage)
    theirs = _reference(data)
    try:
        header = _read(data, file_format="safetensors", detail="tensors")
    except HeaderError as exc:
        # The reference keeps the last of two tensors with one name, which the rules forbid.
        assert theirs is None or "two tensors have the name" in exc.offence
        return
    # Of a cut file we tell what is missing; data types of later times count.
    if theirs is not None or (header["missing_bytes"] == 0 and set(header["dtypes"]) <= {"F32", "I8", "F16", "F4"}):
        assert sorted((row["name"], row["dtype"], row["shape"]) for row in header["tensors"]) == theirs


@given(st.binary(max_size=200), st.sampled_from(["gguf", "safetensors"]))
def test_any_bytes_give_an_answer_or_an_error(rest, file_format):
    head = b"GGUF\x03\0\0\0" if file_format == "gguf" else struct.pack("<Q", len(rest))
    try:
        _read(head + rest, file_format=file_format, detail="tensors", whole_arrays=True)
    except HeaderError as exc:
        assert exc.offence
