"""Sandboxes are told by their marks, in the order of the contract."""

from __future__ import annotations

import pytest

from pumas.config import Config
from pumas.system.sandbox import sandbox_info, sandbox_warning


@pytest.mark.parametrize(
    ("variables", "marks", "kind", "count"),
    [
        ((), {}, "none", 0),
        ((), {"proc/1/cgroup": "0::/init.scope\n"}, "none", 0),
        ((), {"proc/1/cgroup": "0::/docker/abc\n"}, "docker", 1),
        ((), {"proc/1/cgroup": "12:cpu:/system.slice/containerd.service\n"}, "docker", 1),
        ((), {".dockerenv": "", "proc/1/cgroup": "0::/docker/abc\n"}, "docker", 2),
        (("SNAP",), {".dockerenv": ""}, "snap", 3),
        (("FLATPAK_ID", "SNAP"), {}, "flatpak", 3),
        (("SNAP",), {".flatpak-info": ""}, "flatpak", 3),
        (("APPIMAGE",), {}, "appimage", 2),
        (("APPIMAGE", "SNAP"), {}, "appimage", 5),
    ],
)
def test_marks(tmp_path, variables, marks, kind, count):
    for name, text in marks.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    info = sandbox_info(frozenset(variables), top=tmp_path)
    assert (info.kind, len(info.limitations)) == (kind, count)


def test_the_warning_names_what_is_needed(tmp_path):
    assert sandbox_warning(sandbox_info(frozenset(), top=tmp_path)) is None
    warning = sandbox_warning(sandbox_info(frozenset({"SNAP"}), top=tmp_path))
    assert warning == "Running in snap sandbox. Required permissions: Connect 'removable-media' interface"


def test_variables_come_from_the_environment():
    assert Config.from_env({"SNAP": "/snap/x", "HOME": "/", "PUMAS_SANDBOX": "a"}).sandbox == {"SNAP"}
    assert Config().sandbox == frozenset()
