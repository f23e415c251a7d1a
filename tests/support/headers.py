"""Writers of headers, straight from the formats: `docs/gguf.md` of ggml, `README.md` of safetensors."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

CODES = {
    "uint8": (0, "B"),
    "int8": (1, "b"),
    "uint16": (2, "H"),
    "int16": (3, "h"),
    "uint32": (4, "I"),
    "int32": (5, "i"),
    "float32": (6, "f"),
    "bool": (7, "?"),
    "string": (8, ""),
    "array": (9, ""),
    "uint64": (10, "Q"),
    "int64": (11, "q"),
    "float64": (12, "d"),
}

Key = tuple[str | bytes, str, Any]
"""Name, type, value; the value of an array is `(type of the elements, elements)`."""

TensorRow = tuple[str | bytes, Sequence[int], int, int]
"""Name, shape, type of the data, offset."""


class Gguf:
    """Writes GGUF in one version and byte order (`<` or `>`)."""

    def __init__(self, version: int = 3, order: str = "<") -> None:
        self.version = version
        self.order = order

    def pack(self, code: str, *values: Any) -> bytes:
        return struct.pack(f"{self.order}{code}", *values)

    def count(self, number: int) -> bytes:
        return self.pack("I" if self.version == 1 else "Q", number)

    def text(self, text: str | bytes) -> bytes:
        data = text if isinstance(text, bytes) else text.encode()
        return self.count(len(data)) + data

    def value(self, kind: str, value: Any) -> bytes:
        if kind == "string":
            return self.text(value)
        if kind == "array":
            element, values = value
            head = self.pack("I", CODES[element][0]) + self.count(len(values))
            return head + b"".join(self.value(element, one) for one in values)
        return self.pack(CODES[kind][1], value)

    def key(self, name: str | bytes, kind: str, value: Any) -> bytes:
        return self.text(name) + self.pack("I", CODES[kind][0]) + self.value(kind, value)

    def tensor(self, name: str | bytes, shape: Sequence[int], dtype: int, offset: int) -> bytes:
        sizes = b"".join(self.count(size) for size in shape)
        return self.text(name) + self.pack("I", len(shape)) + sizes + self.pack("IQ", dtype, offset)

    def start(self, tensors: int, keys: int) -> bytes:
        return b"GGUF" + self.pack("I", self.version) + self.count(tensors) + self.count(keys)

    def file(self, keys: Iterable[Key] = (), tensors: Iterable[TensorRow] = (), data: bytes = b"") -> bytes:
        """A whole file; the data is aligned to 32 bytes."""
        keys, tensors = list(keys), list(tensors)
        header = self.start(len(tensors), len(keys))
        header += b"".join(self.key(*key) for key in keys) + b"".join(self.tensor(*row) for row in tensors)
        return header + bytes(-len(header) % 32) + data if tensors else header


def safetensors(header: Mapping[str, Any] | str | bytes, data: bytes = b"") -> bytes:
    """A whole file."""
    if isinstance(header, Mapping):
        header = json.dumps(header)
    text = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype: str, shape: Sequence[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
