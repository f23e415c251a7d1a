"""Bodies → answers, over a real open root."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.roots import write_model

from pumas import PumasApi
from pumas.rpc.dispatch import handle
from pumas.rpc.pieced import PiecedText
from pumas.rpc.session import Session


@pytest.fixture
def session(library):
    write_model(library, "llm/llama/A")
    with PumasApi(library.parents[1]) as api:
        api.refresh_models().result(30)
        yield Session(api)


def _answer(session, request):
    body = _text(json.dumps(request).encode(), session)
    return json.loads(body) if body else None


def _text(body, session):
    answer = handle(body, session)
    return b"".join(answer.pieces) if isinstance(answer, PiecedText) else answer or b""


def test_a_list_from_ready_bytes_is_the_same_text_alone_and_in_a_batch(session):
    listing = {"jsonrpc": "2.0", "id": "ü", "method": "get_models"}
    made = _answer(session, listing)
    session.api.prepare_answers()
    for job in session.api._root.jobs.jobs():
        job.result(30)
    alone = handle(json.dumps(listing).encode(), session)
    assert isinstance(alone, PiecedText)
    assert json.loads(b"".join(alone.pieces)) == made
    assert _answer(session, [listing, {"jsonrpc": "2.0", "id": 2, "method": "get_models"}]) == [made, {**made, "id": 2}]


@given(st.lists(st.binary(max_size=9)), st.lists(st.tuples(st.integers(-5, 90), st.integers(-1, 20))))
def test_pieces_read_like_the_file_of_the_joined_text(pieces, reads):
    ours, file = PiecedText(pieces), io.BytesIO(b"".join(pieces))
    assert ours.seek(0, os.SEEK_END) == file.seek(0, os.SEEK_END)
    assert ours.read() == b""
    for start, size in reads:
        assert ours.seek(max(0, start)) == file.seek(max(0, start))
        found = ours.read(size)
        assert found == file.read(len(found))
        assert bool(found) == bool(size and file.tell() - len(found) < len(file.getvalue()))
        assert ours.tell() == file.tell()


def test_a_batch_answers_in_order_without_its_notifications(session):
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "health_check"},
        {"jsonrpc": "2.0", "method": "health_check"},
        5,
        {"jsonrpc": "2.0", "id": "x", "method": "nope"},
    ]
    answers = _answer(session, batch)
    assert [answer["id"] for answer in answers] == [1, None, "x"]
    assert [answer.get("error", {}).get("code") for answer in answers] == [None, -32600, -32601]
    assert _answer(session, [{"jsonrpc": "2.0", "method": "health_check"}]) is None


def test_a_large_batch_is_refused(session):
    request = {"jsonrpc": "2.0", "id": 1, "method": "health_check"}
    assert len(_answer(session, [request] * 100)) == 100
    assert _answer(session, [request] * 101)["error"]["code"] == -32600


def test_a_notification_is_carried_out_and_never_answered(session):
    overrides = {"rel_path": "llm/llama/A", "overrides": {"x": 1}}
    assert _answer(session, {"method": "update_model_overrides", "params": overrides}) is None
    assert session.api.get_model_overrides("llm/llama/A") == {"x": 1}
    assert _answer(session, {"method": "no_such_method"}) is None
    assert _answer(session, {"method": "search_models_fts", "params": {}}) is None


@pytest.mark.parametrize("depth", [2_000, 1_000_000])
def test_a_deep_body_is_a_parse_error(session, depth):
    body = b'{"id":1,"method":"health_check","params":' + b"[" * depth + b"]" * depth + b"}"
    assert json.loads(_text(body, session))["error"]["code"] == -32700


@pytest.mark.parametrize("text", ['{"id":1,"method":"\\ud800"}', '{"a":Infinity}', "\ufeff{}", "[1,", "'a'", "nul"])
def test_what_is_not_json_is_a_parse_error(session, text):
    answer = json.loads(_text(text.encode(), session))
    assert answer["error"]["code"] == -32700
    assert answer["id"] is None


def test_a_fault_inside_gives_an_id_that_the_log_has_too(session, caplog):
    session.api = None  # no method can work like this
    answer = _answer(session, {"id": 1, "method": "get_disk_space"})
    error_id = answer["error"]["data"]["error_id"]
    assert answer["error"]["code"] == -32603
    assert error_id in answer["error"]["message"]
    assert "NoneType" not in json.dumps(answer)
    assert error_id in caplog.text
    assert "NoneType" in caplog.text


def test_a_call_that_takes_too_long_goes_on_as_a_job(session, library):
    session.job_wait_s = 0.05
    write_model(library, "llm/llama/B")
    with closing(sqlite3.connect(library / "models.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the refresh has to wait for this writer
        answer = _answer(session, {"id": 1, "method": "refresh_model_index"})["result"]
        assert answer["success"] is True
        assert answer["status"] == "running"
        listed = _answer(session, {"id": 1, "method": "get_models"})["result"]
        assert list(listed["models"]) == ["llm/llama/A"], "the list is answered at once, as the index knows it"
        assert _answer(session, {"id": 1, "method": "get_library_status"})["result"]["indexing"] is True
        other.execute("ROLLBACK")
    session.api._root.jobs.job(answer["job_id"]).result(30)
    job = _answer(session, {"id": 1, "method": "get_job", "params": [answer["job_id"]]})["result"]["job"]
    assert job["status"] == "completed"
    assert answer["job_id"] in {
        one["job_id"] for one in _answer(session, {"id": 1, "method": "list_jobs"})["result"]["jobs"]
    }
    assert (
        _answer(session, {"id": 1, "method": "cancel_job", "params": [answer["job_id"]]})["result"]["success"] is False
    )


def test_the_calls_of_a_batch_are_not_waited_for_one_after_another(session, library):
    session.job_wait_s = 0.3
    write_model(library, "llm/llama/B")
    with closing(sqlite3.connect(library / "models.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        answers = _answer(session, [{"id": n, "method": "refresh_model_index"} for n in range(10)])
        assert time.monotonic() - begun < 2
        other.execute("ROLLBACK")
    assert {answer["result"]["status"] for answer in answers} == {"running"}


def test_long_calls_never_hold_all_threads(session, library):
    session.long_calls = threading.BoundedSemaphore(1)
    session.long_calls.acquire()
    write_model(library, "llm/llama/B")
    answer = _answer(session, {"id": 1, "method": "refresh_model_index"})["result"]
    assert answer["status"] == "running"


def test_an_unknown_job_is_a_failure_with_a_sentence(session):
    answer = _answer(session, {"id": 1, "method": "get_job", "params": {"job_id": "nope"}})
    assert answer["result"] == {"success": False, "error": "Job not found"}
