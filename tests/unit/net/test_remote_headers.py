"""Headers read by ranges from a server, through the redirect to its content network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes.hub import FakeHub, Repo
from fakes.server import body, html, reset, status
from support.headers import Gguf, safetensors, tensor

from pumas.config import Config
from pumas.errors import AccessRefused, BadAnswer, Cancelled, NetworkError, NotOnServer
from pumas.models import Header
from pumas.net import remote_headers
from pumas.net.http import HttpClient, Request
from pumas.net.remote_headers import RemoteFile, read_remote_headers

KIB, MIB = 1 << 10, 1 << 20


def gguf(vocabulary: int = 0, data: int = 200_000) -> bytes:
    keys = [
        ("general.architecture", "string", "llama"),
        ("llama.context_length", "uint32", 4096),
        ("tokenizer.ggml.tokens", "array", ("string", ["x" * 20] * vocabulary)),
    ]
    return Gguf().file(keys, [("w", (data // 4,), 0, 0)], bytes(data))


def wide(tensors: int) -> bytes:
    rows = {f"layer.{n}.a_long_name_of_a_tensor": tensor("U8", (4,), 4 * n, 4 * n + 4) for n in range(tensors)}
    return safetensors(rows, bytes(4 * tensors))


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        yield hub


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient(Config(retry_base_s=0))
    yield client
    client.close()


@pytest.fixture
def read(hub, client):
    """Put files into a repo, and read their headers."""

    def run(files, *, token=None, **repo):
        hub.add(Repo("o/r", files, **repo))
        remote = [
            RemoteFile(name, Request(url=f"{hub.url}/o/r/resolve/main/{name}", token=token), len(content))
            for name, content in files.items()
        ]
        return read_remote_headers(client, remote)

    return run


def ranges(hub):
    return [call.headers["range"] for call in hub.cdn.calls]


def test_reading_ends_at_the_next_step(hub, client):
    hub.add(Repo("o/r", {"m.gguf": (whole := gguf(20_000, 4 * MIB))}))
    steps = iter([None, Cancelled("enough")])

    def check():
        if (error := next(steps)) is not None:
            raise error

    file = RemoteFile("m.gguf", Request(url=f"{hub.url}/o/r/resolve/main/m.gguf"), len(whole))
    with pytest.raises(Cancelled):
        read_remote_headers(client, [file], check=check)
    assert len(hub.cdn.calls) == 1


def test_a_small_header_takes_one_range(read, hub):
    whole = gguf(data=8 * MIB)
    (header,) = read({"m.gguf": whole})
    assert (header.architecture, header.parameter_count, header.size_bytes) == ("llama", 2 * MIB, len(whole))
    assert header.metadata["llama.context_length"] == 4096
    assert ranges(hub) == ["bytes=0-131071"]


def test_a_vocabulary_is_read_on_from_where_the_first_range_ended(read, hub):
    (header,) = read({"m.gguf": gguf(20_000, 4 * MIB)})
    assert header.metadata["tokenizer.ggml.tokens"] == {"type": "string", "count": 20_000}
    assert ranges(hub) == ["bytes=0-131071", "bytes=131072-2097151"]


def test_a_safetensors_header_is_read_as_far_as_it_says(read, hub):
    whole = wide(4000)
    told = 8 + int.from_bytes(whole[:8], "little")
    assert told > 128 * KIB
    (header,) = read({"m.safetensors": whole})
    assert (header.tensor_count, header.parameter_count) == (4000, 16_000)
    assert ranges(hub) == ["bytes=0-131071", f"bytes=131072-{told - 1}"]


def test_several_files_are_read_together_and_one_that_is_damaged_hinders_none(read):
    files = {"a.gguf": gguf(), "b.gguf": b"GGUF" + b"\xff" * 500, "c.safetensors": wide(3), "d.gguf": gguf()[:101]}
    a, b, c, d = read(files)
    assert (a.format, c.format) == ("gguf", "safetensors")
    assert isinstance(b, BadAnswer)
    assert "a usable header, b.gguf: its GGUF version is" in str(b)
    assert "d.gguf: it ends in the middle" in str(d)


def test_a_header_that_promises_more_than_the_file_holds_is_given_up_at_once(read, hub):
    lie = (90 * MIB).to_bytes(8, "little") + b'{"a":' + bytes(MIB)
    (found,) = read({"m.safetensors": lie})
    assert isinstance(found, BadAnswer)
    assert "promises" in str(found)
    assert len(ranges(hub)) == 1


def test_a_server_that_knows_no_ranges_is_believed_for_small_files_only(read, hub, client):
    small, large = gguf(data=100_000), gguf(data=400_000)
    hub.cdn.fail(lambda answer: answer.__class__(200, small), times=1)
    (header,) = read({"m.gguf": small})
    assert header.architecture == "llama"
    hub.cdn.fail(lambda answer: answer.__class__(200, large), times=1)
    (found,) = read({"n.gguf": large})
    assert isinstance(found, BadAnswer)
    assert "more than" in str(found)


@pytest.mark.parametrize("told", ["bytes 1-131072/300000", "bytes 0-99/300000", "0-131071/300000", ""])
def test_another_part_than_was_asked_for_is_refused(read, hub, told):
    hub.cdn.fail(lambda answer: answer.__class__(206, answer.body, {"Content-Range": told}), times=1)
    (found,) = read({"m.gguf": gguf(data=400_000)})
    assert isinstance(found, BadAnswer)
    assert "another part" in str(found)


def test_faults_of_the_network_are_answers_too(read, hub):
    hub.cdn.fail(reset(), times=None)
    (found,) = read({"m.gguf": gguf()})
    assert isinstance(found, NetworkError)
    hub.cdn.heal()
    hub.cdn.fail(html(), times=None)
    (found,) = read({"m.gguf": gguf()})
    assert isinstance(found, BadAnswer)
    hub.fail(status(404), path="/resolve/", times=None)
    assert isinstance(read({"m.gguf": gguf()})[0], NotOnServer)


def test_a_fault_that_passes_is_tried_again(read, hub):
    hub.cdn.fail(reset(100), times=1)
    (header,) = read({"m.gguf": gguf()})
    assert header.architecture == "llama"


def test_a_gated_file_wants_a_token_which_the_content_network_never_sees(read, hub):
    files, gate = {"m.gguf": gguf()}, {"gated": "auto", "readers": frozenset({"me"})}
    (refused,) = read(files, **gate)
    assert isinstance(refused, AccessRefused)
    hub.tokens["secret"] = "me"
    (header,) = read(files, token="secret", **gate)
    assert header.architecture == "llama"
    assert all("authorization" not in call.headers for call in hub.cdn.calls)


def test_garbage_of_any_kind_is_no_header(read, hub):
    hub.cdn.fail(body(b"\x00" * 131072), times=1)
    (found,) = read({"m.gguf": gguf(data=400_000)})
    assert isinstance(found, BadAnswer)


def test_long_headers_of_many_files_are_not_held_together(read, hub, monkeypatch):
    monkeypatch.setattr(remote_headers, "_MOST_BYTES", 3 * MIB)
    files = {f"m-{n}.safetensors": wide(20_000) for n in range(4)}
    found = read(files)
    length = int.from_bytes(files["m-0.safetensors"][:8], "little")
    assert MIB < length < 3 * MIB
    held = 3 * MIB // (length + 8)
    assert [isinstance(one, Header) for one in found] == [True] * held + [False] * (4 - held)
    assert "too long to be held together" in str(found[-1])
