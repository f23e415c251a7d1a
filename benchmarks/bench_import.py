"""How fast do files get into the library, with documents and index?

    import-copy      4 files of 1 GiB, a set     the slower of `cp` + `sync` and `openssl dgst -sha256`, the same files
    import-hardlink  10,000 files of 4 KiB       a bare loop: a folder, a link, both documents written and synced
    import-move      the same                    the same with a rename

Ours are `PumasApi.import_model` and `import_batch`: planned, journalled, placed, digested, documented, synced and
indexed. Dense files, on the drive of the temporary folder; the source is in the caches of the kernel. Not pinned to one
core: two are a part of what is asked. The drive decides: every figure is of one run, ours and the baseline by turns.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from random import Random
from time import perf_counter

import pytest

from pumas import PumasApi
from pumas.config import Config
from pumas.models import ImportMode, ImportReport, ImportRequest

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to compare with"),
]

Alternate = Callable[..., tuple[float, float]]
Judge = Callable[[str, float, float], None]

LARGE_FILES = 4
LARGE_BYTES = {"small": 1 << 20, "full": 1 << 30}
SMALL_FILES = {"small": 50, "full": 10_000}
SMALL_BYTES = 4096
MOST_MEMORY = 200 << 20

TARGETS = {"import-copy": 1.15, "import-hardlink": 1 / 0.6, "import-move": 1 / 0.6}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path)  # up to 12 GiB, that pytest would keep for three runs


def _timed(work: Callable[[], object]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


def _write(path: Path, size: int, seed: int) -> None:
    random = Random(seed)
    with path.open("wb") as file:
        file.write(b"GGUF")
        while size > 4:
            file.write(random.randbytes(min(1 << 20, size)))
            size -= 1 << 20


def test_copy(folder: Path, size: str, alternate: Alternate, judge: Judge) -> None:
    source = folder / "set"
    source.mkdir()
    paths = [source / f"model-{number:05d}-of-{LARGE_FILES:05d}.gguf" for number in range(1, LARGE_FILES + 1)]
    for number, path in enumerate(paths):
        _write(path, LARGE_BYTES[size], number)
    told = subprocess.run(["openssl", "dgst", "-sha256", "-r", *paths], capture_output=True, check=True, text=True)
    digests = {line.split()[0] for line in told.stdout.splitlines()}

    def cp() -> float:
        subprocess.run(["cp", "-r", source, folder / "copy"], check=True)
        subprocess.run(["sync", "-f", folder / "copy"], check=True)
        return 0.0

    def openssl() -> None:
        subprocess.run(["openssl", "dgst", "-sha256", *paths], capture_output=True, check=True)

    def baseline() -> float:
        taken = max(_timed(cp), _timed(openssl))
        shutil.rmtree(folder / "copy")
        return taken

    def ours() -> float:
        with PumasApi(folder / "root", config=Config()) as api:
            begun = perf_counter()
            (result,) = api.import_model(source, model_type="llm").result().results
            taken = perf_counter() - begun
        assert result.error is None
        assert result.model_path is not None
        document = json.loads((result.model_path / "metadata.json").read_text())
        assert {file["sha256"] for file in document["files"]} == digests
        shutil.rmtree(folder / "root")
        return taken

    best, best_baseline = alternate("import-copy", ours, baseline)
    judge("import_copy_ratio", best / best_baseline, TARGETS["import-copy"])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < MOST_MEMORY or size == "small"


@pytest.mark.parametrize("mode", ["hardlink", "move"])
def test_small(mode: ImportMode, folder: Path, size: str, alternate: Alternate, judge: Judge) -> None:
    source = folder / "in"
    source.mkdir()
    paths = [source / f"model-{number}.gguf" for number in range(SMALL_FILES[size])]
    for number, path in enumerate(paths):
        _write(path, SMALL_BYTES, number)
    requests = [ImportRequest(path=str(path), family="small", model_type="llm") for path in paths]
    rounds = count()
    bare_place = os.rename if mode == "move" else os.link
    documents: dict[str, bytes] = {}

    def ours() -> float:
        root = folder / f"root-{next(rounds)}"
        with PumasApi(root, config=Config()) as api:
            begun = perf_counter()
            report: ImportReport = api.import_batch(requests, mode=mode).result()
            taken = perf_counter() - begun
            assert report.failed == 0
            assert len(api.list_models()) == len(paths)
        for path, result in zip(paths, report.results, strict=True):
            assert result.model_path is not None
            documents[path.name] = (result.model_path / "metadata.json").read_bytes()
            if mode == "move":
                (result.model_path / path.name).rename(path)
        shutil.rmtree(root)
        return taken

    def bare() -> float:
        library = folder / f"bare-{next(rounds)}" / "llm" / "small"
        library.mkdir(parents=True)
        begun = perf_counter()
        for path in paths:
            model = library / path.stem
            model.mkdir()
            bare_place(path, model / path.name)
            for name, data in (("overrides.json", b"{}"), ("metadata.json", documents[path.name])):
                with (model / name).open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
        taken = perf_counter() - begun
        if mode == "move":
            for path in paths:
                (library / path.stem / path.name).rename(path)
        shutil.rmtree(library.parents[1])
        return taken

    ours()  # the loop writes the same documents
    best, best_baseline = alternate(f"import-{mode}", ours, bare)
    judge(f"import_{mode}_ratio", best / best_baseline, TARGETS[f"import-{mode}"])
