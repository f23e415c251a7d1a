"""The public API as a typed caller uses it; mypy checks this file, pytest runs it."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from pumas import Config, Job, PumasApi, PumasError
from pumas.models import (
    FileDigests,
    Identity,
    LibraryStatus,
    Model,
    RefreshReport,
    SearchHit,
    SearchPage,
    VerifyReport,
)


def use(api: PumasApi) -> int:
    assert_type(api.list_models(), list[Model])
    job = api.refresh_models()
    assert_type(job, Job[RefreshReport])
    assert_type(job.result(30), RefreshReport)
    assert_type(api.hash_files([Path(__file__)], ["sha256"]), Job[tuple[FileDigests, ...]])
    assert_type(api.verify(is_full=True, budget_s=1), Job[VerifyReport])
    assert_type(api.identify(["model.gguf"]), Job[tuple[Identity, ...]])
    page = api.search_models_fts("llama", limit=1, model_type=["llm"], tags=["gguf"])
    assert_type(page, SearchPage)
    assert_type(page.hits, tuple[SearchHit, ...])
    assert_type(api.get_library_status(), LibraryStatus)
    return page.total_count


def test_a_typed_caller(tmp_path: Path) -> None:
    try:
        with PumasApi(tmp_path, config=Config(offline=True)) as api:
            assert use(api) == 0
    except PumasError as exc:  # what a caller would catch
        raise AssertionError(exc.kind) from exc
