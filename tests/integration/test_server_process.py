"""Start, life and end of a real server process, as the desktop app's bridge sees them (`client.md`)."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
from support.client import Client
from support.process import read_port, server_process, start_process
from support.roots import write_model


@contextmanager
def _slow_call(client: Client, library):
    """A call that can't end: another writer holds the index while a model has changed."""
    write_model(library, f"llm/slow/{time.monotonic_ns()}")
    answers = []
    with closing(sqlite3.connect(library / "models.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        def call() -> None:
            try:
                answers.append(client.call("refresh_model_index"))
            except (OSError, http.client.HTTPException, AssertionError) as exc:
                answers.append(exc)

        caller = threading.Thread(target=call)
        caller.start()
        while not client.call("get_library_status")["indexing"]:
            pass
        try:
            yield answers
        finally:
            other.execute("ROLLBACK")
            caller.join(20)


@pytest.fixture
def root(library):
    write_model(library, "llm/llama/A")
    return library.parents[1]


def test_the_port_line_is_the_only_output_and_the_end_is_clean(root):
    with server_process(root) as (process, client):
        assert client.call("health_check") == {"status": "ok"}
        assert list(client.call("get_models")["models"]) == ["llm/llama/A"]
        begun = time.monotonic()
        assert client.call("shutdown") == {"status": "shutting_down"}
        assert process.wait(5) == 0
        assert time.monotonic() - begun < 1
        assert process.stdout.read() == ""
        assert process.stderr.read() == ""
    assert (root / "launcher-data/logs/launcher.log").read_text().count("Logging initialized: file=") == 1
    assert not (root / "shared-resources/models/models.db-wal").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_within_a_second_also_during_a_long_call(root, library, number):
    with server_process(root) as (process, client):
        client.call("get_models")
        with _slow_call(client, library):
            begun = time.monotonic()
            process.send_signal(number)
            assert process.wait(5) == 0
            assert time.monotonic() - begun < 1


def test_shutdown_is_answered_and_acted_on_during_a_long_call(root, library):
    with server_process(root) as (process, client):
        client.call("get_models")
        with _slow_call(client, library):
            begun = time.monotonic()
            assert client.call("shutdown") == {"status": "shutting_down"}
            assert process.wait(5) == 0
            assert time.monotonic() - begun < 1
    with server_process(root) as (_, client):
        client.call("refresh_model_index")
        assert len(client.call("get_models")["models"]) == 2


def test_killed_and_restarted_on_the_same_port_and_root(root):
    with server_process(root) as (process, client):
        client.call("get_models")
        keep = socket.create_connection(("127.0.0.1", client.port))
        for _ in range(3):
            process.kill()
            process.wait(5)
            again = start_process(root, port=client.port)
            try:
                assert read_port(again) == client.port
                assert list(client.call("get_models")["models"]) == ["llm/llama/A"]
            finally:
                again.kill()
                again.communicate()
        keep.close()


def test_quick_calls_are_answered_while_slow_ones_run(root, library):
    with server_process(root) as (_, client):
        client.call("get_models")
        with ThreadPoolExecutor(30) as pool, _slow_call(client, library):
            slow = [pool.submit(client.call, "get_models") for _ in range(20)]
            for _ in range(20):
                begun = time.monotonic()
                assert client.call("health_check") == {"status": "ok"}
                assert time.monotonic() - begun < 1
        assert all(one.result()["success"] for one in slow)


def test_thirty_calls_at_once(root):
    with server_process(root) as (_, client), ThreadPoolExecutor(30) as pool:
        methods = ["get_status", "get_models", "get_system_resources", "get_disk_space", "health_check"] * 6
        answers = list(pool.map(client.call, methods))
        assert all(answer.get("success", True) for answer in answers)


def test_a_connection_is_kept_and_a_large_parameter_is_taken(root):
    with server_process(root) as (_, client):
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)
        with closing(connection):
            for size in (1, 2_000_000, 1):
                request = {"id": 1, "method": "get_model_overrides", "params": {"rel_path": "x" * size}}
                connection.request("POST", "/rpc", json.dumps(request), {"Content-Type": "application/json"})
                answer = json.loads(connection.getresponse().read())
                assert answer["result"] == {"success": True, "overrides": {}}
                assert connection.sock is not None, "the server closed the connection"


def test_a_port_in_use_is_one_line_and_code_2(root):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        process = start_process(root, port=port)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (2, "")
    assert errors.count("\n") == 1
    assert f"Port {port} " in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "--allow-remote"),
        (["--host", "0.0.0.0", "--allow-remote"], "PUMAS_TOKEN"),
        (["--host", "no.such.host.invalid"], "reached by other machines"),
        (["--port", "70000"], "not 70000"),
        (["--port", "-1"], "not -1"),
        (["--launcher-root", __file__], "not a folder"),
        (["--launcher-root", ""], "empty"),
    ],
)
def test_arguments_that_cannot_be_used(root, arguments, message):
    process = start_process(root, *arguments)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (2, "")
    assert message in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--host", "0.0.0.0"]])
def test_an_address_that_cannot_be_used_makes_no_root(tmp_path, arguments):
    process = start_process(tmp_path / "new", *arguments)
    process.communicate(timeout=20)
    assert process.returncode == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start_ends_it_cleanly(tmp_path, number):
    process = start_process(tmp_path / "new")
    while not (tmp_path / "new").exists():
        assert process.poll() is None
    # The root is being opened; the port line is still to come.
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")


def test_off_loopback_needs_flag_and_token(root):
    env = {**os.environ, "PUMAS_TOKEN": "s3cret"}
    process = start_process(root, "--host", "0.0.0.0", "--allow-remote", env=env)
    try:
        client = Client(read_port(process))
        body = json.dumps({"id": 1, "method": "health_check"})
        assert client.post(body).status == 401
        assert client.post(body, Authorization="Bearer wrong").status == 401
        assert client.post(body, Authorization="Bearer s3cret").json["result"] == {"status": "ok"}
    finally:
        process.kill()
        process.communicate()
    assert "s3cret" not in (root / "launcher-data/logs/launcher.log").read_text()


def test_stdin_is_never_read(root):
    process: Any = subprocess.Popen(
        [sys.executable, "-m", "pumas.rpc", "--launcher-root", str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        client = Client(read_port(process))
        process.stdin.write("shutdown\n" * 1000)
        process.stdin.flush()
        assert client.call("health_check") == {"status": "ok"}
        client.call("shutdown")
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.communicate()


def test_debug_shows_the_log_on_standard_error_and_never_on_standard_output(root):
    with server_process(root, "--debug") as (process, client):
        client.call("get_models")
        client.call("shutdown")
        process.wait(5)
        assert process.stdout.read() == ""
        assert "INFO: Logging initialized" in process.stderr.read()


def test_what_is_imported_before_the_port_line(root):
    """Slow or needless modules would delay the start; the list is the whole of what is allowed beside Python's own."""
    code = (
        "import sys\n"
        "import pumas.rpc.__main__ as m\n"
        "from pumas.rpc.server import Server\n"
        "Server.serve = lambda self: self.api.close()\n"
        f"m.main(['--launcher-root', {str(root)!r}])\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "print(' '.join(sorted(tops - set(sys.stdlib_module_names))))\n"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names = set(output.splitlines()[-1].split())
    allowed = {"falcon", "lmdb", "msgspec", "pumas", "pumas_native", "waitress", "xxhash"}
    of_them = {"typing_extensions", "cython_runtime"}  # falcon's own
    of_the_tests = {"coverage", "a1_coverage", "tomli"}
    assert {name for name in names if not name.startswith(("_", "$"))} <= allowed | of_them | of_the_tests
    assert not names & {"numpy", "httpx", "pynvml", "psutil", "huggingface_hub", "typer", "rich", "filelock"}


def test_importing_pumas_loads_next_to_nothing():
    code = "import sys; before = set(sys.modules); import pumas; print(*sorted(set(sys.modules) - before))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    tops = {name.partition(".")[0] for name in output.split()} - {"pumas", "__future__"}
    assert tops <= {
        "typing",
        "_typing",
        "re",
        "copyreg",
        "functools",
        "contextlib",
        "collections",
        "_collections",
        "enum",
        "keyword",
        "operator",
        "reprlib",
        "types",
        "_functools",
        "_operator",
        "_sre",
    }


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", "2>&-"])
def test_an_output_that_takes_nothing_is_no_traceback(root, redirection):
    command = f'exec "$0" -m pumas.rpc --launcher-root "$1" {redirection}'
    process = subprocess.Popen(
        ["sh", "-c", command, sys.executable, str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    if redirection == ">/dev/full":
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 6
        assert "port line" in errors
        assert errors.count("\n") == 1
        return
    log = root / "launcher-data/logs/launcher.log"
    deadline = time.monotonic() + 20
    while not (log.exists() and "serving" in log.read_text()):
        assert time.monotonic() < deadline
    process.terminate()
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")


def test_memory_does_not_grow_with_the_number_of_calls(root):
    psutil = pytest.importorskip("psutil")
    with server_process(root) as (process, client):
        methods = ("health_check", "get_status", "get_models", "get_library_status")

        def calls(count: int) -> int:
            for n in range(count):
                client.call(methods[n % len(methods)])
                client.call("search_models_fts", {"query": "llama"})
            return int(psutil.Process(process.pid).memory_info().rss)

        before = calls(300)
        files = psutil.Process(process.pid).num_fds()
        assert calls(600) - before < 8 * 2**20
        # Each of the server's threads opens the index once: the file, its log, its shared memory.
        assert psutil.Process(process.pid).num_fds() <= files + 3 * 32
