"""One case for each way in which a header can be wrong, from literal bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pumas_native
import pytest
from pumas_native import errors
from support.headers import Gguf, safetensors, tensor

Q4_K, F32, I8 = 12, 0, 24
LORA = {"a.down": tensor("F16", (2, 3), 0, 12), "a.up": tensor("F32", (), 12, 16)}

V3 = Gguf()
CUT, LARGE, WRONG = errors.HeaderCut, errors.HeaderTooLarge, errors.HeaderMalformed


@pytest.fixture
def read_bytes(tmp_path: Path) -> Callable[..., bytes]:
    """Write bytes to a file and read its header."""

    def run(data: bytes, **options: Any) -> bytes:
        path = tmp_path / "model"
        path.write_bytes(data)
        return pumas_native.read_header(path, **options)

    return run


def one_key(rest: bytes) -> bytes:
    """A file with one key whose type and value are `rest`."""
    return V3.start(0, 1) + V3.text("k") + rest


def array(code: int, count: int, rest: bytes = b"") -> bytes:
    return one_key(V3.pack("IIQ", 9, code, count) + rest)


def alignment(kind: str, value: Any) -> bytes:
    return V3.file([("general.alignment", kind, value)])


def tensors(*rows: Any) -> bytes:
    return V3.file([], rows, bytes(128))


NESTED = V3.pack("IQ", 9, 1) * 8 + V3.pack("IQ", 0, 0)

GGUF_FAULTS = {
    "nothing behind the magic": (b"GGUF", CUT, "in the middle of its version"),
    "no counts": (b"GGUF\x03\0\0\0\0", CUT, "its number of tensors"),
    "version 0": (b"GGUF" + bytes(20), WRONG, "version is 0"),
    "version 4": (b"GGUF\x04" + bytes(19), WRONG, "version is 4"),
    "keys without end": (V3.start(0, 2**63) + bytes(99), CUT, "promises 9223372036854775808 keys"),
    "tensors without end": (V3.start(2**63, 0) + bytes(99), CUT, "promises 9223372036854775808 tensors"),
    "too many keys": (V3.start(0, 65_537) + bytes(65_537 * 13), LARGE, "65537 keys, more than 65536"),
    "too many tensors": (V3.start(524_289, 0) + bytes(524_289 * 24), LARGE, "524289 tensors"),
    "key of 2^62": (V3.start(0, 1) + V3.pack("Q", 2**62) + bytes(9), CUT, "bytes of a key[^,]*, but only"),
    "long key": (V3.file([("k" * 65_536, "uint8", 1)]), LARGE, "65536 bytes of a key"),
    "key not UTF-8": (V3.file([(b"\xff", "uint8", 1)]), WRONG, "a key is not UTF-8"),
    "type 99": (one_key(V3.pack("IQ", 99, 0)), WRONG, "type 99"),
    "type of elements 13": (array(13, 0), WRONG, "type 13"),
    "value cut": (one_key(V3.pack("II", 10, 0)), CUT, "in the middle of a value"),
    "text of 2^63": (one_key(V3.pack("IQ", 8, 2**63)), CUT, "a text"),
    "texts without end": (array(8, 2**61), CUT, "elements[^,]*, but only"),
    "numbers without end": (array(4, 2**62 + 1), CUT, "elements[^,]*, but only"),
    "arrays without end": (array(9, 2**63), CUT, "elements[^,]*, but only"),
    "text of an array past the end": (
        array(8, 65, bytes(64 * 8) + V3.pack("QQ", 2**64 - 1, 0)),
        CUT,
        "a text of an array",
    ),
    "arrays in arrays": (one_key(V3.pack("I", 9) + NESTED), WRONG, "deeper than 8"),
    "alignment text": (alignment("string", "x"), WRONG, "general.alignment"),
    "alignment 64 bits": (alignment("uint64", 32), WRONG, "general.alignment"),
    "alignment 0": (alignment("uint32", 0), WRONG, "general.alignment"),
    "alignment 24": (alignment("uint32", 24), WRONG, "general.alignment"),
    "name not UTF-8": (tensors((b"\xff", (), F32, 0)), WRONG, "name of a tensor is not UTF-8"),
    "long name": (tensors(("n" * 1025, (), F32, 0)), LARGE, "1025 bytes of a name"),
    "name of 2^63": (V3.start(1, 0) + V3.pack("Q", 2**63) + bytes(99), CUT, "bytes of a name[^,]*, but only"),
    "65 dimensions": (tensors(("a", (1,) * 65, F32, 0)), LARGE, "65 dimensions"),
    "shape of 2^64": (tensors(("a", (2**32, 2**32), F32, 0)), WRONG, "too large to be true"),
    "end past 2^64": (tensors(("a", (8,), F32, 2**64 - 32)), WRONG, "too large to be true"),
    "parameters past 2^64": (
        tensors(("a", (2**61,), I8, 0), ("b", (2**63,), 99, 0), ("c", (2**63,), 99, 0)),
        WRONG,
        '"c" is too large',
    ),
    "part of a block": (tensors(("a", (255, 256), Q4_K, 0)), WRONG, "whole blocks of Q4_K"),
    "part of a block without a shape": (tensors(("a", (), Q4_K, 0)), WRONG, "whole blocks of Q4_K"),
    "offset not aligned": (tensors(("a", (1,), F32, 4)), WRONG, "byte 4 of the data"),
    "overlap": (tensors(("a", (9,), F32, 0), ("b", (1,), F32, 32)), WRONG, "share the byte 32"),
    "one name twice": (tensors(("a", (1,), F32, 0), ("a", (1,), F32, 32)), WRONG, 'the name "a"'),
    "data types without end": (tensors(*((f"{n}", (), 1000 + n, 0) for n in range(65))), LARGE, "65 data types"),
}


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


LENGTH_ONLY = (1 << 20).to_bytes(8, "little") + b"{}"
SAFETENSORS_FAULTS = {
    "three bytes": (b"abc", CUT, "the length of its header"),
    "length over the limit": ((104_857_601).to_bytes(8, "little"), LARGE, "104857601 bytes of header"),
    "length of 2^63": ((2**63).to_bytes(8, "little"), LARGE, "bytes of header"),
    "length over the file": (LENGTH_ONLY, CUT, "bytes of header[^,]*, but only"),
    "empty": (safetensors(""), WRONG, "not JSON"),
    "cut JSON": (safetensors('{"a":'), WRONG, "not JSON"),
    "two values": (safetensors("{}{}"), WRONG, "not JSON"),
    "byte order mark": (safetensors("\ufeff{}"), WRONG, "not JSON"),
    "not UTF-8": (safetensors(b'{"\xff":1}'), WRONG, "not JSON"),
    "NaN": (safetensors('{"a":NaN}'), WRONG, "not JSON"),
    "list": (safetensors("[1]"), WRONG, "not a JSON object"),
    "text": (safetensors('"a"'), WRONG, "not a JSON object"),
    "null": (safetensors("null"), WRONG, "not a JSON object"),
    "deep metadata": (safetensors(f'{{"__metadata__":{{"a":{deep(64)}}}}}'), WRONG, "deeper than 64"),
    "deep tensor": (safetensors(f'{{"a":{{"b":{deep(100_000)}}}}}'), WRONG, "deeper than 64"),
    "deep header": (safetensors(deep(100_000)), WRONG, "not a JSON object"),
    "metadata without end": (
        safetensors({"__metadata__": {f"{number}": "" for number in range(65_537)}}),
        LARGE,
        "65537 parts of metadata, more than 65536",
    ),
    "metadata twice": (safetensors('{"__metadata__":{},"__metadata__":{}}'), WRONG, "stands in it twice"),
    "metadata with a number": (safetensors({"__metadata__": {"a": 1}}), WRONG, "object of texts"),
    "metadata is a list": (safetensors({"__metadata__": ["a"]}), WRONG, "object of texts"),
    "one name twice": (safetensors('{"a":0,"\\u0061":0}'), WRONG, '"a"'),
    "a number for a tensor": (safetensors({"a": 5}), WRONG, 'tensor "a" has a wrong form'),
    "no dtype": (safetensors({"a": {"shape": [], "data_offsets": [0, 0]}}), WRONG, "dtype"),
    "two shapes": (
        safetensors('{"a":{"dtype":"U8","shape":[0],"shape":[1],"data_offsets":[0,0]}}'),
        WRONG,
        "duplicate field `shape`",
    ),
    "two types": (
        safetensors('{"a":{"dtype":"U8","shape":[0],"dtype":"U8","data_offsets":[0,0]}}'),
        WRONG,
        "duplicate field `dtype`",
    ),
    "offsets twice": (
        safetensors('{"a":{"data_offsets":[0,0],"shape":[0],"dtype":"U8","data_offsets":[0,0]}}'),
        WRONG,
        "duplicate field `data_offsets`",
    ),
    "long data type": (safetensors({"a": tensor("x" * 65, (0,), 0, 0)}), LARGE, "65 bytes in the name of a data type"),
    "no shape": (safetensors({"a": {"dtype": "U8", "data_offsets": [0, 0]}}), WRONG, "shape"),
    "no offsets": (safetensors({"a": {"dtype": "U8", "shape": []}}), WRONG, "data_offsets"),
    "one offset": (safetensors({"a": {"dtype": "U8", "shape": [], "data_offsets": [0]}}), WRONG, "wrong form"),
    "negative size": (safetensors({"a": tensor("U8", (-1,), 0, 1)}), WRONG, "wrong form"),
    "size with a point": (safetensors({"a": tensor("U8", (1.5,), 0, 1)}), WRONG, "wrong form"),  # type: ignore[arg-type]
    "size of 2^64": (safetensors({"a": tensor("U8", (2**64,), 0, 1)}), WRONG, "wrong form"),
    "65 dimensions": (safetensors({"a": tensor("U8", (1,) * 65, 0, 1)}), WRONG, "wrong form"),
    "shape of 2^64": (safetensors({"a": tensor("U8", (2**32, 2**32), 0, 1)}), WRONG, "too large to be true"),
    "reversed": (safetensors({"a": tensor("U8", (0,), 2, 1)}), WRONG, "another size"),
    "other size": (safetensors({"a": tensor("F16", (2,), 0, 5)}, bytes(5)), WRONG, "another size"),
    "part of a byte": (safetensors({"a": tensor("F4", (3,), 0, 1)}, bytes(1)), WRONG, "another size"),
    "overlap": (
        safetensors({"a": tensor("U8", (4,), 0, 4), "b": tensor("U8", (4,), 3, 7)}, bytes(7)),
        WRONG,
        "share the byte 3",
    ),
    "gap": (
        safetensors({"a": tensor("U8", (4,), 0, 4), "b": tensor("U8", (4,), 5, 9)}, bytes(9)),
        WRONG,
        "gap before byte 5",
    ),
    "nothing in the middle of something": (
        safetensors({"a": tensor("U8", (2,), 0, 2), "b": tensor("U8", (0,), 1, 1)}, bytes(2)),
        WRONG,
        "share the byte 1",
    ),
    "gap at the beginning": (safetensors({"a": tensor("U8", (4,), 1, 5)}, bytes(5)), WRONG, "gap before byte 1"),
    "a zip behind it": (
        safetensors(LORA, bytes(16) + b"PK\x05\x06" + bytes(18)),
        WRONG,
        "22 bytes after the last tensor",
    ),
    "endless text": (safetensors(f'{{"__metadata__":{{"a":"{"x" * (9 << 20)}"}}}}'), LARGE, "between two quotes"),
    "endless metadata": (
        safetensors({"__metadata__": {f"{n}": "x" * (1 << 20) for n in range(9)}}),
        LARGE,
        "bytes of metadata",
    ),
    "names without end": (safetensors("{" + ",".join(f'"{n}":0' for n in range(524_289)) + "}"), LARGE, "tensors"),
}


@pytest.mark.parametrize("fault", GGUF_FAULTS)
def test_a_fault_of_gguf(fault, read_bytes, tmp_path):
    data, kind, offence = GGUF_FAULTS[fault]
    with pytest.raises(kind, match=offence.replace("(", r"\(")) as caught:
        read_bytes(data)
    assert caught.value.path == str(tmp_path / "model")


@pytest.mark.parametrize("fault", SAFETENSORS_FAULTS)
def test_a_fault_of_safetensors(fault, read_bytes, tmp_path):
    data, kind, offence = SAFETENSORS_FAULTS[fault]
    # A form that is only looked at with `facts` is the first fault of some of these.
    detail = "keys" if fault in ("deep tensor", "one name twice", "names without end") else "facts"
    with pytest.raises(kind, match=offence) as caught:
        read_bytes(data, file_format="safetensors", detail=detail)
    assert caught.value.path == str(tmp_path / "model")


@pytest.mark.parametrize(
    "data", [b"", b"abc", b"PK\x03\x04", b"GGML1234", b"<html><body>", b"\x05" + bytes(7) + b"[1,2]"]
)
def test_an_unknown_beginning(data, read_bytes):
    with pytest.raises(errors.UnknownFormat, match="does not begin as a GGUF or safetensors file"):
        read_bytes(data)
    with pytest.raises(errors.UnknownFormat, match="as a GGUF file"):
        read_bytes(data, file_format="gguf")
