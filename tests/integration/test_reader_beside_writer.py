"""Somebody who may only read the library, beside a server that writes it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from support.process import server_process
from support.roots import write_model

NOBODY = 65534

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs to be able to act for another user"
)


@pytest.fixture
def root():
    with tempfile.TemporaryDirectory() as folder:  # one that another user reaches, as pytest's own is not
        Path(folder).chmod(0o755)
        write_model(Path(folder) / "shared-resources" / "models", "llm/f/one", description="first")
        yield Path(folder)


@pytest.fixture
def as_reader(root, monkeypatch):
    cache = root / "reader-cache"
    cache.mkdir()
    os.chown(cache, NOBODY, NOBODY)
    monkeypatch.setenv("PUMAS_CACHE_DIR", str(cache))
    groups = f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"
    return server_process(root, before=["setpriv", *groups])


def _sees(client, word: str, expected: set[str]) -> None:
    begun = time.monotonic()
    while True:
        found = {model["id"] for model in client.call("search_models_fts", {"query": word})["models"]}
        listed = set(client.call("get_models")["models"])
        if found == expected and found <= listed:
            return
        assert time.monotonic() - begun < 15, (found, listed)
        time.sleep(0.05)


def test_what_the_writer_writes_is_seen(root, as_reader):
    library = root / "shared-resources" / "models"
    with server_process(root) as (process, writer):
        _sees(writer, "first", {"llm/f/one"})
        with as_reader as (reading, reader):
            _sees(reader, "first", {"llm/f/one"})
            write_model(library, "llm/f/two", description="second")
            _sees(writer, "second", {"llm/f/two"})
            _sees(reader, "second", {"llm/f/two"})
            # Then nobody writes, and again somebody does.
            writer.call("shutdown")
            process.wait(10)
            _sees(reader, "second", {"llm/f/two"})
            write_model(library, "llm/f/three", description="third")
            with server_process(root) as (_, again):
                _sees(again, "third", {"llm/f/three"})
                _sees(reader, "third", {"llm/f/three"})
            answer = reader.call("refresh_model_index")
            assert (answer["success"], "permission" in answer["error"]) == (False, True)
            reader.call("shutdown")
            _, told = reading.communicate(timeout=10)
    warnings = [line for line in told.splitlines() if line.startswith("WARNING")]
    assert len(warnings) <= 5, "\n".join(warnings)
    assert not [line for line in told.splitlines() if line.startswith("ERROR")]
