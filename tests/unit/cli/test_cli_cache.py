from __future__ import annotations

import json
import os
from contextlib import closing

import pytest
from support.roots import write_model

from pumas.cli import main
from pumas.store.cache import Table, open_cache, row_key


@pytest.fixture
def root(library):
    write_model(library, "llm/llama/one")
    return library.parents[1]


@pytest.fixture
def pumas(root, capfd):
    """Run a command on the root in this process; what it wrote to standard output."""

    def run(*arguments: str) -> str:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--root", str(root)])
        streams = capfd.readouterr()
        assert (ended.value.code or 0, streams.err) == (0, "")
        return str(streams.out)

    return run


@pytest.fixture
def filled(library):
    with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
        assert cache.put_many(Table.RECORDS, [(row_key(n), bytes(2000)) for n in range(700)])
        assert cache.put_many(Table.META, [(b"generation", b"1")])
    return library / ".pumas" / "cache"


def test_info_tells_where_it_lies_and_what_is_in_it(pumas, filled):
    lines = dict(line.split(maxsplit=1) for line in pumas("cache", "info").splitlines())
    assert lines["Folder"] == str(filled)
    assert lines["Place"] == "the library"
    assert lines["Usable"] == "yes"
    assert lines["Records"] == "700 entries"
    assert lines["Meta"] == "1 entry"
    assert lines["Digests"] == "0 entries"
    assert lines["Size"].endswith("of 16.0 MiB before it grows")


def test_info_as_json(pumas, filled):
    info = json.loads(pumas("cache", "info", "--json"))
    assert info["path"] == str(filled)
    assert info["entries"]["records"] == 700
    assert (info["is_fallback"], info["is_usable"], info["format_version"]) == (False, True, 1)
    assert info["size_bytes"] > 700 * 2000
    assert len(info["library_id"]) == 32


def test_clear_says_what_it_removed_and_touches_nothing_else(pumas, filled, library):
    before = sorted(str(path) for path in library.rglob("*") if filled not in path.parents)
    told = pumas("cache", "clear")
    assert told.startswith("Removed 701 entries, ")
    assert told.endswith(f"MiB: {filled}\n")
    assert sorted(str(path) for path in library.rglob("*") if filled not in path.parents) == before
    assert sorted(os.listdir(filled)) == ["open.lock", "write.lock"]


def test_clear_as_json_and_twice(pumas, filled):
    assert json.loads(pumas("cache", "clear", "--json"))["entries"]["records"] == 700
    again = json.loads(pumas("cache", "clear", "--json"))
    assert (again["path"], set(again["entries"].values())) == (str(filled), {0})
    assert pumas("cache", "clear").startswith("Removed 0 entries, ")


def test_clear_while_the_cache_is_in_use(pumas, filled, library):
    with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
        pumas("cache", "clear")
        assert cache.get(Table.RECORDS, row_key(1)) is None
        assert cache.put_many(Table.RECORDS, [(row_key(1), b"x")])
        assert cache.get(Table.RECORDS, row_key(1)) == b"x"


def test_a_library_that_can_not_hold_it(pumas, library, tmp_path, monkeypatch):
    (library / ".pumas").write_text("in the way")
    monkeypatch.setenv("PUMAS_CACHE_DIR", str(tmp_path / "caches"))
    lines = dict(line.split(maxsplit=1) for line in pumas("cache", "info").splitlines())
    assert lines["Place"] == "the user's cache folder"
    assert lines["Folder"].startswith(str(tmp_path / "caches"))


def test_no_place_for_a_cache(pumas, library, tmp_path, monkeypatch, capfd):
    (library / ".pumas").write_text("in the way")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PUMAS_CACHE_DIR", str(tmp_path / "file"))
    for command, told in (("info", "There is no place for a cache"), ("clear", "There is no cache")):
        with pytest.raises(SystemExit):
            main(["cache", command, "--root", str(library.parents[1])])
        out, err = capfd.readouterr()
        assert out.startswith(told)
        assert err.count("\n") == 1


def test_the_help_has_an_example(capfd):
    for command in ("info", "clear"):
        with pytest.raises(SystemExit):
            main(["cache", command, "--help"])
        assert f"Example: pumas cache {command}" in capfd.readouterr().out
