"""Answers that are wrong, parts that are not what they were, drives that are full: told apart, and nothing is lost."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import blake3
import pytest
from fakes.files import FileServer, Reply, chunked, cut, header, page, redirect, refuse, stall
from fakes.hub import FakeHub, Repo
from fakes.server import status
from pumas_native import TransferControl, TransferFile, TransferOptions, TransferProgress, TransferResult, transfer
from pumas_native.errors import (
    AnswerMalformed,
    AnswerPacked,
    Cancelled,
    ContentChanged,
    HostUnreachable,
    HtmlAnswer,
    NoRoom,
    PartBusy,
    RedirectRefused,
    StatusRefused,
    WrongDigest,
    WrongLength,
)
from support.drives import can_mount, mounted_drive

MIB = 1 << 20
SIZE = 9 * MIB + 12345


@pytest.fixture(scope="module")
def content() -> bytes:
    return Random(11).randbytes(SIZE)


@pytest.fixture
def server(tmp_path: Path, content: bytes) -> Iterator[FileServer]:
    (tmp_path / "served").write_bytes(content)
    with FileServer(tmp_path / "served") as server:
        yield server


def fetch(url: str, target: Path, *, connections: int = 4, **known: Any) -> TransferResult:
    options = TransferOptions(
        connections=connections, piece_bytes=MIB, retries=4, retry_wait_s=0.01, stall_window_s=0.5, max_wait_s=5
    )
    return transfer([TransferFile(url, target, **known)], options=options)[0]


def check(result: TransferResult, target: Path, content: bytes) -> None:
    assert result.error is None
    assert target.read_bytes() == content
    assert result.sha256 == hashlib.sha256(content).hexdigest()
    assert result.blake3 == blake3.blake3(content).hexdigest()
    assert not target.with_name(target.name + ".part").exists()
    assert not target.with_name(target.name + ".part.journal").exists()


# What may go well another time


@pytest.mark.parametrize("places", [(0,), (0, 2 * MIB, 5 * MIB, 9 * MIB)])
def test_answers_that_are_cut_cost_few_bytes_twice(tmp_path, server, content, places):
    for place in places:
        server.fail(cut(12_345), first=place)
    result = fetch(server.url, tmp_path / "got")
    check(result, tmp_path / "got", content)
    assert result.fetched_bytes <= 1.05 * SIZE


def test_without_ranges_a_cut_answer_is_begun_anew(tmp_path, server, content):
    server.has_ranges = False
    server.fail(cut(5 * MIB))
    result = fetch(server.url, tmp_path / "got")
    check(result, tmp_path / "got", content)
    assert result.fetched_bytes == SIZE + 5 * MIB
    assert server.connections == 2


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_server_with_too_much_to_do_is_asked_again(tmp_path, server, content, code):
    server.fail(refuse(code, Retry_After="0"), times=3)
    check(fetch(server.url, tmp_path / "got"), tmp_path / "got", content)


def test_a_server_that_wants_a_long_wait_has_failed(tmp_path, server):
    server.fail(refuse(503, Retry_After="3600"))
    error = fetch(server.url, tmp_path / "got").error
    assert isinstance(error, StatusRefused)
    assert (error.status, error.retry_after_s) == (503, 3600)
    assert len(server.requests) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["served"]


def test_a_stalled_connection_is_dropped_and_its_range_taken_elsewhere(tmp_path, server, content):
    server.fail(stall(100_000), first=3 * MIB)
    result = fetch(server.url, tmp_path / "got")
    check(result, tmp_path / "got", content)


def test_one_server_of_many_that_forgets_ranges_is_asked_again(tmp_path, server, content):
    def whole(reply: Reply) -> Reply:
        told = {name: value for name, value in reply.headers.items() if name != "Content-Range"}
        return replace(reply, status=200, start=0, end=SIZE, headers={**told, "Content-Length": str(SIZE)})

    server.fail(whole, first=3 * MIB)
    check(fetch(server.url, tmp_path / "got"), tmp_path / "got", content)


def test_a_server_that_only_fails_is_given_up(tmp_path, server):
    server.fail(cut(0), times=None)
    result = fetch(server.url, tmp_path / "got")
    assert isinstance(result.error, HostUnreachable)
    assert isinstance(result.error, ConnectionError)
    assert 5 <= len(server.requests) <= 4 * 6
    assert not (tmp_path / "got").exists()


def test_a_port_where_nobody_listens_is_given_up(tmp_path, server):
    with FileServer(tmp_path / "served") as gone:
        pass
    assert isinstance(fetch(gone.url, tmp_path / "got").error, HostUnreachable)


# What will not


def wrong_start(reply: Reply) -> Reply:
    return reply.with_header("Content-Range", f"bytes {reply.start + 1}-{reply.end}/{SIZE}")


def wrong_total(reply: Reply) -> Reply:
    return reply.with_header("Content-Range", f"bytes {reply.start}-{reply.end - 1}/{SIZE + 1}")


def longer(reply: Reply) -> Reply:
    return reply.with_header("Content-Length", str(reply.length + 1))


def shorter(reply: Reply) -> Reply:
    return reply.with_header("Content-Length", str(reply.length - 1))


def endless(reply: Reply) -> Reply:
    return reply.with_header("Content-Range", f"bytes {reply.start}-{reply.end - 1}/{1 << 62}")


OFFENCES = {
    "a page": (page(), HtmlAnswer),
    "packed": (header("Content-Encoding", "gzip"), AnswerPacked),
    "another start": (wrong_start, AnswerMalformed),
    "another total": (wrong_total, WrongLength),
    "a longer body": (longer, AnswerMalformed),
    "a shorter body": (shorter, AnswerMalformed),
    "many ranges": (header("Content-Type", "multipart/byteranges; boundary=x"), AnswerMalformed),
    "changed": (header("ETag", '"two"'), ContentChanged),
    "a status": (refuse(400), StatusRefused),
    "a redirect to a file": (redirect("file:///etc/passwd"), RedirectRefused),
    "a redirect to nowhere": (refuse(302), RedirectRefused),
    "a redirect in a ring": (redirect("/file"), RedirectRefused),
}


@pytest.mark.parametrize("name", OFFENCES)
@pytest.mark.parametrize("first", [0, 4 * MIB])
def test_an_answer_that_is_wrong_is_never_taken(tmp_path, server, content, name, first):
    fault, kind = OFFENCES[name]
    if (name, first) == ("changed", 0):
        first = 1  # nothing is known before the first answer
    server.fail(fault, times=None, first=first)
    result = fetch(server.url, tmp_path / "got", size=SIZE)
    assert type(result.error) is kind
    assert str(result.error).startswith(f"{server.url}: ")
    assert not (tmp_path / "got").exists()
    # What is there is right, and gone on with.
    server.heal()
    check(fetch(server.url, tmp_path / "got", size=SIZE), tmp_path / "got", content)


@pytest.mark.parametrize(("has_ranges", "fault"), [(True, endless), (False, header("Content-Length", str(1 << 62)))])
def test_a_length_that_no_memory_holds_is_an_error(tmp_path, server, has_ranges, fault):
    server.has_ranges = has_ranges
    server.fail(fault, times=None)
    assert isinstance(fetch(server.url, tmp_path / "got").error, AnswerMalformed)
    assert not (tmp_path / "got.part").exists()


@pytest.mark.parametrize("promised", [SIZE - 1, SIZE + 1, 0])
@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_length_that_was_not_promised_is_an_error(tmp_path, server, promised, has_ranges):
    server.has_ranges = has_ranges
    assert isinstance(fetch(server.url, tmp_path / "got", size=promised).error, WrongLength)


@pytest.mark.parametrize("promised", [SIZE - 1, SIZE + 1])
def test_a_body_without_a_length_is_measured(tmp_path, server, promised):
    server.has_ranges = False
    server.fail(chunked(), times=None)
    assert isinstance(fetch(server.url, tmp_path / "got", size=promised).error, WrongLength)
    assert not (tmp_path / "got").exists()


def test_a_body_shorter_than_it_says_is_cut(tmp_path, server):
    server.has_ranges = False
    server.fail(header("Content-Length", str(SIZE + 1)), times=None)
    server.fail(cut(SIZE), times=None)
    assert isinstance(fetch(server.url, tmp_path / "got").error, HostUnreachable)
    assert not (tmp_path / "got").exists()


def test_a_wrong_digest_is_told_and_the_next_time_begins_anew(tmp_path, server, content):
    result = fetch(server.url, tmp_path / "got", sha256="0" * 64)
    assert isinstance(result.error, WrongDigest)
    assert hashlib.sha256(content).hexdigest() in str(result.error)
    assert (tmp_path / "got.part").read_bytes() == content
    assert not (tmp_path / "got").exists()
    server.sent_bytes = 0
    check(fetch(server.url, tmp_path / "got", sha256=hashlib.sha256(content).hexdigest()), tmp_path / "got", content)
    assert server.sent_bytes == SIZE


# Hubs


@pytest.fixture
def hub(content: bytes) -> Iterator[FakeHub]:
    with FakeHub([Repo("owner/model", files={"m.gguf": content}, is_private=True, readers=frozenset({"me"}))]) as hub:
        hub.tokens["secret"] = "me"
        yield hub


def test_a_hub_gets_the_token_and_its_network_does_not(tmp_path, hub, content):
    url = f"{hub.url}/owner/model/resolve/main/m.gguf"
    headers = [("Authorization", "Bearer secret")]
    check(fetch(url, tmp_path / "got", headers=headers), tmp_path / "got", content)
    assert len(hub.calls) == 1
    assert not any("authorization" in call.headers for call in hub.cdn.calls)


def test_a_signed_address_that_expires_is_asked_for_again(tmp_path, hub, content):
    hub.cdn.fail(status(403), times=None)
    headers = [("Authorization", "Bearer secret")]
    url = f"{hub.url}/owner/model/resolve/main/m.gguf"
    assert isinstance(fetch(url, tmp_path / "got", headers=headers).error, StatusRefused)
    hub.cdn.heal()
    asked = len(hub.calls)

    expired: list[int] = []

    def expire(progress: TransferProgress) -> None:
        if progress.done_bytes and not expired:
            expired.append(progress.done_bytes)
            hub.cdn.fail(status(403), times=1)

    options = TransferOptions(connections=2, piece_bytes=MIB)
    control = TransferControl(limit_bytes_s=16 * MIB)
    file = TransferFile(url, tmp_path / "got", headers=headers)
    result = transfer([file], options=options, control=control, progress=expire)[0]
    check(result, tmp_path / "got", content)
    assert len(hub.calls) == asked + 2


# Parts and journals


def interrupt(server: FileServer, target: Path, **known: Any) -> int:
    """Leave a part with some blocks; returns how many bytes were sent."""
    server.rate_bytes_s = 2 * MIB
    control = TransferControl()

    def look(progress: TransferProgress) -> None:
        if progress.done_bytes > 4 * MIB:  # of the four that are under way one at least is whole then
            control.cancel()

    options = TransferOptions(connections=4, piece_bytes=MIB)
    with pytest.raises(Cancelled):
        transfer([TransferFile(server.url, target, **known)], options=options, control=control, progress=look)
    server.rate_bytes_s = None
    server.requests.clear()
    return (target.with_name(target.name + ".part.journal").stat().st_size - 320) // 48 * MIB


def test_a_part_is_gone_on_with(tmp_path, server, content):
    there = interrupt(server, tmp_path / "got")
    assert there >= MIB
    result = fetch(server.url, tmp_path / "got")
    check(result, tmp_path / "got", content)
    assert result.fetched_bytes <= SIZE - there + MIB


@pytest.mark.parametrize("known", [{"validator": "other"}, {"sha256": "1" * 64}, {"size": SIZE + 1}])
def test_a_part_of_other_content_is_not_gone_on_with(tmp_path, server, content, known):
    interrupt(server, tmp_path / "got", validator="one")
    first = fetch(server.url, tmp_path / "got", **known)
    if first.error is None:
        check(first, tmp_path / "got", content)
        assert first.fetched_bytes == SIZE
    else:
        assert isinstance(first.error, (WrongDigest, WrongLength))
        check(fetch(server.url, tmp_path / "got"), tmp_path / "got", content)


def test_content_that_changed_between_two_calls_is_begun_anew(tmp_path, server, content):
    interrupt(server, tmp_path / "got")
    other = content[::-1]
    server.path.write_bytes(other)
    server.etag = '"two"'
    check(fetch(server.url, tmp_path / "got"), tmp_path / "got", other)


def test_content_that_changed_without_an_etag_is_seen_by_its_digest(tmp_path, server, content):
    server.etag = None
    interrupt(server, tmp_path / "got", validator="commit")
    server.path.write_bytes(content[::-1])
    result = fetch(server.url, tmp_path / "got", validator="commit", sha256=None)
    # Nothing pins the bytes but the caller's word, so this is what the caller asked for.
    assert result.error is None
    assert result.sha256 == hashlib.sha256((tmp_path / "got").read_bytes()).hexdigest()


def test_a_part_that_nothing_pins_is_begun_anew(tmp_path, server, content):
    server.etag = None
    interrupt(server, tmp_path / "got")
    result = fetch(server.url, tmp_path / "got")
    check(result, tmp_path / "got", content)
    assert result.fetched_bytes == SIZE


@pytest.mark.parametrize("place", [0, 100, 3 * MIB - 1])
def test_a_damaged_part_is_mended(tmp_path, server, content, place):
    there = interrupt(server, tmp_path / "got")
    with (tmp_path / "got.part").open("r+b") as part:
        part.seek(place)
        byte = part.read(1)
        part.seek(place)
        part.write(bytes([byte[0] ^ 1]))
    result = fetch(server.url, tmp_path / "got")
    check(result, tmp_path / "got", content)
    assert result.fetched_bytes <= SIZE - there + MIB


def test_a_truncated_part_is_mended(tmp_path, server, content):
    interrupt(server, tmp_path / "got")
    os.truncate(tmp_path / "got.part", 2 * MIB + 5)
    result = fetch(server.url, tmp_path / "got")
    check(result, tmp_path / "got", content)
    assert SIZE - 2 * MIB <= result.fetched_bytes <= SIZE


@pytest.mark.parametrize("junk", [b"", b"junk", bytes(320), bytes(100_000)])
def test_a_journal_that_is_none_is_begun_anew(tmp_path, server, content, junk):
    interrupt(server, tmp_path / "got")
    (tmp_path / "got.part.journal").write_bytes(junk)
    result = fetch(server.url, tmp_path / "got")
    check(result, tmp_path / "got", content)
    assert result.fetched_bytes == SIZE


def test_a_part_without_a_journal_is_begun_anew(tmp_path, server, content):
    (tmp_path / "got.part").write_bytes(content[::-1] + b"more")
    check(fetch(server.url, tmp_path / "got"), tmp_path / "got", content)


@pytest.mark.parametrize("name", ["got.part", "got.part.journal"])
def test_a_link_in_place_of_a_part_is_not_written_through(tmp_path, server, name):
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / name).symlink_to("precious")
    error = fetch(server.url, tmp_path / "got").error
    assert isinstance(error, OSError)
    assert error.errno == errno.ELOOP
    assert (tmp_path / "precious").read_bytes() == b"mine"


def test_a_fifo_in_place_of_a_part_is_refused(tmp_path, server):
    os.mkfifo(tmp_path / "got.part")
    assert isinstance(fetch(server.url, tmp_path / "got").error, OSError)


def test_two_calls_never_write_one_part(tmp_path, server, content):
    server.rate_bytes_s = MIB
    found: list[TransferResult] = []

    def look(progress: TransferProgress) -> None:
        if progress.done_bytes and not found:
            found.append(fetch(server.url, tmp_path / "got"))
            server.rate_bytes_s = None

    options = TransferOptions(connections=4, piece_bytes=MIB)
    result = transfer([TransferFile(server.url, tmp_path / "got")], options=options, progress=look)[0]
    check(result, tmp_path / "got", content)
    assert isinstance(found[0].error, PartBusy)


def test_a_target_that_appears_meanwhile_is_not_replaced(tmp_path, server, content):
    server.rate_bytes_s = 4 * MIB

    def look(progress: TransferProgress) -> None:
        if progress.done_bytes:
            (tmp_path / "got").write_bytes(b"mine")

    options = TransferOptions(connections=2, piece_bytes=MIB)
    result = transfer([TransferFile(server.url, tmp_path / "got")], options=options, progress=look)[0]
    assert isinstance(result.error, FileExistsError)
    assert (tmp_path / "got").read_bytes() == b"mine"
    assert (tmp_path / "got.part").read_bytes() == content


# Drives


@pytest.mark.skipif(not can_mount(), reason="needs permission to mount")
def test_a_file_too_large_for_the_drive_is_told_before_its_first_byte(tmp_path, server):
    with mounted_drive(tmp_path / "drive", "size=4m") as drive:
        error = fetch(server.url, drive / "got").error
        assert isinstance(error, NoRoom)
        assert error.errno == errno.ENOSPC
        assert list(drive.iterdir()) == []


@pytest.mark.skipif(not can_mount(), reason="needs permission to mount")
def test_a_drive_that_fills_up_meanwhile_keeps_what_is_there(tmp_path, server, content):
    server.has_ranges = False
    server.fail(chunked(), times=None)
    with mounted_drive(tmp_path / "drive", "size=4m") as drive:
        assert isinstance(fetch(server.url, drive / "got").error, NoRoom)
        assert not (drive / "got").exists()
        assert 0 < (drive / "got.part").stat().st_size <= 4 * MIB


def test_threads_end_with_the_call(tmp_path, server, content):
    before = threading.active_count()
    tasks = len(os.listdir("/proc/self/task"))
    check(fetch(server.url, tmp_path / "got"), tmp_path / "got", content)
    assert threading.active_count() <= before + 4  # the server's own
    assert len(os.listdir("/proc/self/task")) <= tasks + 4
