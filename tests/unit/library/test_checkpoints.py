"""Pickles are looked through, never loaded: a pickle that is loaded here would leave a file behind."""

from __future__ import annotations

import os
import pickle
import struct
import textwrap
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from pumas.library.checkpoints import scan_archive, scan_pickle

MAGIC = 0x1950A86A20F9469CFC6C


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture
def trap(tmp_path):
    """An object whose pickle makes a file when it is loaded."""
    yield Calls(os.mkdir, str(tmp_path / "was-loaded"))
    assert not (tmp_path / "was-loaded").exists()


@pytest.fixture
def write(tmp_path):
    def run(data: bytes) -> Path:
        path: Path = tmp_path / "model.pt"
        path.write_bytes(data)
        return path

    return run


@pytest.fixture
def pack(tmp_path):
    def run(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
        path: Path = tmp_path / "model.pt"
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, data in members:
                archive.writestr(name, data)
        return path

    return run


def legacy(value: Any) -> bytes:
    """As PyTorch wrote before 1.6: five pickles, then the tensors."""
    return (
        b"".join(pickle.dumps(one, 2) for one in (MAGIC, 1001, {"little_endian": True}, value, ["0"]))
        + bytes(range(256)) * 9
    )


GOOD = OrderedDict(a=1, b=[2.5, "text"])


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_that_rebuilds_data(protocol, write):
    found = scan_pickle(write(pickle.dumps(GOOD, protocol)))
    assert (found.risk, found.imports, found.reason) == ("none", (), None)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_that_does_harm(protocol, write, trap):
    found = scan_pickle(write(pickle.dumps([GOOD, trap], protocol)))
    assert (found.risk, found.imports) == ("dangerous", (f"{os.mkdir.__module__}.mkdir",))


def test_a_pickle_that_calls_what_nobody_knows(write):
    found = scan_pickle(write(pickle.dumps(Calls(textwrap.dedent, ""), 2)))
    assert (found.risk, found.imports) == ("suspicious", ("textwrap.dedent",))


def test_names_that_no_output_can_encode(write):
    half = b"\xed\xa0\x80"
    found = scan_pickle(write(b"\x80\x04X\x03\0\0\0" + half + b"X\x03\0\0\0" + half + b"\x93."))
    assert found.imports == ("\\ud800.\\ud800",)
    found = scan_pickle(write(b"\x80\x02c" + b"m" * 1_000_000 + b"\nn\n."))
    assert [len(name) for name in found.imports] == [101]
    found = scan_pickle(write(b"\x80\x02I" + b"\xff" * 1_000_000 + b"\n."))
    assert found.risk == "unknown"
    assert len(str(found.reason)) == 101


def test_an_old_checkpoint(write, trap):
    assert scan_pickle(write(legacy(GOOD))).risk == "none"
    assert scan_pickle(write(legacy(trap))).risk == "dangerous"


def test_what_follows_a_pickle_is_not_its_own(write):
    assert scan_pickle(write(pickle.dumps(GOOD, 2) + b"\xff" * 100)).risk == "none"


@pytest.mark.parametrize(
    "magic",
    [pickle.dumps(MAGIC, 2), pickle.dumps(MAGIC, 0), b"\x80\x02N0\x8a\x0b" + MAGIC.to_bytes(11, "little") + b"."],
)
def test_a_damaged_pickle_behind_the_magic_number(magic, write, trap):
    """PyTorch loads it as far as it goes."""
    assert scan_pickle(write(magic + pickle.dumps(trap, 2)[:-1])).risk == "dangerous"
    assert scan_pickle(write(magic + b"\xff")).risk == "unknown"


def test_a_magic_number_that_is_worked_out(write, trap):
    first = pickle.dumps(Calls(int, str(MAGIC)), 2)
    found = scan_pickle(write(first + pickle.dumps(trap, 2)))
    assert found.risk == "dangerous"


def test_many_members_cost_no_more_than_one(pack):
    many = [(f"m/{n}.pkl", b"\x80\x02" + b"N0" * 50_000 + b"N.") for n in range(40)]
    assert "more than 300000 operations" in str(scan_archive(pack(*many)).reason)
    large = [(f"m/{n}.pkl", b"\x80\x03B" + struct.pack("<I", 1 << 20) + bytes(1 << 20) + b".") for n in range(40)]
    assert "larger than 16777216 bytes" in str(scan_archive(pack(*large)).reason)


def test_an_archive_packed_in_another_way(pack):
    found = scan_archive(pack(("m/data.pkl", pickle.dumps(GOOD)), method=zipfile.ZIP_LZMA))
    assert (found.risk, found.reason) == ("unknown", "m/data.pkl is packed in a way that PyTorch does not read")


def test_a_cut_pickle_is_no_harmless_one(write, trap):
    data = pickle.dumps(GOOD, 2)
    found = scan_pickle(write(data[:-3]))
    assert found.risk == "unknown"
    assert "damaged" in str(found.reason)
    # What stands before the damage would have been called all the same.
    assert scan_pickle(write(pickle.dumps(trap, 2)[:-1])).risk == "dangerous"


def test_a_pickle_without_end(write):
    found = scan_pickle(write(b"\x80\x02" + b"N0" * 200_000 + b"N."))
    assert (found.risk, found.reason) == ("unknown", "its pickles have more than 300000 operations")
    found = scan_pickle(write(b"\x80\x03B" + struct.pack("<I", 20 << 20) + bytes(20 << 20) + b"."))
    assert found.risk == "unknown"


def test_an_import_by_a_name_that_is_not_there(write):
    assert scan_pickle(write(b"\x80\x04\x93.")).risk == "unknown"
    assert scan_pickle(write(b"\x80\x04h\x07h\x08\x93.")).risk == "dangerous"


def test_an_archive(pack, trap):
    tensors = [(f"m/data/{n}", bytes(64)) for n in range(3)]
    found = scan_archive(pack(("m/data.pkl", pickle.dumps(GOOD)), *tensors, ("m/version", b"3\n")))
    assert (found.risk, found.reason) == ("none", None)
    assert [(one.name, one.size_bytes) for one in found.members[1:3]] == [("m/data/0", 64), ("m/data/1", 64)]
    found = scan_archive(pack(("m/data.pkl", pickle.dumps(GOOD)), ("m/constants.PKL", pickle.dumps(trap))))
    assert found.risk == "dangerous"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_second_of_two_members_with_one_name(pack, trap):
    good, bad = ("m/data.pkl", pickle.dumps(GOOD)), ("m/data.pkl", pickle.dumps(trap))
    assert scan_archive(pack(bad, good)).risk == scan_archive(pack(good, bad)).risk == "dangerous"


def test_a_member_that_unpacks_without_end(pack):
    found = scan_archive(pack(("m/data.pkl", bytes(100 << 20)), method=zipfile.ZIP_DEFLATED))
    assert (found.risk, found.reason) == ("unknown", "its pickles are larger than 16777216 bytes")


def test_a_directory_without_end(pack):
    found = scan_archive(pack(*((f"m/data/{n:0200}", b"") for n in range(9000))))
    assert found.risk == "unknown"
    assert "directory is larger" in str(found.reason)


@pytest.mark.parametrize("cut", [1, 10, 40, 100])
def test_a_cut_archive(cut, pack):
    path = pack(("m/data.pkl", pickle.dumps(GOOD)), ("m/data/0", bytes(200)))
    os.truncate(path, path.stat().st_size - cut)
    assert scan_archive(path).risk == "unknown"


def test_a_damaged_or_locked_member(pack):
    path = pack(("m/data.pkl", pickle.dumps(GOOD)))
    data = bytearray(path.read_bytes())
    data[data.index(b"text")] ^= 1
    path.write_bytes(data)
    assert scan_archive(path).risk == "unknown"
    path = pack(("m/data.pkl", pickle.dumps(GOOD)))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # encrypted
    path.write_bytes(data)
    assert scan_archive(path).risk == "unknown"


def test_any_damage_gives_an_answer(pack, write):
    whole = pack(("m/data.pkl", pickle.dumps(GOOD))).read_bytes()
    for place in range(0, len(whole), 3):
        for byte in (0, 0xFF):
            data = bytearray(whole)
            data[place] = byte
            assert scan_archive(write(bytes(data))).risk in ("none", "suspicious", "dangerous", "unknown")
