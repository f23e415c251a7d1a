"""Files out of a real server: whole, in parts, without ranges, over redirects, steered while they come."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import blake3
import pumas_native
import pytest
from fakes.files import FileServer, chunked, header, redirect
from pumas_native import TransferControl, TransferFile, TransferOptions, TransferProgress, TransferResult, transfer
from pumas_native.errors import Cancelled, InvalidArgument, TargetExists, UrlRefused

MIB = 1 << 20
SIZE = 9 * MIB + 12345


@pytest.fixture(scope="module")
def content() -> bytes:
    return Random(10).randbytes(SIZE)


@pytest.fixture
def served(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "served"
    path.write_bytes(content)
    return path


@pytest.fixture
def server(served: Path) -> Iterator[FileServer]:
    with FileServer(served) as server:
        yield server


def fetch(url: str, target: Path, *, control: TransferControl | None = None, **known: Any) -> TransferResult:
    """Fetch one file in pieces of 1 MiB, so that a small one has many."""
    options = TransferOptions(piece_bytes=MIB, retry_wait_s=0.01, stall_window_s=0.5)
    return transfer([TransferFile(url, target, **known)], options=options, control=control)[0]


def check(result: TransferResult, target: Path, content: bytes) -> None:
    assert result.error is None
    assert target.read_bytes() == content
    assert result.size == len(content)
    assert result.sha256 == hashlib.sha256(content).hexdigest()
    assert result.blake3 == blake3.blake3(content).hexdigest()
    assert len(result.block_sums) == 32 * -(-len(content) // MIB)
    assert [path.name for path in target.parent.iterdir() if path.name.startswith(target.name)] == [target.name]


@pytest.mark.parametrize("size", [0, 1, 63, 64, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 7])
@pytest.mark.parametrize("fault", [None, chunked()], ids=["lengths", "no lengths"])
@pytest.mark.parametrize("has_ranges", [True, False])
def test_files_of_all_lengths_arrive(tmp_path, content, size, fault, has_ranges):
    (tmp_path / "served").write_bytes(content[:size])
    with FileServer(tmp_path / "served", has_ranges=has_ranges) as server:
        if fault is not None:
            server.fail(fault, times=None)
        check(fetch(server.url, tmp_path / "got"), tmp_path / "got", content[:size])


def test_pieces_come_over_several_connections(tmp_path, server, content):
    server.rate_bytes_s = 4 * MIB
    result = fetch(server.url, tmp_path / "got", size=SIZE, sha256=hashlib.sha256(content).hexdigest())
    check(result, tmp_path / "got", content)
    assert server.connections > 3
    assert result.host == "127.0.0.1"
    assert result.etag == '"one"'
    ranges = [request.range[0] for request in server.requests if request.range]
    assert ranges[0] == 0
    assert {request.headers.get("if-range") for request in server.requests[1:]} == {'"one"'}
    assert {request.headers["accept-encoding"] for request in server.requests} == {"identity"}


def test_connections_are_used_again(tmp_path, server, content):
    options = TransferOptions(connections=1, piece_bytes=MIB)
    check(transfer([TransferFile(server.url, tmp_path / "got")], options=options)[0], tmp_path / "got", content)
    assert server.connections == 1
    assert len(server.requests) == 10


def test_several_files_share_the_connections(tmp_path, server, content):
    files = [TransferFile(server.url, tmp_path / f"got-{number}") for number in range(6)]
    seen: list[TransferProgress] = []
    options = TransferOptions(connections=6, connections_per_host=3, piece_bytes=MIB)
    results = transfer(files, options=options, progress=seen.append)
    for number, result in enumerate(results):
        check(result, tmp_path / f"got-{number}", content)
    assert server.connections <= 3
    last = seen[-1]
    assert (last.files_done, last.done_bytes, last.total_bytes) == (6, 6 * SIZE, 6 * SIZE)
    assert {file.state for file in last.files} == {"done"}
    assert all(one.connections <= 3 for one in seen)


def test_a_file_that_fails_hinders_no_other(tmp_path, server, content):
    (tmp_path / "there").write_bytes(b"mine")
    files = [
        TransferFile("ftp://127.0.0.1/x", tmp_path / "scheme"),
        TransferFile(server.url, tmp_path / "there"),
        TransferFile(server.url, tmp_path / "got"),
        TransferFile(server.url, tmp_path / "missing" / "folder"),
        TransferFile(server.url, tmp_path / "header", headers=[("X", "a\r\nY: b")]),
    ]
    results = transfer(files)
    check(results[2], tmp_path / "got", content)
    assert [type(result.error) for result in results] == [
        UrlRefused,
        TargetExists,
        type(None),
        FileNotFoundError,
        UrlRefused,
    ]
    assert (tmp_path / "there").read_bytes() == b"mine"
    assert not (tmp_path / "scheme.part").exists()


def test_redirects_are_followed_and_credentials_stay(tmp_path, served, server, content):
    with FileServer(served) as first:
        first.fail(redirect(server.url), times=None)
        check(fetch(first.url, tmp_path / "got", headers=[("Authorization", "Bearer x")]), tmp_path / "got", content)
        assert {request.headers.get("authorization") for request in first.requests} == {"Bearer x"}
        assert len(first.requests) == 1
    assert len(server.requests) == 10
    assert {request.headers.get("authorization") for request in server.requests} == {None}


def test_a_limit_of_the_rate_holds_for_all_connections(tmp_path, server, content):
    control = TransferControl(limit_bytes_s=4 * MIB)
    rates: list[int] = []

    def look(progress: TransferProgress) -> None:
        rates.append(progress.rate_bytes_s)
        if progress.done_bytes > 4 * MIB:
            control.limit_rate(None)

    options = TransferOptions(piece_bytes=MIB)
    result = transfer([TransferFile(server.url, tmp_path / "got")], options=options, control=control, progress=look)[0]
    check(result, tmp_path / "got", content)
    assert 0 < max(rates[:5]) < 8 * MIB


def test_a_paused_transfer_waits_and_goes_on(tmp_path, server, content):
    server.rate_bytes_s = MIB
    control = TransferControl()
    paused_at: list[int] = []

    def look(progress: TransferProgress) -> None:
        if progress.done_bytes > 0 and not paused_at:
            paused_at.append(progress.done_bytes)
            control.pause()
        elif progress.is_paused and progress.connections == 0:
            server.rate_bytes_s = None
            control.resume()

    options = TransferOptions(piece_bytes=MIB, connections=4)
    file = TransferFile(server.url, tmp_path / "got")
    result = transfer([file], options=options, control=control, progress=look)[0]
    check(result, tmp_path / "got", content)
    assert paused_at
    assert result.fetched_bytes <= 1.05 * SIZE


def _cancel_at(control: TransferControl, done: int) -> Callable[[TransferProgress], None]:
    def look(progress: TransferProgress) -> None:
        if progress.done_bytes >= done:
            control.cancel()

    return look


def test_a_cancelled_transfer_goes_on_in_the_next_call(tmp_path, server, content):
    server.rate_bytes_s = MIB
    control = TransferControl()
    file = TransferFile(server.url, tmp_path / "got")
    options = TransferOptions(piece_bytes=MIB, connections=4)
    with pytest.raises(Cancelled):
        transfer([file], options=options, control=control, progress=_cancel_at(control, 5 * MIB))
    assert not (tmp_path / "got").exists()
    server.rate_bytes_s = None
    result = transfer([file], options=options)[0]
    check(result, tmp_path / "got", content)
    assert result.fetched_bytes <= SIZE - MIB
    # Blocks that were on their way are all that is fetched again.
    assert server.requests[-1].headers["if-range"] == '"one"'


def test_a_token_that_is_set_ends_it_at_once(tmp_path, server):
    token = pumas_native.CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        fetch(server.url, tmp_path / "got", control=TransferControl(token))


def test_a_callback_that_raises_ends_it(tmp_path, server):
    def look(_: TransferProgress) -> None:
        raise LookupError("as asked")

    with pytest.raises(LookupError, match="as asked"):
        transfer([TransferFile(server.url, tmp_path / "got")], progress=look)


def test_a_snapshot_is_there_for_other_threads(tmp_path, server):
    server.rate_bytes_s = 256 * 1024
    control = TransferControl()
    assert control.snapshot().files == []
    thread = threading.Thread(target=lambda: fetch_cancelled(server.url, tmp_path / "got", control))
    thread.start()
    while not control.snapshot().done_bytes:
        assert thread.is_alive()
    snapshot = control.snapshot()
    control.cancel()
    thread.join()
    assert snapshot.files[0].state == "transferring"
    assert snapshot.files[0].size_bytes == SIZE
    assert snapshot.connections > 0


def fetch_cancelled(url: str, target: Path, control: TransferControl) -> None:
    with pytest.raises(Cancelled):
        fetch(url, target, control=control)


@pytest.mark.parametrize(
    "options", [{"connections": 0}, {"piece_bytes": 1}, {"retry_wait_s": -1.0}, {"stall_window_s": float("nan")}]
)
def test_options_out_of_their_range_are_errors(options):
    with pytest.raises(InvalidArgument):
        TransferOptions(**options)


@pytest.mark.parametrize(
    "options", [{"http_proxy": "socks5://x"}, {"https_proxy": "x"}, {"ca_file": "/nowhere/x"}, {"user_agent": "a\nb"}]
)
def test_options_that_mean_nothing_are_errors(tmp_path, options):
    with pytest.raises(InvalidArgument):
        transfer([TransferFile("http://127.0.0.1:9/", tmp_path / "got")], options=TransferOptions(**options))
    assert list(tmp_path.iterdir()) == []


def test_a_digest_that_is_none_is_an_error(tmp_path):
    with pytest.raises(InvalidArgument, match="64 hexadecimal"):
        TransferFile("http://127.0.0.1:9/", tmp_path / "got", sha256="x" * 64)


def test_an_etag_that_is_weak_is_not_relied_on(tmp_path, server, content):
    server.etag = None
    server.fail(header("ETag", 'W/"one"'), times=None)
    result = fetch(server.url, tmp_path / "got")
    check(result, tmp_path / "got", content)
    assert result.etag is None
    assert not any("if-range" in request.headers for request in server.requests)


def test_memory_does_not_grow_with_the_file(tmp_path):
    with (tmp_path / "served").open("wb") as file:
        file.truncate(300 * MIB)
    with FileServer(tmp_path / "served") as server:
        before = peak_kib()
        options = TransferOptions(connections_per_host=16)
        assert transfer([TransferFile(server.url, tmp_path / "got")], options=options)[0].error is None
    assert peak_kib() - before < 60 * 1024
    os.unlink(tmp_path / "got")


def peak_kib() -> int:
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
