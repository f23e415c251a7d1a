"""Reading headers: what comes out of whole ones, and one case for each way of being wrong."""

from __future__ import annotations

import errno
import json
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pumas_native
import pytest
from pumas_native import errors
from support.headers import Gguf, safetensors, tensor

Q4_K, F32 = 12, 0
DETAILS = ("type", "keys", "names", "facts", "tensors")


def gguf_keys(**more: Any) -> list[Any]:
    keys = [
        ("general.architecture", "string", "llama"),
        ("general.file_type", "uint32", 15),
        ("llama.context_length", "uint32", 4096),
        ("tokenizer.ggml.tokens", "array", ("string", [f"w{n}" for n in range(100)])),
        ("tokenizer.ggml.scores", "array", ("float32", [0.5] * 100)),
    ]
    return [*keys, *((name, *value) for name, value in more.items())]


ROWS = (("token_embd.weight", (256, 4), Q4_K, 0), ("norm", (8,), F32, 576))
DATA = bytes(576 + 32)
DIALECTS = [Gguf(version, order) for version, order in product((1, 2, 3), "<>")]
LORA = {
    "__metadata__": {"format": "pt", "name": "Ünï"},
    "a.down": tensor("F16", (2, 3), 0, 12),
    "a.up": tensor("F32", (), 12, 16),
}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Write bytes to a file and read its header."""

    def run(data: bytes, **options: Any) -> dict[str, Any]:
        path = tmp_path / "model"
        path.write_bytes(data)
        answer: dict[str, Any] = json.loads(pumas_native.read_header(path, **options))
        return answer

    return run


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: f"v{dialect.version}{dialect.order}")
def test_gguf(dialect, read):
    data = dialect.file(gguf_keys(), ROWS, DATA)
    facts = read(data)
    assert facts == {
        "format": "gguf",
        "size_bytes": len(data),
        "version": dialect.version,
        "byte_order": "little" if dialect.order == "<" else "big",
        "key_count": 5,
        "tensor_count": 2,
        "architecture": "llama",
        "metadata": {
            "general.architecture": "llama",
            "general.file_type": 15,
            "llama.context_length": 4096,
            "tokenizer.ggml.tokens": {"type": "string", "count": 100},
            "tokenizer.ggml.scores": {"type": "float32", "count": 100},
        },
        "header_bytes": len(data) - len(DATA),
        "missing_bytes": 0,
        "quantization": "Q4_K_M",
        "parameter_count": 1032,
        "dtypes": {"Q4_K": {"tensors": 1, "parameters": 1024}, "F32": {"tensors": 1, "parameters": 8}},
    }
    whole = read(data, detail="keys", whole_arrays=True)["metadata"]
    assert whole["tokenizer.ggml.tokens"] == [f"w{n}" for n in range(100)]
    assert whole["tokenizer.ggml.scores"] == [0.5] * 100
    assert read(data, detail="names")["names"] == ["token_embd.weight", "norm"]
    assert read(data, detail="tensors")["tensors"] == [
        {"name": "token_embd.weight", "dtype": "Q4_K", "shape": [256, 4], "offset_bytes": 0, "size_bytes": 576},
        {"name": "norm", "dtype": "F32", "shape": [8], "offset_bytes": 576, "size_bytes": 32},
    ]


def test_safetensors(read):
    data = safetensors(LORA, bytes(16))
    facts = read(data)
    assert facts == {
        "format": "safetensors",
        "size_bytes": len(data),
        "header_bytes": len(data) - 16,
        "tensor_count": 2,
        "metadata": {"format": "pt", "name": "Ünï"},
        "missing_bytes": 0,
        "quantization": "F16",
        "parameter_count": 7,
        "dtypes": {"F16": {"tensors": 1, "parameters": 6}, "F32": {"tensors": 1, "parameters": 1}},
    }
    assert read(data, detail="names")["names"] == ["a.down", "a.up"]
    assert read(data, detail="tensors")["tensors"][0] == {
        "name": "a.down",
        "dtype": "F16",
        "shape": [2, 3],
        "offset_bytes": 0,
        "size_bytes": 12,
    }


def test_no_metadata_at_all(read):
    assert read(safetensors({"__metadata__": None}))["metadata"] == {}


def test_every_number_is_read_with_its_sign(read):
    values = [
        ("uint8", 255), ("int8", -128), ("uint16", 65535), ("int16", -2), ("uint32", 2**32 - 1), ("int32", -(2**31)),
        ("uint64", 2**64 - 1), ("int64", -(2**63)), ("float32", -1.5), ("float64", 0.1), ("bool", True),
    ]  # fmt: skip
    for dialect in DIALECTS:
        keys = [(kind, kind, value) for kind, value in values]
        assert read(dialect.file(keys))["metadata"] == dict(values)
        arrays = [(kind, "array", (kind, [value, value])) for kind, value in values]
        assert read(dialect.file(arrays))["metadata"] == {kind: [value, value] for kind, value in values}


def test_what_json_can_not_say_is_null(read):
    floats = [float("nan"), float("inf"), float("-inf"), 1.0]
    assert read(Gguf().file([("f", "array", ("float32", floats))]))["metadata"] == {"f": [None, None, None, 1.0]}


def test_texts_of_length_are_summarised_and_those_that_are_none_left_out(read):
    keys = [
        ("long", "string", "x" * 65_537),
        ("short", "string", "y" * 65_536),
        ("broken", "string", b"\xff"),
        ("half", "array", ("string", ["a", b"\xff"])),
        ("wide", "array", ("string", ["z" * 65_536] * 2)),
    ]
    metadata = read(Gguf().file(keys))["metadata"]
    assert metadata == {
        "long": {"type": "string", "bytes": 65_537},
        "short": "y" * 65_536,
        "wide": {"type": "string", "count": 2},
    }
    whole = read(Gguf().file(keys), detail="keys", whole_arrays=True)["metadata"]
    assert whole == {"long": "x" * 65_537, "short": "y" * 65_536, "wide": ["z" * 65_536] * 2}


def test_nested_arrays_are_flattened(read):
    inner = [("string", ["a"]), ("string", []), ("string", ["b", "c"])]
    data = Gguf().file([("n", "array", ("array", inner)), ("after", "uint8", 1)])
    assert read(data)["metadata"] == {"n": {"type": "array", "count": 3}, "after": 1}
    assert read(data, whole_arrays=True)["metadata"] == {"n": ["a", "b", "c"], "after": 1}


def test_type_alone_stops_before_the_damage(read):
    data = Gguf().start(1, 2) + Gguf().key("general.architecture", "string", "flux") + b"\xff" * 40
    assert read(data, detail="type")["architecture"] == "flux"
    with pytest.raises(errors.HeaderError):
        read(data, detail="keys")


def test_repeated_keys(read):
    keys = [
        ("general.architecture", "string", "first"),
        ("general.architecture", "string", "last"),
        ("general.architecture", "string", b"\xff"),
    ]
    facts = read(Gguf().file(keys))
    assert (facts["architecture"], facts["metadata"]) == ("first", {"general.architecture": "last"})
    assert read(Gguf().file(keys[2:])).get("architecture") is None


def test_quantization_without_a_name_is_that_of_most_parameters(read):
    assert read(Gguf().file(tensors=ROWS, data=DATA))["quantization"] == "Q4_K"
    guessed = [("general.file_type", "uint32", 1024 + 7)]
    assert read(Gguf().file(guessed, ROWS, DATA))["quantization"] == "Q8_0"
    later = [("general.file_type", "uint32", 999)]
    assert read(Gguf().file(later, ROWS, DATA))["quantization"] == "Q4_K"


def test_data_types_of_later_times_are_counted(read):
    data = Gguf().file([], [("a", (3,), 9999, 0)])
    assert read(data)["dtypes"] == {"GGML_9999": {"tensors": 1, "parameters": 3}}
    facts = read(safetensors({"a": tensor("F3_NEW", (3,), 0, 2)}, b"xx"))
    assert facts["dtypes"] == {"F3_NEW": {"tensors": 1, "parameters": 3}}


def test_data_that_is_not_there_is_told(read):
    assert read(Gguf().file([], ROWS, DATA[:-1]))["missing_bytes"] == 1
    assert read(safetensors(LORA))["missing_bytes"] == 16


def test_an_alignment_of_the_file_s_own(read):
    keys = [("general.alignment", "uint32", 8)]
    assert read(Gguf().file(keys, [("a", (2,), F32, 8)], bytes(64)))["header_bytes"] % 8 == 0
    with pytest.raises(errors.HeaderMalformed, match="not aligned"):
        read(Gguf().file([], [("a", (2,), F32, 8)], bytes(64)))


V3 = Gguf()


def test_whole_arrays_are_bounded(read):
    data = V3.file([("a", "array", ("uint8", bytes(2_097_153)))])
    assert read(data)["metadata"] == {"a": {"type": "uint8", "count": 2_097_153}}
    with pytest.raises(errors.HeaderTooLarge, match="array elements"):
        read(data, whole_arrays=True)
    texts = V3.file([(f"k{n}", "string", "x" * (1 << 20)) for n in range(33)])
    with pytest.raises(errors.HeaderTooLarge, match="bytes of metadata"):
        read(texts, whole_arrays=True)


def test_a_header_of_sparse_bytes_ends_at_the_limit(tmp_path):
    path = tmp_path / "sparse.gguf"
    path.write_bytes(V3.start(0, 2) + V3.text("a") + V3.pack("IIQ", 9, 0, 300 << 20))
    os.truncate(path, 1 << 40)
    with pytest.raises(errors.HeaderTooLarge, match="bytes of header"):
        pumas_native.read_header(path)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: f"v{dialect.version}{dialect.order}")
def test_a_gguf_cut_anywhere(dialect, tmp_path):
    data = dialect.file(gguf_keys(n=("array", ("array", [("bool", [True])]))), ROWS, DATA)
    check_cuts(data, len(data) - len(DATA), tmp_path)


def test_a_safetensors_cut_anywhere(tmp_path):
    data = safetensors(LORA, bytes(16))
    check_cuts(data, len(data) - 16, tmp_path)


def check_cuts(data: bytes, header_bytes: int, folder: Path) -> None:
    """A file without its last bytes gives an error as long as a part of the header is missing, and tells the rest."""
    path = folder / "model"
    path.write_bytes(data)
    for length in range(len(data) - 1, -1, -1):
        os.truncate(path, length)
        try:
            facts = json.loads(pumas_native.read_header(path, whole_arrays=length % 2 == 0))
        except errors.HeaderError as exc:
            assert length < header_bytes, exc
        else:
            # Padding before the data may be missing as well.
            assert header_bytes - length < 32
            assert facts["missing_bytes"] == len(data) - length


@pytest.mark.skipif(sys.platform != "linux", reason="what there is to be refused differs between systems")
def test_what_is_no_file_is_refused_at_once_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))  # whoever opened it would be told that there is no such device
        for path, number, kind in (
            (tmp_path, errno.EISDIR, "folder"),
            (tmp_path / "fifo", errno.EINVAL, "FIFO"),
            (tmp_path / "socket", errno.EINVAL, "socket"),
            (Path("/dev/zero"), errno.EINVAL, "device"),
        ):
            with pytest.raises(errors.NotRegularFile) as caught:
                pumas_native.read_header(path)
            assert (caught.value.errno, caught.value.filename) == (number, str(path))
            told = f"it is a {kind}, not a regular file"
            assert caught.value.strerror == told
            assert pumas_native.read_headers([path]).problems == [(0, "not-regular", told)]


def test_what_can_not_be_opened_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        pumas_native.read_header(tmp_path / "missing")
    assert caught.value.filename == str(tmp_path / "missing")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="symbolic links"):
        pumas_native.read_header(loop)


def test_a_link_is_followed(tmp_path, read):
    read(safetensors({}))
    link = tmp_path / "link"
    link.symlink_to("model")
    assert json.loads(pumas_native.read_header(link))["format"] == "safetensors"


def test_many(tmp_path):
    paths = []
    for number in range(100):
        path = tmp_path / f"{number}"
        path.write_bytes(safetensors(LORA, bytes(16)) if number % 2 else V3.file(gguf_keys(), ROWS, DATA))
        paths.append(path)
    paths[7].write_bytes(b"GGUF")
    paths[8].unlink()
    told: list[int] = []
    headers = pumas_native.read_headers(paths, workers=3, progress=told.append)
    alone = [pumas_native.read_header(path) if n not in (7, 8) else None for n, path in enumerate(paths)]
    assert headers.facts == alone
    assert headers.problems == [
        (7, "cut", "it ends in the middle of its version (byte 4)"),
        (8, "unreadable", "it can't be read: No such file or directory"),
    ]
    assert told[-1] == 100
    assert pumas_native.read_headers([]).facts == []


def test_a_cancel_is_seen_between_files_that_take_long(tmp_path):
    path = tmp_path / "model"  # a million arrays in an array: 20 ms
    path.write_bytes(V3.start(0, 1) + V3.text("k") + V3.pack("IIQ", 9, 9, 1 << 20) + V3.pack("IQ", 0, 0) * (1 << 20))
    token, told = pumas_native.CancelToken(), []

    def progress(done: int) -> None:
        told.append(done)
        token.cancel()

    with pytest.raises(errors.Cancelled):
        pumas_native.read_headers([path] * 100, workers=1, progress=progress, cancel=token)
    assert told[-1] < 32


def test_kinds_of_problems(tmp_path):
    faults = [b"GGUF", V3.start(0, 65_537) + bytes(65_537 * 13), b"GGUF\x04" + bytes(19), b"x"]
    paths = [tmp_path, tmp_path / "missing"]
    for number, data in enumerate(faults):
        paths.append(tmp_path / f"{number}")
        paths[-1].write_bytes(data)
    kinds = [kind for _, kind, _ in pumas_native.read_headers(paths).problems]
    assert kinds == ["not-regular", "unreadable", "cut", "too-large", "malformed", "unknown-format"]


def test_work_ends_when_cancelled(tmp_path):
    token = pumas_native.CancelToken()
    token.cancel()
    with pytest.raises(errors.Cancelled):
        pumas_native.read_headers([tmp_path], cancel=token)


@pytest.mark.parametrize("options", [{"detail": "all"}, {"file_format": "onnx"}])
def test_options_that_there_are_not(options, tmp_path):
    with pytest.raises(errors.InvalidArgument):
        pumas_native.read_header(tmp_path, **options)
    with pytest.raises(errors.InvalidArgument):
        pumas_native.read_headers([], **options)


def test_an_error_survives_pickling(read):
    with pytest.raises(errors.HeaderCut) as caught:
        read(b"GGUF")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.path, again.offence) == (str(caught.value), caught.value.path, caught.value.offence)
    assert isinstance(again, ValueError)


_GROWTH = """
import sys, pumas_native
def peak_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
before = peak_kib()
try:
    pumas_native.read_header(sys.argv[1])
except pumas_native.errors.HeaderError:
    pass
print(peak_kib() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is told by Linux's /proc only")
@pytest.mark.parametrize("kind", ["tensors", "metadata", "brackets", "escapes", "rows", "keys", "texts"])
def test_no_more_memory_than_header_and_64_mib(kind, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(_hostile(kind))
    growth = int(subprocess.run([sys.executable, "-c", _GROWTH, path], capture_output=True, check=True).stdout)
    # GGUF is read through a window, so its header is not held at all.
    header = 0 if kind in ("rows", "keys", "texts") else path.stat().st_size
    assert growth < (header >> 10) + (64 << 10)


def _hostile(kind: str) -> bytes:
    """What takes most to read, a little within the limits or a little beyond."""
    many = 524_288
    if kind == "tensors":
        one = '{{"dtype":"I8","shape":[1],"data_offsets":[{0},{1}]}}'
        return safetensors("{" + ",".join(f'"{n}":' + one.format(n, n + 1) for n in range(many)) + "}")
    if kind == "metadata":
        return safetensors('{"__metadata__":{' + ",".join(['"":""'] * (8 << 20 >> 3)) + "}}")
    if kind == "brackets":
        return safetensors('{"a":' + "[" * (50 << 20))
    if kind == "escapes":
        return safetensors('{"' + "\\n" * (2 << 20) + '":0}')
    if kind == "rows":
        keys = b"".join(V3.key(f"{n}", "string", "\x01" * 10_000) for n in range(65))
        return V3.start(many, 65) + keys + b"".join(V3.tensor(f"{n}", (), 24, 32 * n) for n in range(many))
    if kind == "keys":
        return V3.file([(f"{n:060000}", "uint8", 1) for n in range(1000)])
    return V3.file([(f"{n}", "string", "\x01" * 60_000) for n in range(1000)])


_FORBIDDEN = """
import os, sys, pumas_native
if os.geteuid() == 0: os.seteuid(65534)
try:
    pumas_native.read_header(sys.argv[1])
except PermissionError as exc:
    print(exc.filename)
print(pumas_native.read_headers([sys.argv[1]]).problems)
"""


def test_what_may_not_be_read(tmp_path, read):
    read(safetensors({}))
    path = tmp_path / "model"
    path.chmod(0)
    out = subprocess.run([sys.executable, "-c", _FORBIDDEN, path], capture_output=True, check=True, text=True).stdout
    assert out.splitlines() == [str(path), "[(0, 'unreadable', \"it can't be read: Permission denied\")]"]


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("whole", [Gguf().file(gguf_keys(), ROWS, DATA), safetensors(LORA, bytes(16))])
def test_the_first_bytes_give_what_the_file_gives(read, whole, detail):
    expected = read(whole, detail=detail)
    header_bytes = read(whole)["header_bytes"]
    answer = pumas_native.read_header_prefix("far/away", whole[:header_bytes], len(whole), detail=detail)
    assert json.loads(answer) == expected


@pytest.mark.parametrize("whole", [Gguf().file(gguf_keys(), ROWS, DATA), safetensors(LORA, bytes(16))])
def test_first_bytes_that_do_not_suffice_are_cut(read, whole):
    with pytest.raises(errors.HeaderCut, match=r"^far/away: it ends in the middle of"):
        pumas_native.read_header_prefix("far/away", whole[: read(whole)["header_bytes"] // 2], len(whole))


def test_the_size_of_the_whole_file_counts_not_that_of_its_first_bytes(read):
    whole = safetensors(LORA, bytes(16))
    answer = json.loads(pumas_native.read_header_prefix("far/away", whole, len(whole) - 4))
    assert (answer["size_bytes"], answer["missing_bytes"]) == (len(whole) - 4, 4)
    with pytest.raises(errors.HeaderError, match="bytes after the last tensor"):
        pumas_native.read_header_prefix("far/away", whole, len(whole) + 1)
    with pytest.raises(errors.HeaderCut, match="promises"):
        pumas_native.read_header_prefix("far/away", whole, 20)
