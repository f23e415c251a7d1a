from __future__ import annotations

import logging
import re

import pytest

from pumas.rpc.logs import log_to_console, log_to_file


@pytest.fixture
def _restored_logging():
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    for handler in list(root.handlers):
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()


@pytest.mark.usefixtures("_restored_logging")
def test_lines_have_the_form_of_the_contract(tmp_path, capsys):
    log_to_console(debug=False)
    logging.getLogger("early").info("before the folder is known")
    log_to_file(tmp_path)
    logging.getLogger("some.logger").info("hello %s", "é")
    logging.getLogger("some.logger").warning("look")
    logging.getLogger("some.logger").debug("unseen")
    lines = (tmp_path / "launcher.log").read_text(encoding="utf-8").splitlines()
    assert "before the folder is known" in lines.pop(0)
    assert "Logging initialized: file=" in lines[0]
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(stamp + r" - some\.logger - INFO - hello é", lines[1])
    assert re.fullmatch(stamp + r" - some\.logger - WARNING - look", lines[2])
    assert len(lines) == 3
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == "WARNING: look\n"


@pytest.mark.usefixtures("_restored_logging")
def test_without_a_place_for_the_file_the_console_remains(tmp_path, capsys):
    log_to_console(debug=True)
    log_to_file(tmp_path / "none")
    logging.getLogger("x").debug("seen")
    assert "DEBUG: seen" in capsys.readouterr().err


@pytest.mark.usefixtures("_restored_logging")
def test_a_name_cannot_make_a_line_of_its_own(tmp_path, capsys):
    log_to_console(debug=False)
    log_to_file(tmp_path)
    logging.getLogger("x").warning("folder %s", "a\n2026-01-01 - root - ERROR - forged\x1b[2J")
    assert capsys.readouterr().err == "WARNING: folder a\\x0a2026-01-01 - root - ERROR - forged\\x1b[2J\n"
    assert len((tmp_path / "launcher.log").read_text().splitlines()) == 2
