from __future__ import annotations

from pathlib import Path

import pytest

from pumas.cli.failures import report
from pumas.errors import (
    Cancelled,
    Conflict,
    Damaged,
    InvalidInput,
    ModelNotFound,
    NativeFailure,
    NotFound,
    PortInUse,
    Unavailable,
)


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (InvalidInput("wrong; right it"), 2, "wrong; right it"),
        (PortInUse("localhost", 80), 2, "Port 80 on localhost is already in use"),
        (NotFound("nothing there"), 3, "nothing there"),
        (ModelNotFound("a/b"), 3, "There is no model a/b"),
        (Conflict("in the way"), 4, "in the way"),
        (Damaged("broken", path=Path("x")), 5, "broken"),
        (Unavailable("busy"), 6, "busy"),
        (NativeFailure("fault"), 70, "fault"),
        (Cancelled("ended"), 130, "Interrupted"),
        (KeyboardInterrupt(), 130, "Interrupted"),
        (ZeroDivisionError("division by zero"), 70, "An unexpected error, ZeroDivisionError: division by zero"),
        (AssertionError(), 70, "An unexpected error, AssertionError: no details"),
    ],
)
def test_an_error_is_one_sentence_and_a_code(error, code, sentence, capfd):
    assert report(error, is_debug=False) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"pumas: {sentence}")
    assert err.count("\n") == 1


def test_debug_adds_the_traceback(capfd):
    report(Unavailable("busy"), is_debug=True)
    assert "pumas.errors.Unavailable: busy" in capfd.readouterr().err


def test_a_reader_that_left_is_not_told(capfd):
    assert report(BrokenPipeError(), is_debug=True) == 141
    assert capfd.readouterr() == ("", "")


def test_control_characters_do_not_pass(capfd):
    report(InvalidInput("a\x1b[2J\nb"), is_debug=False)
    assert capfd.readouterr().err == "pumas: a[2J b\n"
