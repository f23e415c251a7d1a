"""A healthy root, for a test to damage."""

from __future__ import annotations

import tempfile
from contextlib import closing

import pytest
from support.roots import write_model

from pumas import PumasApi
from pumas.config import Config
from pumas.store.cache import Table, open_cache, row_key
from pumas.store.metadata import METADATA, VERSIONS, locate, update
from pumas.store.paths import Layout


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """A folder for temporary files in which nothing of other tests lies."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def root(library):
    """A healthy root with an index, a cache and documents that have backups."""
    for name in ("one", "two", "three"):
        folder = write_model(library, f"llm/llama/{name}", tags=["gguf"])
        (folder / "overrides.json").write_text("{}")
    folder = library.parents[1]
    with PumasApi(folder, config=Config()) as api:
        assert api.rebuild_index().result().model_count == 3
        assert api.search_models_fts("one").total_count == 1
    layout = Layout(folder)
    update(locate(layout, VERSIONS, "comfyui"), lambda value: {**value, "defaultVersion": "v1"})
    update(locate(layout, VERSIONS, "comfyui"), lambda value: {**value, "defaultVersion": "v2"})
    update(locate(layout, METADATA, "llm/llama/one"), lambda value: value)
    with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
        assert cache.put_many(Table.RECORDS, [(row_key(n), bytes(500)) for n in range(300)])
    return folder
