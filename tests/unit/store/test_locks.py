from __future__ import annotations

import re
import threading

import pytest

from pumas.errors import Unavailable
from pumas.store.locks import document_lock


def test_locks_are_few_files_and_one_at_a_time(tmp_path):
    for n in range(600):
        with document_lock(tmp_path, f"llm/llama/M{n}/metadata.json"):
            pass
    names = {one.name for one in tmp_path.iterdir()}
    assert 200 < len(names) <= 256
    assert all(re.fullmatch(r"[0-9a-f]{2}\.lock", name) for name in names)
    with (
        document_lock(tmp_path, "a.json"),
        pytest.raises(RuntimeError, match="one document at a time"),
        document_lock(tmp_path, "b.json"),
    ):
        pass
    with document_lock(tmp_path, "b.json"):
        pass


def test_a_lock_that_can_not_be_taken_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="is not a folder; move it away"), document_lock(tmp_path / "file", "a.json"):
        pass


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


def test_what_lies_in_the_place_of_a_lock_is_named(tmp_path):
    with document_lock(tmp_path, "a.json"):
        pass
    [lock] = tmp_path.iterdir()
    lock.unlink()
    lock.mkdir()
    with pytest.raises(Unavailable, match="move it away") as caught, document_lock(tmp_path, "a.json"):
        pass
    assert str(lock) in str(caught.value)
