"""Roots, servers and clients for all tests: real files, a real server on a real port."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from support.client import Client
from support.roots import copy_fixture_root

from pumas import PumasApi
from pumas.config import Config
from pumas.jobs import JobPool
from pumas.rpc.server import create_server
from pumas.store.cache import Cache, open_cache

# How long an example takes says how busy the machine is: making the tables of Unicode alone takes seconds then.
settings.register_profile("pumas", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pumas")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With PUMAS_REQUIRE_ALL a skipped test is a failed one: the run must show everything."""
    outcome = yield
    report = outcome.get_result()
    # A container without the right to mount lacks no tool.
    is_exempt = "needs permission to mount" in str(report.longrepr)
    if report.skipped and not is_exempt and os.environ.get("PUMAS_REQUIRE_ALL") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although everything is required: {report.longrepr}"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch, tmp_path_factory):
    """No setting of the machine reaches a test, and no test reaches the user's folders."""
    elsewhere = {known for field in fields(Config) for known in field.metadata.get("known", ())}
    for name in list(os.environ):
        if (name in elsewhere or name.startswith(("PUMAS_", "HF_", "XDG_"))) and name != "PUMAS_REQUIRE_ALL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def fixture_root(tmp_path: Path) -> Path:
    return copy_fixture_root(tmp_path / "root")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """The library folder of a new root; write models into it, then open `library.parents[1]`."""
    folder = tmp_path / "root" / "shared-resources" / "models"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def cache(library: Path) -> Iterator[Cache]:
    """The open cache of `library`."""
    with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
        yield cache


@pytest.fixture
def pool() -> Iterator[JobPool]:
    """One worker for jobs."""
    pool = JobPool(1)
    yield pool
    pool.close(5)


@pytest.fixture
def serve() -> Iterator[Callable[..., Client]]:
    """Start a server in this process on a free port; ended with the test."""
    with ExitStack() as stack:

        def start(root: Path, config: Config | None = None, **options: Any) -> Client:
            api = PumasApi(root, config=config or Config())
            server = create_server(api, config or Config(), host="127.0.0.1", port=0, **options)
            thread = threading.Thread(target=server.serve, name="server")
            thread.start()

            def stop() -> None:
                server.stop()
                thread.join(10)
                assert not thread.is_alive(), "the server did not end"

            stack.callback(stop)
            return Client(server.port)

        yield start
