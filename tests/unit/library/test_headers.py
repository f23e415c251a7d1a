"""Header facts are kept as long as the file is what it was."""

from __future__ import annotations

import os
from pathlib import Path
from time import time_ns
from typing import Any

import pytest
from support.headers import Gguf, safetensors, tensor

from pumas.library.headers import HeaderProblem, read_headers
from pumas.models import Header
from pumas.store.cache import Cache, Table, path_key

PAST_NS = 1_700_000_000 * 10**9
NAME = "llm/llama/Model/model.gguf"


@pytest.fixture
def settled(monkeypatch):
    """The clock is ahead: what was written just now has settled."""
    monkeypatch.setattr("pumas.library.headers.time_ns", lambda: time_ns() + 10**10)


def write(path: Path, architecture: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(Gguf().file([("general.architecture", "string", architecture)]))
    return path


def poison(cache: Cache, path: Path, library: Path) -> None:
    """Change what is kept of a file, so that it shows whether the file is read."""
    key = path_key(path.relative_to(library).as_posix())
    value = cache.get(Table.HEADERS, key)
    assert value is not None
    cache.put_many(Table.HEADERS, [(key, value.replace(b'"llama"', b'"known"'))])


def architecture(path: Path, library: Path, cache: Cache) -> str | None:
    (header,) = read_headers([path], library=library, cache=cache)
    assert isinstance(header, Header)
    return header.architecture


def test_an_unchanged_file_is_not_read_again(library, cache, settled):
    path = write(library / NAME, "llama")
    assert architecture(path, library, cache) == "llama"
    poison(cache, path, library)
    assert architecture(path, library, cache) == "known"
    link = library.with_name("link")
    link.symlink_to(library)
    assert architecture(link / NAME, link, cache) == "known"


def rewrite(path: Path) -> None:
    """The same size at another time."""
    write(path, "llamb")
    os.utime(path, ns=(PAST_NS, PAST_NS))


def replace(path: Path) -> None:
    """Another file of the same size and time."""
    times = path.stat()
    new = write(path.with_name("new"), "llamc")
    os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
    new.replace(path)


@pytest.mark.parametrize("change", [lambda path: write(path, "other"), rewrite, replace])
def test_a_changed_file_is_read_again(change, library, cache, settled):
    path = write(library / NAME, "llama")
    assert architecture(path, library, cache) == "llama"
    poison(cache, path, library)
    change(path)
    assert architecture(path, library, cache) not in ("llama", "known")


def test_a_young_file_is_not_kept(library, cache):
    path = write(library / NAME, "llama")
    assert architecture(path, library, cache) == "llama"
    assert cache.info().entries["headers"] == 0


def test_nothing_is_kept_of_files_elsewhere_of_problems_and_of_endless_facts(library, cache, settled, tmp_path):
    elsewhere = write(tmp_path / "model.gguf", "llama")
    damaged = write(library / NAME, "llama")
    damaged.write_bytes(b"GGUF")
    endless = library / "endless.gguf"
    endless.write_bytes(Gguf().file([(f"{n}", "string", "x" * 60_000) for n in range(5)]))
    around = write(tmp_path / "around.gguf", "llama")
    paths: list[Any] = [elsewhere, damaged, endless, f"{library}/../../../{around.name}", library / "missing"]
    found = read_headers(paths, library=library, cache=cache)
    assert [isinstance(one, Header) for one in found] == [True, False, True, True, False]
    assert found[1] == HeaderProblem("cut", "it ends in the middle of its version (byte 4)")
    assert cache.info().entries["headers"] == 0


def test_the_value_of_another_path_with_the_same_key_is_not_believed(library, cache, settled):
    path, other = write(library / NAME, "llama"), write(library / "other", "llama")
    os.link(path, library / "twin")
    assert architecture(path, library, cache) == "llama"
    poison(cache, path, library)
    value = cache.get(Table.HEADERS, path_key(NAME))
    assert value is not None
    cache.put_many(Table.HEADERS, [(path_key("twin"), value), (path_key("other"), b"")])
    assert architecture(library / "twin", library, cache) == "llama"
    assert architecture(other, library, cache) == "llama"


def test_without_a_cache(tmp_path):
    path = tmp_path / "lora.safetensors"
    path.write_bytes(safetensors({"a": tensor("F16", (2, 3), 0, 12)}, bytes(12)))
    (header,) = read_headers([path])
    assert isinstance(header, Header)
    assert (header.quantization, header.parameter_count, header.dtypes["F16"].tensors) == ("F16", 6, 1)
