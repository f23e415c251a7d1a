"""Headers of model files that lie on a server, read by ranges: a few KiB of each, not the file.

    first 128 KiB            most safetensors headers, and GGUF headers without a vocabulary
    then as far as it says   safetensors: its length stands in the first 8 bytes
    then 2, 8, 32, 64 MiB    GGUF: its length is known once it was read

What was fetched is not fetched again. Of several files all ranges of one step are asked for at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import pumas_native

from pumas.errors import BadAnswer, PumasError, native_errors
from pumas.models import Header
from pumas.net.http import HttpClient, Reply, Request, host_of

_STEPS_BYTES = (128 << 10, 2 << 20, 8 << 20, 32 << 20, 64 << 20)
_MOST_BYTES = 256 << 20  # of all files together; sixty shards have 10 MiB
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")

_decode = msgspec.json.Decoder(Header).decode


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on a server."""

    name: str
    """For messages."""
    request: Request
    """What to ask for it."""
    size_bytes: int


@dataclass(slots=True)
class _Reading:
    """How far a file was read."""

    file: RemoteFile
    prefix: bytearray = field(default_factory=bytearray)
    found: Header | PumasError | None = None


def read_remote_headers(
    client: HttpClient, files: Sequence[RemoteFile], *, check: Callable[[], None] = lambda: None
) -> list[Header | PumasError]:
    """Read headers of GGUF and safetensors files.

    Args:
        client: Asks for them.
        files: What to read.
        check: Called before each step; whatever it raises ends the reading.

    Returns:
        Header or error of each, in order; `BadAnswer` also for a file that has no header that can be read.

    Raises:
        Cancelled: The client was closed.
    """
    readings = [_Reading(file) for file in files]
    for step in range(len(_STEPS_BYTES)):
        check()
        _read_on([one for one in readings if one.found is None], step, client)
    return [one.found or _no_header(one.file, "its header is longer than 64 MiB") for one in readings]


def _read_on(readings: Sequence[_Reading], step: int, client: HttpClient) -> None:
    asked: list[tuple[_Reading, int]] = []
    held_bytes = 0
    for one in readings:
        end = max(_wanted(one, step), len(one.prefix))
        held_bytes += end
        if held_bytes > _MOST_BYTES:
            one.found = _no_header(one.file, "the headers of its files are too long to be held together")
        elif end > len(one.prefix):
            asked.append((one, end))
    replies = client.fetch_all([_request(one.file, len(one.prefix), end) for one, end in asked])
    for (one, end), reply in zip(asked, replies, strict=True):
        if isinstance(reply, PumasError):
            one.found = reply
            continue
        try:
            one.prefix += _part(reply, len(one.prefix), end)
            one.found = _parsed(one)
        except PumasError as exc:
            one.found = exc
    for one in readings:
        if one.found is not None:
            one.prefix = bytearray()  # up to 64 MiB that nobody reads again


def _wanted(reading: _Reading, step: int) -> int:
    """How many bytes to have after this step."""
    told = _told_length(reading) if step else None
    return min(_STEPS_BYTES[step] if told is None else told, _STEPS_BYTES[-1], reading.file.size_bytes)


def _told_length(reading: _Reading) -> int | None:
    """Where the header of a safetensors file says that it ends."""
    head = bytes(reading.prefix[:8])
    return None if head.startswith(b"GGUF") else 8 + int.from_bytes(head, "little")


def _request(file: RemoteFile, start: int, end: int) -> Request:
    return replace(
        file.request,
        # A range of what is compressed would be another one.
        headers={"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"},
        accept=frozenset({200, 206}),
        max_bytes=max(end - start, _STEPS_BYTES[0]),
    )


def _part(reply: Reply, start: int, end: int) -> bytes:
    """The bytes that were asked for.

    Raises:
        BadAnswer: They are others.
    """
    if reply.status == 200:  # ranges are not known there, and the file is a short one
        return reply.body[start:end]
    told = _CONTENT_RANGE.fullmatch(reply.headers.get("content-range", ""))
    if told is None or int(told[1]) != start or len(reply.body) != min(int(told[2]) + 1, end) - start:
        raise BadAnswer(host_of(reply.url), "sends another part of the file than was asked for")
    return reply.body


def _parsed(reading: _Reading) -> Header | None:
    """The header; None when it goes on behind what was read."""
    file = reading.file
    try:
        with native_errors():
            return _decode(pumas_native.read_header_prefix(file.name, bytes(reading.prefix), file.size_bytes))
    except pumas_native.errors.HeaderCut as exc:
        if max(len(reading.prefix), _told_length(reading) or 0) < file.size_bytes:
            return None
        raise _no_header(file, exc.offence) from exc
    except pumas_native.errors.HeaderError as exc:
        raise _no_header(file, exc.offence) from exc


def _no_header(file: RemoteFile, offence: str) -> BadAnswer:
    return BadAnswer(host_of(file.request.url), f"has a file without a usable header, {file.name}: {offence}")
