from __future__ import annotations

import hashlib

import pytest
from support.roots import write_model

from pumas import PumasApi
from pumas.config import Config
from pumas.errors import InvalidInput, ModelNotFound


@pytest.fixture
def api(library):
    write_model(library, "llm/llama/One")
    with PumasApi(library.parents[1], config=Config()) as api:
        yield api


def test_files_are_digested_as_a_job_that_counts_bytes(api, library):
    path = library / "llm" / "llama" / "One" / "One.gguf"
    job = api.hash_files([path, library / "missing"], ["sha256"])
    found, missing = job.result(30)
    assert (found.sha256, found.blake3) == (hashlib.sha256(b"GGUF").hexdigest(), None)
    assert missing.error == "No such file or directory"
    snapshot = job.snapshot()
    assert (snapshot.kind, snapshot.done, snapshot.total, snapshot.stage) == ("hash_files", 4, 4, "reading files")
    with pytest.raises(InvalidInput):
        api.hash_files([path], ["md5"])


def test_models_are_verified_as_a_job_that_counts_bytes(api):
    job = api.verify()
    report = job.result(30)
    assert (report.model_count, report.read_files, report.unrecorded_files) == (1, 1, 1)
    snapshot = job.snapshot()
    assert (snapshot.done, snapshot.total, snapshot.stage) == (4, 4, "reading files")
    assert api.verify(["llm/llama/One"], records=True).result(30).recorded_files == 1
    with pytest.raises(ModelNotFound):
        api.verify(["llm/llama/Two"]).result(30)


@pytest.mark.parametrize("name", ["budget_s", "max_age_s"])
@pytest.mark.parametrize("value", [-1, float("nan")])
def test_times_are_not_negative(api, name, value):
    with pytest.raises(InvalidInput, match="must be a number of seconds") as caught:
        api.verify(**{name: value})
    assert caught.value.parameter == name
