"""Processes killed while they make and swap postings: the next one ranks right, and nothing is left behind."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

from support.corpora import query
from support.roots import write_model

from pumas import PumasApi
from pumas.config import Config

_ROUNDS = int(os.environ.get("PUMAS_FAULT_ROUNDS") or 15)

_MAKING = """
import sys
from pathlib import Path
from pumas import PumasApi
from pumas.config import Config
from pumas.store.cache import Table
with PumasApi(Path(sys.argv[1]), config=Config()) as api:
    ranked = api._root.ranked
    api.search_models_fts("a")
    api._root.jobs.submit("fill", ranked.fill).result(60)
    print("go", flush=True)
    while True:
        api._root.cache.replace_all(Table.POSTINGS, [])
        ranked._state = None
        api._root.jobs.submit("fill", ranked.fill).result(60)
"""


def test_killed_while_postings_are_made_and_swapped(library):
    chance = random.Random(1)
    for number in range(60):
        write_model(library, f"llm/f/M{number}", description=query(chance))
    root = library.parents[1]
    with PumasApi(root, config=Config()) as api:
        api.refresh_models().result(30)
    for _ in range(_ROUNDS):
        with subprocess.Popen([sys.executable, "-c", _MAKING, str(root)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"go\n"
            time.sleep(chance.random() * 0.05)
            child.kill()
        with PumasApi(root, config=Config()) as api:
            api.search_models_fts("a")
            api._root.jobs.submit("fill", api._root.ranked.fill).result(30)
            for _ in range(20):
                text = query(chance)
                ranked = api._root.ranked.page(text, limit=100, offset=0)
                assert ranked == api._root.index.search_rowids(text, limit=100, offset=0)
    write_model(library, "llm/f/New")
    with PumasApi(root, config=Config()) as api:
        api.refresh_models().result(30)
        api._root.jobs.submit("fill", api._root.ranked.fill).result(30)
    assert len(list((library / ".pumas" / "cache").glob("postings-*"))) == 1
