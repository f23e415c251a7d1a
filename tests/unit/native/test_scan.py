"""`scan_tree` against `os.walk`."""

from __future__ import annotations

import os
import subprocess

import pumas_native
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def _columns(tree: pumas_native.Tree) -> dict[str, tuple[str, int, int, int]]:
    kinds = tree.kinds.decode()
    sizes, inodes = memoryview(tree.sizes).cast("Q"), memoryview(tree.inodes).cast("Q")
    times = memoryview(tree.mtimes_ns).cast("q")
    return {tree.path(n): (kinds[n], sizes[n], times[n], inodes[n]) for n in range(len(tree))}


def _walked(root) -> dict[str, tuple[str, int, int, int]]:
    found = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            kind = "l" if os.path.islink(path) else "d" if os.path.isdir(path) else "f"
            found[os.path.relpath(path, root)] = (kind, status.st_size, status.st_mtime_ns, status.st_ino)
    return found


_names = st.text(alphabet="abé測-. ", min_size=1, max_size=6).filter(lambda name: name.strip(". ") != "")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.lists(st.lists(_names, min_size=1, max_size=4), max_size=12))
def test_the_same_entries_as_os_walk(tmp_path_factory, paths):
    root = tmp_path_factory.mktemp("tree")
    for parts in paths:
        folder = root.joinpath(*parts[:-1])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / parts[-1]).write_text("x" * len(parts))
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
    tree = pumas_native.scan_tree(root, workers=2)
    found = _columns(tree)
    root_entry = found.pop("")
    assert root_entry[0] == "d"
    assert found == _walked(root)
    parents = memoryview(tree.parents).cast("I")
    for index in range(1, len(tree)):
        assert parents[index] < index
        assert tree.path(index) == os.path.join(tree.path(parents[index]), tree.name(index))


def test_links_loops_fifos_and_odd_names(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "gone").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    os.mkdir(os.fsencode(tmp_path) + b"/caf\xe9")
    tree = pumas_native.scan_tree(tmp_path)
    kinds = {path: entry[0] for path, entry in _columns(tree).items()}
    assert kinds == {"": "d", "a": "d", "a/up": "l", "self": "l", "gone": "l", "fifo": "o"}
    ((path, reason),) = tree.problems
    assert (os.fsencode(path), reason) == (b"caf\xe9", "not-utf8")


def test_very_deep_trees_end(tmp_path):
    code = "import os,sys\nos.chdir(sys.argv[1])\nfor _ in range(200):\n os.mkdir('d'); os.chdir('d')\n"
    subprocess.run(["python3", "-c", code, tmp_path], check=True)
    tree = pumas_native.scan_tree(tmp_path)
    assert 100 < len(tree) <= 130
    assert [reason for _, reason in tree.problems] == ["too-deep"]


def test_a_folder_that_may_not_be_read_is_reported(tmp_path):
    """As another user, since root may read everything."""
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "open").mkdir()
    code = (
        "import os, sys, pumas_native\n"
        "os.seteuid(65534)\n"
        "tree = pumas_native.scan_tree(sys.argv[1])\n"
        "print(sorted(tree.path(n) for n in range(len(tree))), [(str(p), r) for p, r in tree.problems])\n"
    )
    if os.geteuid() != 0:
        (tmp_path / "closed").chmod(0)
        code = code.replace("os.seteuid(65534)\n", "")
    for folder in (tmp_path, *tmp_path.parents):
        if os.access(folder, os.W_OK) and os.geteuid() == 0 and str(folder).startswith(str(tmp_path.parents[2])):
            folder.chmod(0o755)
    import sys

    output = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True).stdout
    assert output == "['', 'closed', 'open'] [('closed', 'unreadable')]\n"


def test_a_root_that_cannot_be_listed_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(pumas_native.errors.ScanFailed):
            pumas_native.scan_tree(path)
