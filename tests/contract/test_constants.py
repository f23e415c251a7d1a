"""Every constant of the original that the replacement keeps has its value."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from support.cases import load

from pumas import config, constants

_ALL = load("config-constants.json")

# Not kept, and why.
_LEFT_OUT = {
    "SERVER_START_DELAY_SEC": "a pause instead of a readiness check; scripts are the shortcut issue's",
    "DOWNLOAD_CHUNK_SIZE_BYTES": "the native engine chooses its own",
    "RELEASES_MEMORY_CACHE_ENTRIES": "caches have their own bounds",
    "INSTALL_PROGRESS_SELECT_WAIT": "output is read by a thread",
    "INSTALL_GLOBAL_REQUIRED_PYTHON": "PUMAS_PYTHON",
    "LAUNCH_SERVER_URL": "made of PUMAS_COMFYUI_PORT",
    "LAUNCH_SKIP_BROWSER_VARIABLE": "PUMAS_OPEN_BROWSER",
    "STOP_BROWSER_PATTERN": "D-29: no process is found by a pattern",
    "STOP_BROWSER_LOOKUP_TIMEOUT": "D-29",
    "STOP_NAME_PATTERN": "D-29",
    "DETECT_PROCESS_LIST_TIMEOUT": "psutil, no process",
    "MONITOR_NVIDIA_SMI_TIMEOUT": "NVML, no process",
    "MONITOR_CPU_SAMPLE": "one shared sample",
    "UPDATES_BRANCH": "S-17",
    "UPDATES_STEP_TIMEOUTS": "S-17",
    "UPDATES_RESTART_DELAY": "S-18",
    "PATCH_DOWNLOAD_TIMEOUT": "S-12: nothing unverified is fetched",
    "SHORTCUTS_CONVERT_TIMEOUT": "Pillow, no process",
    "FILES_HASH_BLOCK": "native hashing chooses its own",
    "RPC_LISTEN": "DEFAULT_HOST, DEFAULT_PORT",
}


def _named() -> list[tuple[str, object]]:
    kept = [(row["name"], row["value"]) for row in _ALL["constants"] if row["used"]]
    built_in = [(f"{row['area']}_{row['name']}".upper(), row["value"]) for row in _ALL["built_in"]]
    return [*kept, *built_in]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize(("name", "value"), [row for row in _named() if row[0] not in _LEFT_OUT])
def test_value(name, value):
    assert _plain(getattr(constants, name)) == value


def test_nothing_is_left_out_without_a_reason():
    names = {name for name, _ in _named()}
    assert set(_LEFT_OUT) <= names
    assert not [name for name in _LEFT_OUT if hasattr(constants, name)]


def test_the_server_listens_as_the_original_did():
    (listen,) = [row["value"] for row in _ALL["built_in"] if (row["area"], row["name"]) == ("rpc", "listen")]
    assert listen == {"host": config.DEFAULT_HOST, "port": config.DEFAULT_PORT}


def test_every_setting_can_be_given_in_the_environment():
    given = config.Config.from_env(
        {
            "PUMAS_LAUNCHER_ROOT": "/x",
            "PUMAS_GITHUB_API_BASE": "http://127.0.0.1:1",
            "PUMAS_OFFLINE": "1",
            "PUMAS_MAX_BODY_BYTES": "10",
            "PUMAS_ALLOWED_ORIGINS": "http://a, http://b",
            "PUMAS_TOKEN": "",
        }
    )
    assert str(given.launcher_root) == "/x"
    assert (given.github_api_base, given.offline, given.max_body_bytes) == ("http://127.0.0.1:1", True, 10)
    assert given.allowed_origins == ("http://a", "http://b")
    assert given.token is None
    with pytest.raises(ValueError, match="PUMAS_MAX_BODY_BYTES"):
        config.Config.from_env({"PUMAS_MAX_BODY_BYTES": "many"})
    with pytest.raises(ValueError, match="PUMAS_OFFLINE"):
        config.Config.from_env({"PUMAS_OFFLINE": "perhaps"})
