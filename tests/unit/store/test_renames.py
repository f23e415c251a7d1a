"""Renames that replace nothing: by the system in one step, else in steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from pumas.store.renames import _rename_in_steps, rename_new


def in_one_step(path: Path, target: Path) -> None:
    for error in rename_new([path], [target]).values():
        raise error


# File systems that can't do it in one step are rarely at hand; the steps hold on any.
ways = pytest.mark.parametrize("rename", [in_one_step, _rename_in_steps])


@ways
def test_files_folders_and_links_get_their_new_names(tmp_path, rename):
    (tmp_path / "file").write_text("file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").write_text("inside")
    (tmp_path / "link").symlink_to("away")
    for name in ("file", "folder", "link"):
        rename(tmp_path / name, tmp_path / f"new-{name}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new-file", "new-folder", "new-link"]
    assert (tmp_path / "new-file").read_text() == "file"
    assert (tmp_path / "new-file").stat().st_nlink == 1
    assert (tmp_path / "new-folder" / "inside").read_text() == "inside"
    assert (tmp_path / "new-link").readlink() == Path("away")


@ways
@pytest.mark.parametrize("taken", ["file", "folder", "link"])
@pytest.mark.parametrize("given", ["file", "folder"])
def test_what_lies_at_the_target_stays(tmp_path, rename, given, taken):
    path, target = tmp_path / "given", tmp_path / "taken"
    for kind, place in ((given, path), (taken, target)):
        if kind == "file":
            place.write_text(place.name)
        elif kind == "folder":
            (place / place.name).mkdir(parents=True)
        else:
            place.symlink_to("nothing")
    before = target.lstat()
    with pytest.raises(FileExistsError):
        rename(path, target)
    assert target.lstat() == before
    assert path.exists()


@ways
def test_what_is_missing_is_told(tmp_path, rename):
    with pytest.raises(FileNotFoundError):
        rename(tmp_path / "nothing", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_one_that_fails_hinders_no_other(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name)
    targets = [tmp_path / "x", tmp_path / "c", tmp_path / "y"]
    problems = rename_new([tmp_path / "a", tmp_path / "b", tmp_path / "c"], targets)
    assert {at: type(error) for at, error in problems.items()} == {1: FileExistsError}
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"x": "a", "b": "b", "y": "c"}


def test_a_folder_does_not_go_into_itself(tmp_path):
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    problems = rename_new([tmp_path / "folder"], [tmp_path / "folder" / "new"])
    assert list(problems) == [0]
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["inside"]
