"""`import_model` and `import_batch` as the desktop app calls them."""

from __future__ import annotations

import json

import pytest
from support.headers import Gguf

from pumas import PumasApi
from pumas.rpc.dispatch import handle
from pumas.rpc.session import Session

LLAMA = Gguf().file([("general.architecture", "string", "llama")])


def test_import_model_moves_and_is_listed_at_once(serve, library, tmp_path):
    client = serve(library.parents[1])
    path = tmp_path / "a.gguf"
    path.write_bytes(LLAMA)
    given = {"local_path": str(path), "family": "imported", "official_name": "My Model", "repo_id": None}
    answer = client.call("import_model", given)
    assert answer == {"success": True, "model_path": str(library / "llm/llama/MyModel")}
    assert not path.exists()
    assert list(client.call("get_models")["models"]) == ["llm/llama/MyModel"]
    assert client.call("import_model", given) == {"success": False, "error": f"Local path not found: {path}"}


def test_what_is_no_model_stays(serve, library, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("hello")
    answer = serve(library.parents[1]).call(
        "import_model", {"local_path": str(path), "family": "x", "official_name": "A"}
    )
    assert answer["success"] is False
    assert "is no file of a known model format" in answer["error"]
    assert path.exists()


@pytest.mark.parametrize(
    ("specs", "told"),
    [
        ("x", "`import_specs` must be a list of objects, but a text came"),
        (["x"], "`import_specs` must be a list of objects"),
        ([{"path": "a"}, {"path": 1}], "`import_specs[1].path` must be text or null, but a number came"),
        ([{"path": "a", "tags": "x"}], "`import_specs[0].tags` must be a list of text or null, but a text came"),
    ],
)
def test_a_bad_spec_is_named_and_nothing_is_imported(specs, told, serve, library, tmp_path):
    error = serve(library.parents[1]).error("import_batch", {"import_specs": specs})
    assert error["code"] == -32602
    assert told in error["message"]


def test_a_long_import_is_a_job_that_tells_of_its_files(library, tmp_path):
    path = tmp_path / "a.gguf"
    path.write_bytes(LLAMA)
    with PumasApi(library.parents[1]) as api:
        session = Session(api, job_wait_s=0.0)
        given = {"local_path": str(path), "family": "x", "official_name": "A"}
        answer = _answer(session, "import_model", given)
        assert answer["status"] == "running"
        api._root.jobs.job(answer["job_id"]).result()
        job = _answer(session, "get_job", {"job_id": answer["job_id"]})["job"]
    assert (job["status"], job["kind"], job["files"]) == ("completed", "import", [])
    assert (library / "llm/x/A/a.gguf").exists()


def _answer(session, method, params):
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    text = handle(json.dumps(request).encode(), session)
    return json.loads(b"".join(getattr(text, "pieces", [text])))["result"]
