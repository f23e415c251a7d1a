from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from pumas.errors import Damaged, InvalidInput, Unavailable
from pumas.store.documents import read_document, write_document
from pumas.store.locks import document_lock


def test_the_form_is_the_contracts(tmp_path):
    path = tmp_path / "a.json"
    write_document(path, {"b": "é", "a": [1, 2.5, None]})
    assert path.read_bytes() == '{\n  "b": "é",\n  "a": [\n    1,\n    2.5,\n    null\n  ]\n}'.encode()
    assert read_document(path) == {"b": "é", "a": [1, 2.5, None]}


def test_a_missing_document_is_none(tmp_path):
    assert read_document(tmp_path / "none.json") is None


def test_a_backup_is_made_of_a_document_that_parses_only(tmp_path):
    path = tmp_path / "a.json"
    write_document(path, {"n": 1})
    assert not path.with_name("a.json.bak").exists()
    write_document(path, {"n": 2})
    path.write_text("{damaged")
    write_document(path, {"n": 3})
    assert read_document(path.with_name("a.json.bak")) == {"n": 1}
    assert read_document(path) == {"n": 3}
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.json", "a.json.bak"]


def test_the_mode_is_kept_and_a_link_is_replaced(tmp_path):
    path, target = tmp_path / "a.json", tmp_path / "target.json"
    write_document(path, {})
    path.chmod(0o600)
    write_document(path, {"n": 1})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    target.write_text('{"mine": 1}')
    path.unlink()
    path.symlink_to(target)
    write_document(path, {"n": 2})
    assert not path.is_symlink()
    assert json.loads(target.read_text()) == {"mine": 1}


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": float("inf")}, {"a": "\ud800"}, {"a": object()}])
def test_what_is_not_json_changes_nothing(tmp_path, value):
    path = tmp_path / "a.json"
    write_document(path, {"n": 1})
    with pytest.raises(InvalidInput, match=r"a\.json"):
        write_document(path, value)
    assert read_document(path) == {"n": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    "data", [b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000, b'{"a":1} x', b'"\\ud800"'], ids=range(6)
)
def test_a_damaged_document_is_named(tmp_path, data):
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(Damaged, match=r"a\.json") as caught:
        read_document(path)
    assert caught.value.path == path


def test_a_fifo_a_folder_and_a_huge_file_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(17 * 1024 * 1024)
    with pytest.raises(Damaged, match="not a regular file"):
        read_document(tmp_path / "fifo")
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(Damaged, match="not a regular file"):
            read_document(tmp_path / "folder")
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
    with pytest.raises(Damaged, match="larger than"):
        read_document(tmp_path / "huge")


def test_writing_into_something_that_is_no_folder_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="Writing"):
        write_document(tmp_path / "file" / "a.json", {})


def test_a_lock_keeps_others_out_until_it_is_released(tmp_path):
    order = []

    def write(name: str, held: threading.Event, release: threading.Event) -> None:
        with document_lock(tmp_path / "locks", "some/document.json"):
            order.append(f"{name} in")
            held.set()
            release.wait(10)
            order.append(f"{name} out")

    first_held, first_go, second_held, second_go = (threading.Event() for _ in range(4))
    second_go.set()
    first = threading.Thread(target=write, args=("first", first_held, first_go))
    first.start()
    assert first_held.wait(10)
    second = threading.Thread(target=write, args=("second", second_held, second_go))
    second.start()
    assert not second_held.wait(0.2)
    first_go.set()
    first.join(10)
    second.join(10)
    assert order == ["first in", "first out", "second in", "second out"]
