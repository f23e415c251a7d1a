"""Every kernel gives the digests of hashlib, of the package blake3 and of xxhash, whatever files meet in a call."""

from __future__ import annotations

import hashlib
from typing import Final

import blake3
import pumas_native
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BYTES = bytes(range(251)) * 7000  # no power of two: no two blocks are equal
ALGORITHMS: Final = ("sha256", "blake3", "xxh3_128")

# Where something ends: a block of SHA-256 and its padding, a chunk of BLAKE3, a stripe of XXH3, what is read at once,
# and the length from which a second thread helps.
_BORDERS = (0, 56, 64, 240, 1024, 8192, 512 * 1024, 1024 * 1024, 1536 * 1024)
LENGTHS = st.one_of(
    st.builds(lambda border, off: max(0, border + off), st.sampled_from(_BORDERS), st.integers(-70, 70)),
    st.integers(0, 300_000),
)


def _expected(content: bytes) -> tuple[bytes, bytes, bytes]:
    return hashlib.sha256(content).digest(), blake3.blake3(content).digest(), xxhash.xxh3_128_digest(content)


def _cut(column: bytes, width: int) -> list[bytes]:
    return [column[start : start + width] for start in range(0, len(column), width)]


@pytest.mark.parametrize("kernel", pumas_native.hash_kernels())
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(LENGTHS, min_size=1, max_size=8), workers=st.integers(1, 3), start=st.integers(0, 250))
def test_many_files(tmp_path, kernel, lengths, workers, start):
    contents = [BYTES[start : start + length] for length in lengths]
    paths = [tmp_path / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    digests = pumas_native.hash_files(paths, ALGORITHMS, workers=workers, kernel=kernel)
    assert digests.problems == []
    columns = (_cut(digests.sha256, 32), _cut(digests.blake3, 32), _cut(digests.xxh3_128, 16))
    assert list(zip(*columns, strict=True)) == [_expected(content) for content in contents]


@pytest.mark.parametrize("kernel", pumas_native.hash_kernels())
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=LENGTHS, algorithms=st.lists(st.sampled_from(ALGORITHMS), min_size=1, unique=True))
def test_one_file(tmp_path, kernel, length, algorithms):
    path = tmp_path / "file"
    path.write_bytes(BYTES[:length])
    expected = dict(zip(ALGORITHMS, (digest.hex() for digest in _expected(BYTES[:length])), strict=True))
    found = pumas_native.hash_file(path, algorithms, kernel=kernel)
    assert list(found.items()) == [(name, expected[name]) for name in algorithms]
