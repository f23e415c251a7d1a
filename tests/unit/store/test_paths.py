from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumas.config import Config
from pumas.errors import InvalidInput, UnusableRoot
from pumas.store.paths import default_root, open_layout, resolve_inside


@pytest.mark.parametrize(
    "relative", ["..", "../x", "a/../../x", "/etc/passwd", "a\0b", "\\\\server\\x", "..\\x", "a/..", "/"]
)
def test_a_path_that_could_leave_is_refused(tmp_path, relative):
    with pytest.raises(InvalidInput, match="`rel_path`"):
        resolve_inside(tmp_path, relative, parameter="rel_path")


def test_links_are_followed_and_must_stay_inside(tmp_path):
    base, outside = tmp_path / "base", tmp_path / "outside"
    base.mkdir()
    outside.mkdir()
    (base / "in").mkdir()
    (base / "good").symlink_to("in")
    (base / "bad").symlink_to(outside)
    (base / "loop").symlink_to("loop")
    assert resolve_inside(base, "good/x", parameter="p") == base / "in" / "x"
    with pytest.raises(InvalidInput, match="leads out"):
        resolve_inside(base, "bad/x", parameter="p")
    with pytest.raises(InvalidInput):
        resolve_inside(base, "loop/x", parameter="p")


@given(st.text(max_size=40))
def test_whatever_is_asked_stays_inside_or_is_refused(tmp_path_factory, relative):
    base = tmp_path_factory.getbasetemp()
    try:
        resolved = resolve_inside(base, relative, parameter="p")
    except (InvalidInput, OSError):
        return
    assert resolved.is_relative_to(base.resolve())


def test_opening_makes_the_folders_of_the_contract(tmp_path):
    layout, is_writable = open_layout(tmp_path / "new" / "root")
    assert is_writable
    assert (layout.data / "config" / "model-library-translation").is_dir()
    assert layout.library.is_dir()
    assert not (layout.root / "temp").exists()


def test_a_root_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnusableRoot, match="not a folder"):
        open_layout(tmp_path / "file")
    with pytest.raises(UnusableRoot):
        open_layout(tmp_path / "file" / "below")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "launcher-data").write_text("mine")
    with pytest.raises(UnusableRoot, match="launcher-data"):
        open_layout(tmp_path / "root")
    assert (tmp_path / "root" / "launcher-data").read_text() == "mine"


def test_the_default_root(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    named = Config(launcher_root=tmp_path / "named")
    assert default_root(named, tmp_path) == (tmp_path / "named", False)
    (tmp_path / "a" / "launcher-data").mkdir(parents=True)
    below = tmp_path / "a" / "b" / "c"
    below.mkdir(parents=True)
    assert default_root(Config(), below) == (tmp_path / "a", False)
    root, is_users_own = default_root(Config(), tmp_path)
    assert is_users_own
    assert root.is_relative_to(tmp_path / "home")
