"""`PumasApi` as a user of the library meets it."""

from __future__ import annotations

import threading
from collections import Counter

import psutil
import pytest
from support.roots import write_model

import pumas
from pumas import PumasApi
from pumas.errors import InvalidInput, JobNotFound, ModelNotFound, Unavailable


@pytest.fixture
def api(library):
    for n in range(3):
        write_model(library, f"llm/llama/M{n}", tags=["gguf"], size_bytes=10 * n)
    with PumasApi(library.parents[1]) as api:
        api.refresh_models().result(30)
        yield api


def test_list_get_and_search(api):
    assert [model.model_id for model in api.list_models()] == ["llm/llama/M0", "llm/llama/M1", "llm/llama/M2"]
    hit = api.get_model("llm/llama/M1")
    assert (hit.model.size_bytes, hit.model.tags, hit.model.primary_file) == (10, ("gguf",), "M1.gguf")
    page = api.search_models_fts("llama", limit=2)
    assert (len(page.hits), page.total_count, page.query) == (2, 3, "llama*")
    assert api.search_models_fts("", model_type=["nope", "llm"]).total_count == 3
    with pytest.raises(ModelNotFound):
        api.get_model("llm/llama/M9")
    for bad in ({"limit": -1}, {"limit": 10_001}, {"offset": -1}):
        with pytest.raises(InvalidInput, match=next(iter(bad))):
            api.search_models_fts("llama", **bad)


def test_a_refresh_sees_what_changed_on_disk(api, library):
    write_model(library, "llm/llama/New", description="fresh")
    (library / "llm/llama/M0/metadata.json").unlink()
    write_model(library, "llm/llama/M1", description="changed")
    report = api.refresh_models().result(30)
    assert (report.added, report.changed, report.removed, report.model_count) == (1, 1, 1, 3)
    assert [hit.model.model_id for hit in api.search_models_fts("fresh changed").hits] == [
        "llm/llama/M1",
        "llm/llama/New",
    ]
    assert api.refresh_models().result(30).added == 0


def test_a_rebuild_makes_everything_again(api, library):
    report = api.rebuild_index().result(30)
    assert report.added == 3
    assert api.search_models_fts("llama").total_count == 3
    for n in range(3):
        (library / f"llm/llama/M{n}/metadata.json").unlink()
    assert api.rebuild_index().result(30).model_count == 0
    assert api.list_models() == []
    assert api.search_models_fts("llama").total_count == 0


def test_jobs_can_be_asked_for(api):
    job = api.refresh_models()
    job.result(30)
    assert api.get_job(job.job_id).status == "completed"
    assert job.job_id in {snapshot.job_id for snapshot in api.list_jobs()}
    assert api.cancel_job(job.job_id) is False
    with pytest.raises(JobNotFound):
        api.get_job("nope")
    with pytest.raises(JobNotFound):
        api.cancel_job("nope")


def test_many_short_threads_may_use_one_api(api):
    failures = []

    def search() -> None:
        try:
            assert api.search_models_fts("llama").total_count == 3
        except Exception as exc:
            failures.append(exc)

    for _ in range(30):
        threads = [threading.Thread(target=search) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert failures == []
    open_files = [one.path for one in psutil.Process().open_files() if one.path.endswith("models.db")]
    assert len(open_files) <= 8, "connections that nobody uses are closed"


def test_closing_while_others_search_ends_nothing_but_their_searches(library):
    for n in range(300):
        write_model(library, f"llm/f{n % 7}/M{n}", description="many words " * 20)
    api = PumasApi(library.parents[1])
    api.refresh_models().result(30)
    problems: list[Exception] = []

    def search() -> None:
        try:
            while True:
                api.search_models_fts("m a w l", limit=300)
        except Exception as exc:
            problems.append(exc)

    threads = [threading.Thread(target=search) for _ in range(6)]
    for thread in threads:
        thread.start()
    assert api.search_models_fts("m").total_count == 300
    api.close()
    for thread in threads:
        thread.join(10)
    assert [type(exc) for exc in problems] == [Unavailable] * 6
    assert not (library / "models.db-wal").exists()


def test_samples_only_in_a_new_root_of_the_users_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with PumasApi(with_samples=True) as api:
        for job in api._root.jobs.jobs():
            job.result(30)
        assert len(api.list_models()) == 4
        assert api.search_models_fts("sample llama").hits[0].model.family == "llama"
        assert api.root.root.is_relative_to(tmp_path / "home")
    for path in api.library.glob("*/*/*/metadata.json"):
        path.unlink()
    with PumasApi(with_samples=True) as api:
        assert api.refresh_models().result(30).model_count == 0
    with PumasApi(tmp_path / "named", with_samples=True) as api:
        assert api.refresh_models().result(30).model_count == 0


def test_the_samples_are_what_they_seem(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with PumasApi(with_samples=True) as api:
        files = sorted(api.library.rglob("sample-*"))
    assert {path.suffix for path in files} == {".gguf", ".safetensors"}
    for path in files:
        data = path.read_bytes()
        header = int.from_bytes(data[:8], "little")
        assert data[:4] == b"GGUF" if path.suffix == ".gguf" else data[8 : 8 + header].decode().startswith("{")


def test_the_public_face():
    assert set(dir(pumas)) >= {"PumasApi", "PumasError", "Config", "Job", "__version__"}
    assert pumas.Job.__name__ == "Job"
    with pytest.raises(AttributeError, match="nope"):
        pumas.nope  # noqa: B018 - the access is what is tested


def test_no_group_of_operations_takes_a_method_from_another():
    """They are composed: a method that two of them define would be one of the two for all, whichever comes first."""
    groups = [group for group in PumasApi.__mro__[1:-1] if group.__module__.startswith("pumas.api.")]
    defined = Counter(name for group in groups for name in vars(group) if callable(vars(group)[name]))
    assert len(groups) > 5
    assert [name for name, count in defined.items() if count > 1] == []
