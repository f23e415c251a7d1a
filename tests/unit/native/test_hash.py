"""Digests of real files: golden values, what is no file, what changes, how work is ended, what it costs in memory."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Final

import pumas_native
import pytest
from pumas_native.errors import Cancelled, FileChangedError, InvalidArgument, NotRegularFile

ALGORITHMS: Final = ("sha256", "blake3", "xxh3_128")
KERNELS = ("sha-ni-2", "sha-ni-1", "portable")

# Of the first bytes of 0, 1, … 250, 0, 1, … : what BLAKE3's own test vectors take.
GOLDEN = {
    0: (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        "99aa06d3014798d86001c324468d497f",
    ),
    1: (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
        "a6cd5e9392000f6ac44bdff4074eecdb",
    ),
    63: (
        "29af2686fd53374a36b0846694cc342177e428d1647515f078784d69cdb9e488",
        "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b",
        "bb8d4c458fac1f120302a39b74a9cf52",
    ),
    64: (
        "fdeab9acf3710362bd2658cdc9a29e8f9c757fcf9811603a8c447cd1d9151108",
        "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98",
        "9c6e140a465545e590c1971ddb04ce74",
    ),
    1024: (
        "2bce1ba628720664be4b9fdd77aae0678e5f0f3f02fc6ff641ec879094f6a404",
        "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
        "d0ac1f7b93bf57b9e5d78bafa45b2aa5",
    ),
    524288: (
        "61d1d9c5745bdaa4fab39240651bc242a5186b15393fd475082fcf6e84f400ab",
        "b467afa334cd7dedd76e3a9a4b0e8a5ed278713f2f4e220a682aa30c7fcd140b",
        "0f779fa0434735cadecad3dd8c2feffd",
    ),
    3000000: (
        "4d3870d4655ed773027a713ea136507d22e076248e0e9cc920a996039653b76f",
        "4713babaefbc2271db70eee8ec588829c0e5aa250951e9a401d11db249256fa8",
        "766f642e64b63d92cc1a5bed6141edab",
    ),
}

# Peak resident memory of this child's own image.
_GROWTH = """
import sys, pumas_native
def peak_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
paths = sys.argv[2:] * int(sys.argv[1])
before = peak_kib()
pumas_native.hash_files(paths)
print(peak_kib() - before)
"""


def _sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


@pytest.mark.parametrize("kernel", pumas_native.hash_kernels())
@pytest.mark.parametrize("length", GOLDEN)
def test_golden_digests(tmp_path, length, kernel):
    path = tmp_path / "file"
    path.write_bytes((bytes(range(251)) * (length // 251 + 1))[:length])
    assert tuple(pumas_native.hash_file(path, ALGORITHMS, kernel=kernel).values()) == GOLDEN[length]


@pytest.mark.slow
def test_a_file_over_4_gib(tmp_path):
    # In memory, where there is such a folder: a file system of a disk takes 3 ms for each MiB of a hole.
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else tmp_path) as folder:
        path = _sparse(Path(folder) / "file", 1 << 32)
        with path.open("ab") as file:
            file.write(b"\x01")
        digests = pumas_native.hash_file(path)
    assert digests == {
        "sha256": "d6cba2fb80a815340cd82d98754730a8e86af2d14a136d3b20bbc1e13ece5c11",
        "blake3": "457cbd7413fa59a1b6890b9fe7ff0b8b9dcd8efb3a9bd79400ef2ca70f1ccee0",
    }


def test_only_kernels_that_can_run_are_taken(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert set(pumas_native.hash_kernels()) <= set(KERNELS)
    assert pumas_native.hash_kernels()[-1] == "portable"
    for kernel in set(KERNELS).difference(pumas_native.hash_kernels()):
        with pytest.raises(InvalidArgument, match="can't run here"):
            pumas_native.hash_file(path, kernel=kernel)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="no kernel"):
        pumas_native.hash_files([path], kernel="mmx")  # type: ignore[arg-type]


@pytest.mark.parametrize(("algorithms", "told"), [(["md5"], 'no algorithm "md5"'), ([], "no algorithm was named")])
def test_algorithms_that_mean_nothing_are_errors(tmp_path, algorithms, told):
    with pytest.raises(InvalidArgument, match=told):
        pumas_native.hash_file(tmp_path / "file", algorithms)
    with pytest.raises(TypeError):
        pumas_native.hash_file(tmp_path / "file", "sha256")  # type: ignore[arg-type] # a word is no list of words


def test_a_link_is_followed(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    assert pumas_native.hash_file(tmp_path / "link") == pumas_native.hash_file(tmp_path / "file")


@pytest.fixture
def offences(tmp_path):
    """Paths that can't be digested, each with the error that it gives and what that says."""
    (tmp_path / "broken").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        yield [
            (tmp_path / "missing", FileNotFoundError, errno.ENOENT, "No such file"),
            (tmp_path / "broken", FileNotFoundError, errno.ENOENT, "No such file"),
            (tmp_path / "loop", OSError, errno.ELOOP, "symbolic links"),
            (tmp_path, NotRegularFile, errno.EISDIR, "it is a folder, not a regular file"),
            (tmp_path / "fifo", NotRegularFile, errno.EINVAL, "it is a FIFO, not a regular file"),
            (tmp_path / "socket", NotRegularFile, errno.EINVAL, "it is a socket, not a regular file"),
            (Path("/dev/zero"), NotRegularFile, errno.EINVAL, "it is a device, not a regular file"),
            (Path("/proc/self/status"), FileChangedError, errno.EAGAIN, "it changed while it was read"),
        ]


@pytest.mark.skipif(sys.platform != "linux", reason="what there is to be refused differs between systems")
def test_what_can_not_be_digested_says_why_and_hides_nothing(tmp_path, offences):
    good = tmp_path / "good"
    good.write_bytes(b"abc")
    for path, kind, number, told in offences:
        with pytest.raises(kind) as caught:
            pumas_native.hash_file(path)
        assert (caught.value.errno, caught.value.filename) == (number, str(path))
        assert told in str(caught.value)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    paths = [path for path, *_ in offences]
    digests = pumas_native.hash_files([good, *paths, good], ("sha256",))
    assert [position for position, _ in digests.problems] == list(range(1, 1 + len(paths)))
    assert [type(error) for _, error in digests.problems] == [kind for _, kind, *_ in offences]
    sha256 = bytes.fromhex(pumas_native.hash_file(good)["sha256"])
    assert digests.sha256 == sha256 + bytes(32 * len(paths)) + sha256
    fingerprints, problems = pumas_native.fingerprint_files([good, *paths[:-1], good])
    assert [(place, str(error)) for place, error in problems] == [(p, str(e)) for p, e in digests.problems[:-1]]
    assert fingerprints[:32] == digests.fingerprints[:32] == digests.fingerprints[-32:]


def test_a_file_that_may_not_be_read(tmp_path):
    """As another user, since root may read everything."""
    path = tmp_path / "closed"
    path.write_bytes(b"abc")
    path.chmod(0 if os.geteuid() else 0o600)
    code = (
        "import os, pumas_native\n"
        f"file = os.open({str(tmp_path)!r}, os.O_RDONLY)\n"
        "os.fchdir(file)\n"
        "if not os.geteuid(): os.seteuid(65534)\n"
        "try: pumas_native.hash_file('closed')\n"
        "except PermissionError as error: print(error.filename)\n"
    )
    tmp_path.chmod(0o755)
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "closed\n"


def test_a_file_that_grows_has_no_digest(tmp_path):
    path = _sparse(tmp_path / "file", 64 << 20)
    stop = threading.Event()
    begun = threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"x")
                begun.set()

    writer = threading.Thread(target=grow)
    writer.start()
    begun.wait()
    try:
        with pytest.raises(FileChangedError) as caught:
            pumas_native.hash_file(path)
    finally:
        stop.set()
        writer.join()
    assert caught.value.filename == str(path)
    digests = pumas_native.hash_files([path])
    assert digests.problems == []


def test_fingerprints_are_those_of_the_system(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    status = (tmp_path / "file").stat()
    fingerprints, problems = pumas_native.fingerprint_files([tmp_path / "file"])
    assert problems == []
    assert [int.from_bytes(fingerprints[start : start + 8], "little") for start in range(0, 32, 8)] == [
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ]


def test_columns_that_were_not_asked_for_are_empty(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    digests = pumas_native.hash_files([tmp_path / "file"], ("blake3",))
    assert (digests.sha256, len(digests.blake3), digests.xxh3_128) == (b"", 32, b"")
    nothing = pumas_native.hash_files([])
    assert (nothing.sha256, nothing.fingerprints, nothing.problems) == (b"", b"", [])


@pytest.mark.parametrize("count", [1, 5])
def test_progress_is_told_in_bytes(tmp_path, count):
    paths = [_sparse(tmp_path / str(number), (256 << 20) // count) for number in range(count)]
    told: list[int] = []
    pumas_native.hash_files(paths, progress=told.append)
    assert told == sorted(set(told))
    assert told[-1] == sum(path.stat().st_size for path in paths)


@pytest.mark.parametrize("count", [1, 3])
def test_cancel_ends_work_that_would_take_hours(tmp_path, count):
    paths = [_sparse(tmp_path / str(number), 1 << 43) for number in range(count)]
    token = pumas_native.CancelToken()
    timer = threading.Timer(0.05, token.cancel)
    timer.start()
    with pytest.raises(Cancelled):
        pumas_native.hash_files(paths, cancel=token)
    timer.join()
    with pytest.raises(Cancelled):
        pumas_native.hash_file(paths[0], cancel=token)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is told by Linux's /proc only")
@pytest.mark.parametrize(("files", "size", "times"), [(4, 192 << 20, 1), (2, 100, 20_000)])
def test_memory_depends_on_neither_size_nor_number(tmp_path, files, size, times):
    paths = [_sparse(tmp_path / str(number), size) for number in range(files)]
    command = [sys.executable, "-c", _GROWTH, str(times), *map(str, paths)]
    growth_kib = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert growth_kib < 32 * 1024  # of which 40,000 paths and results take 15 MB
