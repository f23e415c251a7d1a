from __future__ import annotations

import json
import os

import pumas_native
import pytest
from support.roots import write_model

from pumas.errors import Cancelled, Unavailable
from pumas.library.survey import changed_in_library, read_rows


def _read(library):
    survey = changed_in_library(library, b"").survey
    rows = [row for batch in read_rows(survey) for row in batch]
    return sorted(row[0] for row in rows), {problem.path: problem.reason for problem in survey.problems}


def test_which_folders_are_models(library):
    for model_id in ("llm/llama/A", "diffusion/sdxl/B", "deep/er/and/deeper/C", "solo"):
        write_model(library, model_id)
    write_model(library, "llm/llama/A/nested")
    write_model(library, ".downloads/x")
    write_model(library, "llm/llama/.tmp_import_Z")
    write_model(library, ".pumas/locks")
    (library / "metadata.json").write_text('{"official_name": "the library is no model"}')
    (library / "llm" / "empty").mkdir()
    (library / "llm" / "linked").symlink_to(library / "diffusion")
    ids, problems = _read(library)
    assert ids == ["deep/er/and/deeper/C", "diffusion/sdxl/B", "llm/llama/A", "solo"]
    assert problems == {}


def test_one_bad_folder_never_hides_a_good_one(library, tmp_path):
    write_model(library, "llm/good/G")
    for name, data in {"cut": b"{", "nan": b'{"x": NaN}', "latin": b'{"x": "\xe9"}', "list": b"[1]"}.items():
        (library / "llm" / "bad" / name).mkdir(parents=True)
        (library / "llm" / "bad" / name / "metadata.json").write_bytes(data)
    (library / "llm" / "bad" / "folder" / "metadata.json").mkdir(parents=True)
    (library / "llm" / "bad" / "fifo").mkdir()
    os.mkfifo(library / "llm" / "bad" / "fifo" / "metadata.json")
    (library / "llm" / "bad" / "huge").mkdir()
    with (library / "llm" / "bad" / "huge" / "metadata.json").open("wb") as huge:
        huge.truncate(17 * 1024 * 1024)
    (library / "llm" / "bad" / "deep").mkdir()
    (library / "llm" / "bad" / "deep" / "metadata.json").write_text('{"x": ' + "[" * 1000 + "]" * 1000 + "}")
    os.mkdir(os.fsencode(library) + b"/llm/bad/caf\xe9")
    ids, problems = _read(library)
    assert ids == ["llm/good/G"]
    assert {path.split("/")[2]: reason for path, reason in problems.items()} == {
        "cut": "it is not valid JSON (byte 1)",
        "nan": "it is not valid JSON (byte 6)",
        "latin": "it is not UTF-8",
        "list": "it is not an object",
        "fifo": "it is not a regular file",
        "huge": "it is larger than 16777216 bytes",
        "deep": "it is nested deeper than 100 levels",
        "caf\\xe9": "its name is not valid UTF-8; rename it",
    }


def test_a_document_that_is_a_link_counts_if_it_stays_inside(library, tmp_path):
    write_model(library, "llm/real/R")
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"official_name": "secret"}))
    for name, target in {"in": library / "llm/real/R/metadata.json", "out": secret, "gone": "nowhere"}.items():
        (library / "llm" / name).mkdir()
        (library / "llm" / name / "metadata.json").symlink_to(target)
    ids, problems = _read(library)
    assert ids == ["llm/in", "llm/real/R"]
    assert problems == {
        "llm/out/metadata.json": "it is a link that leads out of the library",
        "llm/gone/metadata.json": "it vanished",
    }


def test_documents_are_stored_as_python_would_write_them(library):
    document = {"official_name": "Ünï", "tags": ["é", 1.0, 1e22, None], "size_bytes": 10**30, "nested": {"a": []}}
    (library / "m").mkdir()
    (library / "m" / "metadata.json").write_text(json.dumps(document, ensure_ascii=False))
    survey = changed_in_library(library, b"").survey
    ((row,),) = list(read_rows(survey))
    assert row[3] == "Ünï"
    assert row[5] == json.dumps(document["tags"])
    assert row[6] == "{}"
    assert row[7] == json.dumps(document, indent=2)


def test_a_cancelled_survey_ends(library):
    write_model(library, "llm/a/A")
    cancel = pumas_native.CancelToken()
    survey = changed_in_library(library, b"").survey
    cancel.cancel()
    with pytest.raises(Cancelled):
        changed_in_library(library, b"", cancel=cancel)
    with pytest.raises(Cancelled):
        list(read_rows(survey, cancel=cancel))


def test_a_library_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(Unavailable, match="can't be listed"):
        changed_in_library(tmp_path / "none", b"")


def test_a_model_that_vanishes_while_it_is_read_is_reported(library):
    write_model(library, "llm/a/A")
    gone = write_model(library, "llm/b/B")
    survey = changed_in_library(library, b"").survey
    (gone / "metadata.json").unlink()
    rows = [row for batch in read_rows(survey) for row in batch]
    assert [row[0] for row in rows] == ["llm/a/A"]
    assert [problem.reason for problem in survey.problems] == ["it vanished"]


@pytest.mark.parametrize("data", [b"{", b"{}", b"[1]", None, "link", "folder", "fifo"])
def test_a_document_that_makes_no_model_hides_nothing_below_it(library, data):
    for model_id in ("llm/llama/A", "llm/llama/B", "llm/C"):
        write_model(library, model_id)
    path = library / "llm" / "metadata.json"
    if data == "link":
        path.symlink_to("/etc/hostname")
    elif data == "folder":
        (path / "x").mkdir(parents=True)
    elif data == "fifo":
        os.mkfifo(path)
    elif data is not None:
        path.write_bytes(data)
    ids, problems = _read(library)
    assert ids == ["llm/C", "llm/llama/A", "llm/llama/B"]
    is_reported = data not in (None, b"{}", "folder")
    assert ("llm/metadata.json" in problems) is is_reported
