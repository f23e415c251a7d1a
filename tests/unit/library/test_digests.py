from __future__ import annotations

import hashlib
import os
import time

import blake3
import pumas_native
import pytest
import xxhash

from pumas.errors import Cancelled, InvalidInput
from pumas.library import known as known_module
from pumas.library.digests import digest_files
from pumas.library.known import History, Known, read_contents, recall, remember
from pumas.store.cache import Table, path_key

NAME = "llm/llama/One/one.gguf"


@pytest.fixture
def clock(monkeypatch):
    """A clock that is ahead, so that files written now are old; set `ahead_s`."""

    class Clock:
        ahead_s = 10.0

    clock = Clock()
    monkeypatch.setattr(known_module, "time_ns", lambda: time.time_ns() + round(clock.ahead_s * 1e9))
    return clock


@pytest.fixture
def path(library):
    path = library / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF")
    return path


def _known(cache, name=NAME) -> Known:
    known = recall(cache, [name])[0]
    assert known is not None
    return known


def _digest(path, library, cache, algorithms=("sha256", "blake3")):
    return digest_files([path], algorithms, library=library, cache=cache)[0]


def test_digests_are_those_of_hashlib_blake3_and_xxhash(path):
    found = digest_files([path, str(path)], ["xxh3_128", "sha256", "blake3"])
    assert {(one.sha256, one.blake3, one.xxh3_128, one.error) for one in found} == {
        (
            hashlib.sha256(b"GGUF").hexdigest(),
            blake3.blake3(b"GGUF").hexdigest(),
            xxhash.xxh3_128_hexdigest(b"GGUF"),
            None,
        )
    }
    only = digest_files([path], ["blake3"])[0]
    assert (only.sha256, only.blake3, only.xxh3_128) == (None, found[0].blake3, None)


def test_a_file_that_did_not_change_is_not_read_again(path, library, cache, clock):
    first = _digest(path, library, cache)
    known = _known(cache)
    assert (known.sha256.hex(), known.blake3.hex()) == (first.sha256, first.blake3)
    # What is kept is changed, so that it shows where the answer comes from.
    remember(cache, [(NAME, Known(known.fingerprint, b"s" * 32, b"b" * 32, known.verified_at_ns, History.FIRST))])
    again = _digest(path, library, cache)
    assert (again.sha256, again.blake3) == ((b"s" * 32).hex(), (b"b" * 32).hex())
    assert _digest(path, library, cache, ["sha256"]).blake3 is None
    assert _digest(path, library, cache, ["sha256", "xxh3_128"]).sha256 == first.sha256


@pytest.mark.parametrize("change", ["content", "time", "replaced"])
def test_a_file_that_changed_is_read_again(path, library, cache, clock, change):
    _digest(path, library, cache)
    status = path.stat()
    if change == "content":
        path.write_bytes(b"FUGG")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # ctime tells
    elif change == "time":
        os.utime(path, ns=(1, 1))
    else:
        (path.parent / "new").write_bytes(b"FUGG")
        (path.parent / "new").replace(path)
    found = _digest(path, library, cache)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    known = _known(cache)
    assert known.fingerprint == pumas_native.fingerprint_files([path])[0]
    assert known.history is (History.FIRST if change == "time" else History.EDITED)


def test_nothing_is_kept_of_a_file_that_could_still_change_unseen(path, library, cache, clock):
    clock.ahead_s = 0.0
    assert _digest(path, library, cache).sha256 == hashlib.sha256(b"GGUF").hexdigest()
    assert recall(cache, [NAME]) == [None]
    clock.ahead_s = 1.0
    _digest(path, library, cache)
    assert recall(cache, [NAME]) == [None]
    clock.ahead_s = 30.0
    _digest(path, library, cache)
    assert _known(cache).sha256 == hashlib.sha256(b"GGUF").digest()


def test_content_that_changed_under_one_fingerprint_has_rotted(path, library, cache, clock):
    _digest(path, library, cache)
    known = _known(cache)
    [content] = read_contents([str(path)], [Known(known.fingerprint, b"s" * 32, b"b" * 32, 1, History.FIRST)])
    assert isinstance(content, Known)
    assert content.history is History.ROTTEN
    [content] = read_contents([str(path)], [content])
    assert isinstance(content, Known)
    assert content.history is History.ROTTEN, "it is not forgotten while the content stays"


def test_an_entry_of_another_path_is_none(path, library, cache, clock):
    _digest(path, library, cache)
    value = cache.get(Table.DIGESTS, path_key(NAME))
    cache.put_many(Table.DIGESTS, [(path_key("other"), value), (path_key("short"), b"1"), (path_key("empty"), b"")])
    assert recall(cache, ["other", "short", "empty", "missing"]) == [None] * 4


def test_files_outside_the_library_are_not_kept(tmp_path, path, library, cache, clock):
    outside = tmp_path / "outside"
    outside.write_bytes(b"x")
    (tmp_path / "linked").symlink_to(library)
    through_link = tmp_path / "linked" / NAME
    found = digest_files([outside, path, through_link], library=library, cache=cache)
    assert [one.sha256 for one in found] == [hashlib.sha256(text).hexdigest() for text in (b"x", b"GGUF", b"GGUF")]
    assert [one.path for one in found] == [str(outside), str(path), str(through_link)]
    assert cache.info().entries["digests"] == 1


def test_one_file_is_known_by_one_name(path, library, cache, clock):
    (library / "llm" / ".hidden").write_bytes(b"hidden")
    outside = library.parent / "outside.gguf"
    outside.write_bytes(b"outside")
    odd = [
        f"{library}//{NAME}",
        f"{library}/./{NAME}",
        f"{library}/llm/../{NAME}",
        f"{library}/llm/.hidden",
        f"{library}/../{outside.name}",
        f"{path}/",
        f"{library}/",
    ]
    found = digest_files([*odd, path], library=library, cache=cache)
    assert [one.sha256 and one.sha256[:4] for one in found] == [
        hashlib.sha256(text).hexdigest()[:4] if text else None
        for text in (b"GGUF", b"GGUF", b"GGUF", b"hidden", b"outside", None, None, b"GGUF")
    ]
    assert [one.path for one in found] == [*odd, str(path)]
    keys = {key for key, _ in cache.items(Table.DIGESTS)}
    assert keys == {path_key(NAME), path_key("llm/.hidden")}


def test_one_bad_file_hides_no_other(path, library, cache, clock):
    paths = [library / "missing", path, library]
    for given in ({"library": library, "cache": cache}, {}):
        found = digest_files(paths, **given)
        assert [one.error for one in found] == [
            "No such file or directory",
            None,
            "it is a folder, not a regular file",
        ]
        assert [one.sha256 is None for one in found] == [True, False, True]


@pytest.mark.parametrize("algorithms", [["md5"], [], ["sha256", "SHA256"]])
def test_algorithms_that_mean_nothing_are_refused(path, algorithms):
    with pytest.raises(InvalidInput, match="choose from sha256, blake3, xxh3_128") as caught:
        digest_files([path], algorithms)
    assert caught.value.parameter == "algorithms"


def test_progress_is_told_in_bytes_of_what_is_read(path, library, cache, clock):
    told: list[tuple[int, int]] = []
    other = path.with_name("other.gguf")
    other.write_bytes(bytes(100_000))

    def progress(done: int, total: int) -> None:
        told.append((done, total))

    digest_files([path], library=library, cache=cache)
    digest_files([path, other], library=library, cache=cache, progress=progress)
    assert told[-1] == (100_000, 100_000)


def test_progress_does_not_begin_again_for_files_that_lie_elsewhere(path, library, cache, clock, tmp_path):
    told: list[tuple[int, int]] = []
    outside = tmp_path / "outside"
    outside.write_bytes(bytes(1000))
    digest_files([outside, path], library=library, cache=cache, progress=lambda *counts: told.append(counts))
    assert told == sorted(told)
    assert told[-1] == (1004, 1004)


def test_cancelled_work_gives_nothing(path, library, cache, clock):
    token = pumas_native.CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        digest_files([path], library=library, cache=cache, cancel=token)
    assert recall(cache, [NAME]) == [None]
