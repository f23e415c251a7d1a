"""Shards that are given one by one become one model, as a dry run says, through every door."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.headers import Gguf

from pumas import PumasApi
from pumas.library.import_sets import join_shards
from pumas.models import ImportRequest

NAMES = [f"Big Model-0000{number}-of-00003.gguf" for number in (1, 2, 3)]


@pytest.fixture
def api(library: Path) -> Iterator[PumasApi]:
    with PumasApi(library.parents[1]) as opened:
        yield opened


@pytest.fixture
def shards(tmp_path: Path) -> list[str]:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        # The first says what the model is, as llama-gguf-split writes them.
        keys = [("general.architecture", "string", "llama")] if number == 0 else []
        (folder / name).write_bytes(Gguf().file([*keys, ("split.no", "uint16", number)]))
    return [str(folder / name) for name in NAMES]


def test_an_import_follows_the_dry_run(api, library, shards, tmp_path):
    other = tmp_path / "in" / "other.gguf"
    other.write_bytes(Gguf().file([("general.architecture", "string", "mamba")]))
    paths = [shards[2], str(other), shards[0], shards[1]]
    told = api.classify_model_import_paths(paths).result()
    assert [one.paths for one in told] == [tuple(shards), (str(other),)]
    report = api.import_batch([ImportRequest(path=path) for path in paths], mode="move").result()
    big, small = (one.model_id for one in told)
    assert [result.path for result in report.results] == paths
    assert [result.model_id for result in report.results] == [big, small, big, big]
    assert (big, report.imported, report.failed) == ("llm/llama/BigModel", 2, 0)
    document = json.loads((library / big / "metadata.json").read_text())
    assert [file["name"] for file in document["files"]] == list(told[0].files) == NAMES
    assert not any(Path(path).exists() for path in paths)
    assert api.shards_of_model(big)[0].is_complete


def test_what_is_missing_is_told_by_both(api, shards):
    (told,) = api.classify_model_import_paths(shards[:1]).result()
    (result,) = api.import_model(shards[0]).result().results
    assert told.notes == result.notes == ("BigModel-00001-of-00003.gguf: 2 of 3 parts are missing",)
    assert (result.model_id, result.file_count) == (told.model_id, 1)
    assert Path(shards[1]).exists()


def test_one_shard_that_can_not_be_imported_keeps_the_others_where_they_are(api, shards):
    Path(shards[1]).unlink()
    (told,) = api.classify_model_import_paths(shards).result()
    report = api.import_batch([ImportRequest(path=path) for path in shards], mode="move").result()
    assert {result.error for result in report.results} == {told.refusal} == {f"Local path not found: {shards[1]}"}
    assert (report.imported, report.failed) == (0, 3)
    assert Path(shards[0]).exists()
    assert api.list_models() == []


def test_the_desktop_app_gets_an_answer_for_each_shard(serve, library, shards):
    client = serve(library.parents[1])
    # As it names them when nobody does: by the stems of the files.
    specs = [{"path": path, "official_name": Path(path).stem, "family": "imported"} for path in shards]
    answer = client.call("import_batch", {"import_specs": specs})
    where = str(library / "llm/llama/BigModel")
    assert answer == {
        "success": True,
        "imported": 3,
        "failed": 0,
        "results": [{"path": path, "success": True, "model_path": where} for path in shards],
    }
    assert list(client.call("get_models")["models"]) == ["llm/llama/BigModel"]


@pytest.mark.parametrize(
    "other",
    [{"official_name": "Own"}, {"family": "own"}, {"model_type": "llm"}, {"tags": ("a",)}, {"repo_id": "a/b"}],
    ids=str,
)
def test_who_asks_for_different_things_gets_different_models(other):
    requests = [ImportRequest(path=NAMES[0]), ImportRequest(path=NAMES[1], **other)]
    assert join_shards(requests) == (requests, [0, 1])


def test_files_of_two_folders_are_no_set():
    requests = [ImportRequest(path=f"a/{NAMES[0]}"), ImportRequest(path=f"b/{NAMES[1]}")]
    assert join_shards(requests) == (requests, [0, 1])


def test_one_path_twice_is_two_requests_unless_it_is_of_a_set():
    (one, two, _), twice = (ImportRequest(path=name) for name in NAMES), ImportRequest(path="a.gguf")
    joined, places = join_shards([twice, one, twice, two, one])
    assert [(request.path, request.others) for request in joined] == [
        ("a.gguf", ()),
        (NAMES[0], (NAMES[1],)),
        ("a.gguf", ()),
    ]
    assert places == [0, 1, 2, 1, 1]


def test_a_name_that_is_given_for_all_is_that_of_the_model():
    joined, _ = join_shards([ImportRequest(path=name, official_name="Mine") for name in NAMES])
    assert [(request.official_name, len(request.others)) for request in joined] == [("Mine", 2)]
