"""Which token goes to the hub: the user's own, wherever the hub's programs keep it, and never in the open."""

from __future__ import annotations

import pytest

from pumas.config import Config
from pumas.net.hub_token import hub_token


@pytest.fixture
def token_file(tmp_path, monkeypatch):
    from huggingface_hub import constants

    path = tmp_path / "token"
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(path))
    return path


def test_there_may_be_none(token_file):
    assert hub_token(Config()) is None


def test_the_environment_comes_before_the_file(token_file):
    token_file.write_text("hf_of_file\n")
    assert hub_token(Config()) == "hf_of_file"
    assert hub_token(Config.from_env({"HF_TOKEN": "hf_of_environment"})) == "hf_of_environment"
    token_file.write_text("hf_new")
    assert hub_token(Config()) == "hf_new"
    assert token_file.read_text() == "hf_new"


@pytest.mark.parametrize("wrong", ["hf_a\nX-Header: 1", "hf_ä", "hf a", "h" * 1001])
def test_what_can_stand_in_no_header_is_not_used(token_file, caplog, wrong):
    assert hub_token(Config(hub_token=wrong)) is None
    assert wrong not in caplog.text
    assert "not used" in caplog.text


@pytest.mark.parametrize(
    ("base", "is_sent"),
    [
        ("https://mirror.example", True),
        ("http://mirror.example", False),
        ("http://127.0.0.1:8000", True),
        ("http://localhost", True),
        ("http://[::1]:80", True),
        ("https://[::1", False),
    ],
)
def test_over_an_open_connection_it_goes_to_this_machine_only(base, is_sent):
    assert (hub_token(Config(hub_base=base, hub_token="hf_x")) is not None) == is_sent


def test_offline_none_is_looked_for():
    assert hub_token(Config(hub_token="hf_x", offline=True)) is None


def test_a_place_that_cannot_be_looked_at_has_none(monkeypatch):
    from huggingface_hub import constants

    # As a folder that another user keeps closed: to look at it raises an error.
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/" + "x" * 300)
    assert hub_token(Config()) is None


def test_a_file_that_cant_be_read_is_none(token_file, caplog):
    token_file.write_bytes(b"\xff\xfe")
    assert hub_token(Config()) is None
    assert "can't be read" in caplog.text
