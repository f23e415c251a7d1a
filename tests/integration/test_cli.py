"""The command line as a user meets it: most cases in this process, those about the process itself in a child."""

from __future__ import annotations

import io
import json
import os
import platform
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.client import Client
from support.roots import write_model

from pumas import __version__
from pumas.cli import main

LLAMA = "llm/llama/Llama-3.1-8B"
SDXL = "diffusion/sdxl/SDXL-Base"


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def root(library: Path) -> Path:
    """A root with two models and no index yet."""
    write_model(
        library,
        LLAMA,
        official_name="Llama 3.1 8B",
        tags=["chat", "gguf"],
        size_bytes=5 * 1024**3,
        added_date="2024-07-23T10:00:00Z",
    )
    write_model(library, SDXL, official_name="SDXL Base", subtype="checkpoints", tags=["image"])
    return library.parents[1]


@pytest.fixture
def pumas(root: Path, capfd):
    """Run a command on the root in this process."""

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--root", str(root)])
        return Result(int(ended.value.code or 0), *capfd.readouterr())

    return run


def child(*arguments: object, **options) -> Any:
    command = [sys.executable, "-m", "pumas", *map(str, arguments)]
    # A group of its own, as a shell would give it.
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0, **options
    )


def run_child(*arguments: object, **options) -> Result:
    with child(*arguments, **options) as process:
        out, err = process.communicate(timeout=60)
    return Result(process.returncode, out, err)


# ------------------------------------------------------------------------------------------------ list, show, search


def test_list_shows_models_that_were_never_indexed(pumas):
    result = pumas("list")
    assert result.code == 0
    head, sdxl, llama = result.out.splitlines()
    assert head.split() == ["ID", "NAME", "TYPE", "FAMILY", "SIZE", "ADDED"]
    assert sdxl.split() == [SDXL, "SDXL", "Base", "diffusion/checkpoints", "sdxl", "4", "B", "-"]
    assert llama.split() == [LLAMA, "Llama", "3.1", "8B", "llm", "llama", "5.0", "GiB", "2024-07-23"]
    assert head.index("TYPE") == sdxl.index("diffusion/ch") == llama.index("llm  ")
    assert result.err == ""


def test_list_json_has_the_fields_of_the_record(pumas):
    result = pumas("list", "--json")
    assert result.code == 0
    assert result.out.endswith("\n")
    sdxl, llama = result.json
    assert (sdxl["model_id"], llama["model_id"]) == (SDXL, LLAMA)
    assert llama["official_name"] == "Llama 3.1 8B"
    assert llama["size_bytes"] == 5 * 1024**3
    assert llama["tags"] == ["chat", "gguf"]
    assert llama["primary_file"] == "Llama-3.1-8B.gguf"


def test_list_takes_up_what_changed_since(pumas, library):
    assert len(pumas("list", "--json").json) == 2
    write_model(library, "audio/whisper/whisper-tiny")
    assert [model["model_id"] for model in pumas("list", "--json").json] == [
        "audio/whisper/whisper-tiny",
        SDXL,
        LLAMA,
    ]


def test_list_narrows_to_a_type(pumas):
    assert [model["model_id"] for model in pumas("list", "--json", "--type", "llm").json] == [LLAMA]
    both = pumas("list", "--json", "--type", "llm", "--type", "diffusion").json
    assert len(both) == 2


def test_list_says_what_a_limit_left_out(pumas):
    result = pumas("list", "--limit", 1)
    assert SDXL in result.out
    assert LLAMA not in result.out
    assert result.err == "1 of 2 models\n"
    assert len(pumas("list", "--limit", 1, "--json").json) == 1


def test_list_of_an_empty_library_says_where_it_looked(tmp_path, capfd):
    with pytest.raises(SystemExit) as ended:
        main(["list", "--root", str(tmp_path / "new")])
    assert ended.value.code == 0
    assert str(tmp_path / "new" / "shared-resources" / "models") in capfd.readouterr().err


def test_list_warns_of_a_document_that_cannot_be_used(pumas, library):
    (library / LLAMA / "metadata.json").write_text("{")
    result = pumas("list")
    assert result.code == 0
    assert LLAMA not in result.out
    assert result.err.startswith("WARNING: ")
    assert f"{LLAMA}/metadata.json" in result.err


def test_text_of_models_cannot_reach_the_terminal(pumas, library):
    evil = "\x1b[31mred\x1b[0m [bold]b[/bold] :smile: \u202egpj.exe\x9b2J\nx"
    write_model(library, "llm/evil/one", official_name=evil, family="[/]", description=evil, tags=[evil])
    for arguments in (["list"], ["show", "llm/evil/one"], ["search", "evil"]):
        result = pumas(*arguments)
        assert result.code == 0
        assert "[31mred[0m [bold]b[/bold] :smile: gpj.exe2J x" in result.out
        assert not {"\x1b", "\x9b", "\u202e"} & set(result.out)
    assert evil in {model["official_name"] for model in pumas("list", "--json").json}


def test_ids_are_never_cut(pumas, library):
    long = f"llm/{'f' * 120}/{'n' * 120}"
    write_model(library, long)
    assert long in pumas("list").out
    assert long in pumas("search", "n").out


def test_show_tells_facts_and_document(pumas):
    result = pumas("show", LLAMA)
    assert result.code == 0
    facts, document = result.out.split("\n\n", 1)
    told = dict(line.split("  ", 1) for line in facts.splitlines())
    assert told["Id"].strip() == LLAMA
    assert told["Size"].strip() == "5.0 GiB"
    assert told["Tags"].strip() == "chat, gguf"
    assert json.loads(document)["official_name"] == "Llama 3.1 8B"


def test_show_json_is_the_model_and_its_row(pumas):
    shown = pumas("show", LLAMA, "--json").json
    assert shown["model"]["model_id"] == LLAMA
    assert json.loads(shown["metadata_json"])["size_bytes"] == 5 * 1024**3


def test_show_of_an_unknown_model_exits_with_3(root):
    result = run_child("show", "llm/none/x", "--root", root)
    assert (result.code, result.out) == (3, "")
    assert result.err == "pumas: There is no model llm/none/x; `pumas list` shows the ids of all\n"


def test_search_finds_on_first_use(pumas):
    result = pumas("search", "lla")
    assert result.code == 0
    assert LLAMA in result.out
    assert SDXL not in result.out
    assert result.err == "1 of 1 hit\n"


def test_search_narrows_and_pages(pumas):
    def ids(*arguments):
        page = pumas("search", "--json", *arguments).json
        return page["total_count"], [hit["model"]["model_id"] for hit in page["hits"]]

    assert ids("llama", "sdxl")[0] == 2
    assert ids("llama", "sdxl", "--type", "diffusion") == (1, [SDXL])
    assert ids("", "--tag", "CHAT", "--tag", "gguf") == (1, [LLAMA])
    first, second = ids("", "--limit", "1"), ids("", "--limit", "1", "--offset", "1")
    assert first[0] == second[0] == 2
    assert {*first[1], *second[1]} == {LLAMA, SDXL}


def test_search_refuses_a_limit_out_of_range(pumas):
    result = pumas("search", "x", "--limit", "-1")
    assert (result.code, result.out) == (2, "")
    assert result.err == "pumas: `limit` must be a whole number from 0 to 10000, not -1\n"


# -------------------------------------------------------------------------------------------- index, status, version


def test_rebuild_tells_counts_and_problems(pumas, library):
    (library / SDXL / "metadata.json").write_text("{")
    result = pumas("index", "rebuild")
    assert result.code == 0
    first, second, third = result.out.splitlines()
    assert first.startswith("Indexed 1 model in ")
    assert second == "1 problem:"
    assert third.startswith(f"  {SDXL}/metadata.json: ")
    assert result.err == ""


def test_rebuild_json_is_the_report(pumas):
    report = pumas("index", "rebuild", "--json").json
    assert report["model_count"] == report["added"] == 2
    assert report["problems"] == []


def test_rebuild_repairs_an_index_that_tells_wrong_things(pumas, library):
    pumas("list")
    with closing(sqlite3.connect(library / "models.db")) as db, db:
        db.execute("UPDATE models SET cleaned_name = 'wrong', tags_json = '[]'")
    assert pumas("search", "--json", "", "--tag", "chat").json["total_count"] == 0
    assert pumas("index", "rebuild").code == 0
    assert pumas("search", "--json", "", "--tag", "chat").json["total_count"] == 1


def test_interrupted_rebuild_leaves_the_index_as_it_was(root, library):
    assert run_child("list", "--root", root).code == 0
    with closing(sqlite3.connect(library / "models.db", isolation_level=None)) as db:
        before = db.execute("SELECT * FROM models ORDER BY id").fetchall()
        db.execute("BEGIN IMMEDIATE")  # the rebuild has to wait for us, so it can't be done too soon
        with child("index", "rebuild", "--root", root) as process:
            assert process.stderr.readline() == "Reading documents: 0 of 2\n"
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (130, "")
        assert err == "pumas: Interrupted; what was not finished was undone\n"
        db.execute("ROLLBACK")
        assert db.execute("SELECT * FROM models ORDER BY id").fetchall() == before


def test_status_tells_root_library_and_machine(pumas, root):
    result = pumas("status")
    assert result.code == 0
    told = dict(line.split("  ", 1) for line in result.out.splitlines())
    assert told["Root"].strip() == str(root)
    assert told["Writable"].strip() == "yes"
    assert told["Models"].strip() == "2"
    assert told["ComfyUI"].strip() == "no version is installed"
    assert told["Network"].strip() == "asked when needed"
    assert " free of " in told["Disk"]
    assert told["Memory"].strip().endswith("iB")


def test_status_json_has_the_records(pumas, root):
    told = pumas("status", "--json").json
    assert told["root"] == {"root": str(root), "is_writable": True}
    assert told["library"]["model_count"] == 2
    assert told["status"]["active_version"] is None
    assert told["network"]["is_offline"] is False
    assert told["disk"]["total_bytes"] > 0
    assert told["resources"]["ram_total_bytes"] > 0


def test_status_of_a_recorded_root_names_the_active_version(fixture_root, capfd):
    with pytest.raises(SystemExit):
        main(["status", "--root", str(fixture_root)])
    assert "v0.5.1" in capfd.readouterr().out


def test_version_names_every_part(pumas):
    told = pumas("version", "--json").json
    assert told["pumas"] == told["pumas_native"] == __version__
    assert told["python"] == platform.python_version()
    assert told["sqlite"] == sqlite3.sqlite_version
    assert told["build_profile"] in ("debug", "release")
    assert f"({told['build_profile']} build)" in pumas("version").out


# ---------------------------------------------------------------------------------------------------------------- use


@pytest.mark.parametrize(
    "command", [["serve"], ["list"], ["show"], ["search"], ["index", "rebuild"], ["status"], ["version"]]
)
def test_help_has_options_and_an_example(command, capfd):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    out = capfd.readouterr().out
    assert all(option in out for option in ("--json", "--root", "--debug"))
    assert f"Example: pumas {' '.join(command)}" in out


def test_no_arguments_show_the_commands(capfd):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    assert "rebuild" not in (out := capfd.readouterr().out)
    assert all(f"\n  {name} " in out for name in ("serve", "list", "show", "search", "index", "status", "version"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lst"], "lst"),
        (["index"], "`pumas index --help`"),
        (["show"], "MODEL_ID"),
        (["list", "--colour"], "--colour"),
        (["list", "--limit", "many"], "--limit"),
        (["serve", "--port", "70000"], "--port"),
    ],
)
def test_wrong_use_is_one_line_and_exits_with_2(arguments, words, capfd):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("pumas: ")
    assert err.count("\n") == 1
    assert words in err
    assert "--help`" in err


def test_root_that_is_a_file_exits_with_2(tmp_path):
    (tmp_path / "file").touch()
    result = run_child("list", "--root", tmp_path / "file")
    assert (result.code, result.out) == (2, "")
    assert result.err == f"pumas: The launcher root {tmp_path / 'file'} is not a folder; choose a folder\n"


def test_a_wrong_setting_is_named(root):
    result = run_child("list", "--root", root, env={**os.environ, "PUMAS_COMFYUI_PORT": "many"})
    assert result.code == 2
    assert "PUMAS_COMFYUI_PORT" in result.err


def test_reader_that_leaves_ends_the_command_quietly(root, library):
    for number in range(100):
        write_model(library, f"llm/many/model-{number}", description="d" * 2000)  # more than a pipe holds
    with child("list", "--json", "--root", root) as process:
        assert process.stdout.read(1) == "["
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_an_output_that_cannot_be_written_is_one_sentence(root):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "pumas", "version"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 6
    assert result.stderr.startswith("pumas: The drive is full")
    assert result.stderr.count("\n") == 1


def test_a_fault_of_ours_shows_its_traceback_only_with_debug(pumas, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # has no bytes below: the sink can't work
    result = pumas("version")
    assert result.code == 70
    assert result.err.startswith("pumas: An unexpected error, AttributeError: ")
    assert "--debug" in result.err
    assert result.err.count("\n") == 1
    assert "Traceback" in pumas("version", "--debug").err


def test_debug_shows_log_lines(pumas):
    result = pumas("list", "--debug")
    assert result.code == 0
    assert "INFO: the index holds 2 models" in result.err


def test_the_command_line_loads_nothing_before_it_is_asked():
    script = "import sys, pumas.cli; print(*sorted({'typer', 'rich', 'falcon', 'pumas.api'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "\n"


# -------------------------------------------------------------------------------------------------------------- serve


def test_serve_says_where_and_ends_with_ctrl_c(root):
    with child("serve", "--root", root) as process:
        line = process.stdout.readline()
        before, port, after = line.partition("/rpc")[0].rpartition(":")[0], line.split(":")[2].split("/")[0], line
        assert before == f"Serving {root} on http://127.0.0.1"
        assert after.endswith("/rpc (Ctrl-C to stop)\n")
        assert Client(int(port)).call("get_library_status")["success"] is True
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_serve_json_is_one_line(root):
    with child("serve", "--json", "--root", root) as process:
        told = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert told["root"] == str(root)
    assert 0 < told["port"] < 65536
    assert process.returncode == 0


def test_serve_on_a_taken_port_exits_with_2(root):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run_child("serve", "--port", port, "--root", root)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"pumas: Port {port} ")
    assert result.err.count("\n") == 1


def test_serve_for_others_is_refused_without_the_flag(root):
    result = run_child("serve", "--host", "0.0.0.0", "--root", root)
    assert (result.code, result.out) == (2, "")
    assert "--allow-remote" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("closed", ["1", "2", "1 2"])
def test_streams_that_the_parent_closed_are_no_error(root, closed):
    closes = " ".join(f"{number}>&-" for number in closed.split())
    command = f'exec "$0" -m pumas "$@" {closes}'
    for arguments, code in ((["list"], 0), (["show", "nope"], 3), (["nosuch"], 2)):
        done = subprocess.run(
            ["sh", "-c", command, sys.executable, *arguments, *(["--root", root] if code != 2 else [])],
            capture_output=True,
            check=False,
        )
        assert done.returncode == code
        assert b"Traceback" not in done.stdout + done.stderr


def test_a_type_that_no_model_has_is_named(pumas):
    assert "No model of type nosuch was found" in pumas("list", "--type", "nosuch").err
