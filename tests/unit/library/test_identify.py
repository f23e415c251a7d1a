"""What files are, all kinds of them at once."""

from __future__ import annotations

import json
import os
import pickle

import pumas_native
import pytest
from support.headers import Gguf, safetensors

from pumas import PumasApi
from pumas.config import Config
from pumas.errors import Cancelled
from pumas.library.identify import identify_files


@pytest.fixture
def files(tmp_path):
    contents = {
        "whole.gguf": Gguf().file([("general.architecture", "string", "llama")]),
        "no-gguf.gguf": b"GGUF",
        "cut.gguf": Gguf().file([], [("a", (8,), 0, 0)]),
        "other-name.bin": safetensors({}),
        "list.safetensors": safetensors("{]"),
        "model.pt": pickle.dumps({"a": 1}, 2),
        "old.bin": b"GGML1234",
        "net.onnx": b"\x08\x07\x12\x04",
        "notes.txt": b"hello",
        "empty": b"",
        "model_index.json": json.dumps({"_class_name": "P"}).encode(),
        "m.safetensors.index.json": json.dumps({"weight_map": {"a": "b"}}).encode(),
        "bad.index.json": b"{}",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo.index.json")
    return [
        *(tmp_path / name for name in contents),
        tmp_path / "folder",
        tmp_path / "fifo.index.json",
        tmp_path / "gone",
    ]


def test_formats_and_problems(files):
    found = identify_files(files)
    assert [one.path for one in found] == [str(path) for path in files]
    assert [(one.path.rpartition("/")[2], one.format, one.problem) for one in found] == [
        ("whole.gguf", "gguf", None),
        ("no-gguf.gguf", "gguf", "it ends in the middle of its version (byte 4)"),
        ("cut.gguf", "gguf", "it is cut: 32 bytes of its data are missing"),
        ("other-name.bin", "safetensors", None),
        ("list.safetensors", "safetensors", "its header is not JSON: key must be a string at line 1 column 2"),
        ("model.pt", "pickle", None),
        ("old.bin", "ggml", None),
        ("net.onnx", "onnx", None),
        ("notes.txt", "unknown", None),
        ("empty", "unknown", None),
        ("model_index.json", "pipeline", None),
        ("m.safetensors.index.json", "shard_index", None),
        ("bad.index.json", "unknown", "it is no index of shards: Object missing required field `weight_map`"),
        ("folder", "unknown", "it is a folder, not a regular file"),
        ("fifo.index.json", "unknown", "it can't be read: Not a regular file"),
        ("gone", "unknown", "it can't be read: No such file or directory"),
    ]
    assert [one.is_sound for one in found] == [one.problem is None for one in found]


def test_by_the_api(files, tmp_path):
    told: list[int] = []
    with PumasApi(tmp_path / "root", config=Config()) as api:
        job = api.identify(files)
        found = job.result(30)
        told.append(job.snapshot().done)
    assert found == identify_files(files)


def test_work_ends_when_cancelled(files):
    token = pumas_native.CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        identify_files(files, cancel=token)
    with pytest.raises(Cancelled):
        identify_files(files[-3:-2], cancel=token)
