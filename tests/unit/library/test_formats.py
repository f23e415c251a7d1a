"""The format of a file by its first bytes."""

from __future__ import annotations

import os
import socket

import pytest

from pumas.library.formats import first_bytes, format_of, validate_file_type


@pytest.mark.parametrize(
    ("first", "name", "expected"),
    [
        (b"GGUF", "a", "gguf"),
        (b"GGML", "a", "ggml"),
        (b"PK\x03\x04", "a", "zip"),
        (b"PK\x05\x06", "a", "unknown"),
        (b"\x80\x02", "a", "pickle"),
        (b"\x80\x05}", "a", "pickle"),
        (b"\x80\x06}", "a", "unknown"),
        (b"\x08\x07\x12", "a.ONNX", "onnx"),
        (b"\x08\x07\x12", "a.bin", "unknown"),
        (b"\x08\x07", "a.onnx", "unknown"),
        ((104_857_599).to_bytes(8, "little") + b"{", "a", "safetensors"),
        ((104_857_600).to_bytes(8, "little") + b"{", "a", "unknown"),
        (bytes(8), "a", "unknown"),
        (b"", "a", "unknown"),
    ],
)
def test_format(first, name, expected):
    assert format_of(first, name) == expected


def test_what_is_no_file_is_refused_at_once_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))  # whoever opened it would be told that there is no such device
        for name in ("fifo", "socket"):
            with pytest.raises(OSError, match="Not a regular file"):
                first_bytes(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        first_bytes(tmp_path)
    checked = validate_file_type(tmp_path / "fifo")
    assert (checked.is_valid, checked.detected_type) == (False, "error")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(3):
        validate_file_type(tmp_path)
    assert not before or len(os.listdir("/proc/self/fd")) == before
