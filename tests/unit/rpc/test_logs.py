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
    log_to_file(tmp_path)
    logging.getLogger("some.logger").info("hello %s", "é")
    logging.getLogger("some.logger").warning("look")
    logging.getLogger("some.logger").debug("unseen")
    lines = (tmp_path / "launcher.log").read_text(encoding="utf-8").splitlines()
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
