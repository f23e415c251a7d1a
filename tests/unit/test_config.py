from __future__ import annotations

from pathlib import Path

import pytest

from pumas.config import Config
from pumas.errors import InvalidInput


def test_what_other_programs_are_told_is_taken_over():
    config = Config.from_env(
        {
            "HF_ENDPOINT": "https://mirror.example",
            "HF_TOKEN": "hf_1",
            "GITHUB_TOKEN": "gh_1",
            "HTTPS_PROXY": "http://proxy.example:3128",
            "all_proxy": "http://other.example",
            "NO_PROXY": "localhost, .example.org",
            "SSL_CERT_FILE": "/etc/ca.pem",
        }
    )
    assert (config.hub_base, config.hub_token, config.github_token) == ("https://mirror.example", "hf_1", "gh_1")
    assert (config.http_proxy, config.https_proxy) == (None, "http://proxy.example:3128")
    assert (config.all_proxy, config.no_proxy) == ("http://other.example", ("localhost", ".example.org"))
    assert config.ssl_cert_file == Path("/etc/ca.pem")


def test_our_own_names_come_first_and_empty_ones_count_as_not_set():
    config = Config.from_env(
        {
            "PUMAS_HUB_BASE": "https://ours.example",
            "HF_ENDPOINT": "https://x",
            "PUMAS_GITHUB_TOKEN": "",
            "GITHUB_TOKEN": "t",
        }
    )
    assert (config.hub_base, config.github_token) == ("https://ours.example", "t")


def test_secrets_are_not_shown():
    config = Config(hub_token="hf_secret", github_token="gh_secret", https_proxy="http://user:secret@proxy")
    assert "secret" not in repr(config)


@pytest.mark.parametrize("name", ["PUMAS_RETRY_BASE", "PUMAS_RETRY_BASE_S"])
def test_the_first_wait_can_be_set(name):
    assert Config.from_env({name: "0.01"}).retry_base_s == 0.01


@pytest.mark.parametrize("text", ["-1", "61", "nan", "inf", "x", "1,5", "9" * 400])
def test_a_wait_that_is_none_is_refused(text):
    with pytest.raises(InvalidInput, match="PUMAS_RETRY_BASE must be a number of seconds from 0 to 60"):
        Config.from_env({"PUMAS_RETRY_BASE": text})
