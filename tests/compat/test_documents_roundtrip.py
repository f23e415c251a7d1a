"""Every document of the root that the original wrote, read and written by us, is the same to the byte."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from support.cases import DATA

from pumas.library.survey import changed_in_library
from pumas.store.documents import read_document, write_document
from pumas.store.metadata import METADATA, OVERRIDES, Document, find_documents, load, locate, save, update
from pumas.store.paths import Layout
from pumas.store.times import format_time, parse_time

_RECORDED = Layout(DATA / "fixtures" / "launcher-root-py" / "root")
_OF_MODELS = [
    locate(_RECORDED, kind, model_id)
    for model_id in sorted(changed_in_library(_RECORDED.library, b"").survey.model_ids)
    for kind in (METADATA, OVERRIDES)
]
_DOCUMENTS: list[Document[Any]] = [*find_documents(_RECORDED), *_OF_MODELS]


def test_no_document_is_left_out():
    found = {one.path for one in _DOCUMENTS}
    assert found == {
        *_RECORDED.data.rglob("*.json"),
        *_RECORDED.library.rglob("metadata.json"),
        *_RECORDED.library.rglob("overrides.json"),
    }
    assert len(found) == 16 + 2 * 36


@pytest.mark.parametrize("recorded", _DOCUMENTS, ids=lambda one: one.lock_name)
def test_a_document_survives_to_the_byte(recorded, tmp_path):
    path = tmp_path / recorded.path.name
    document = Document(recorded.kind, path, tmp_path / "locks", recorded.lock_name)
    shutil.copy2(recorded.path, path)
    before = path.read_bytes()
    save(document, load(document))
    assert path.read_bytes() == before
    update(document, lambda value: value)
    assert path.read_bytes() == before
    path.unlink()
    save(document, json.loads(before))
    assert path.read_bytes() == before


@pytest.mark.parametrize("backup", sorted(_RECORDED.root.rglob("*.json.bak")), ids=lambda path: str(path)[-60:])
def test_a_backup_is_a_document(backup, tmp_path):
    value = read_document(backup)
    assert value is not None
    write_document(tmp_path / "a.json", value)
    assert (tmp_path / "a.json").read_bytes() == backup.read_bytes()


def _times(value, names=("_at", "Date", "_date", "Fetched", "Checked", "_updated")):
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str) and name.endswith(names) and name != "release_date" and inner:
                yield inner
            yield from _times(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _times(inner)


@pytest.mark.parametrize("recorded", _DOCUMENTS, ids=lambda one: one.lock_name)
def test_times_keep_their_form(recorded):
    value = dict(load(recorded))
    value.pop("releases", None)  # as GitHub wrote them
    for text in _times(value):
        moment = parse_time(text, recorded.times)
        assert moment is not None
        assert format_time(moment, recorded.times) == text
