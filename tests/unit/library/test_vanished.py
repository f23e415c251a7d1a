"""What was known of files that are gone is forgotten, in time."""

from __future__ import annotations

import os
import shutil
import time

import pumas_native
import pytest
from support.headers import Gguf

from pumas.errors import Cancelled
from pumas.library import fingerprints, known
from pumas.library.digests import digest_files
from pumas.library.headers import read_headers
from pumas.library.vanished import forget_vanished
from pumas.store.cache import Table, path_key

DAY_NS = 86_400 * 10**9
NAMES = ("llm/llama/One/one.gguf", "llm/llama/Two/two.gguf", "llm/llama/Two/a\udcff.gguf")


@pytest.fixture
def paths(library, cache, monkeypatch):
    """Three files of which all is known."""
    monkeypatch.setattr(fingerprints, "RACY_NS", -DAY_NS)  # what was written just now has settled
    paths = [library / name for name in NAMES]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Gguf().file([("general.architecture", "string", "llama")]))
    digest_files(paths, library=library, cache=cache)
    read_headers(paths, library=library, cache=cache)
    assert _kept(cache) == (3, 3)
    return paths


def _kept(cache):
    entries = cache.info().entries
    return entries["headers"], entries["digests"]


def test_what_is_there_is_kept(library, cache, paths):
    cache.put_many(Table.DIGESTS, [(path_key(""), b"the stamps of models"), (path_key("x"), b"no such value")])
    cache.put_many(Table.HEADERS, [(path_key("x"), b"")])
    forget_vanished(library, cache, time.time_ns() + 100 * DAY_NS)
    assert _kept(cache) == (4, 5)


@pytest.mark.parametrize("how", ["file", "folder", "link"])
def test_what_is_gone_is_forgotten(library, cache, paths, how):
    if how == "folder":
        shutil.rmtree(library / "llm/llama/Two")
        (library / "llm/llama/Two").write_text("a file now")
    else:
        for path in paths[1:]:
            path.unlink()
            if how == "link":
                path.symlink_to("nothing")
    forget_vanished(library, cache, time.time_ns())
    assert _kept(cache) == (1, 3), "a drive may be missing for a while"
    forget_vanished(library, cache, time.time_ns() + 31 * DAY_NS)
    assert _kept(cache) == (1, 1)
    assert known.recall(cache, NAMES)[0] is not None


def test_what_can_not_be_looked_at_is_kept(library, cache, paths):
    paths[0].unlink()
    paths[0].symlink_to(paths[0].name)
    paths[1].unlink()
    os.mkfifo(paths[1])
    forget_vanished(library, cache, time.time_ns() + 31 * DAY_NS)
    assert _kept(cache) == (3, 3)


def test_a_cancel_leaves_all(library, cache, paths):
    shutil.rmtree(library / "llm")
    token = pumas_native.CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        forget_vanished(library, cache, time.time_ns() + 31 * DAY_NS, cancel=token)
    assert _kept(cache) == (3, 3)
