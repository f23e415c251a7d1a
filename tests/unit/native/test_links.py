"""Links and hard links of `scan_tree` against `os.stat` and `os.path.realpath`."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections import defaultdict

import pumas_native
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def _links(tree: pumas_native.Tree) -> dict[str, tuple[str, str]]:
    """State and target of each link; the target is `""` where it is no entry."""
    targets = memoryview(tree.link_targets).cast("I")
    found = {}
    for index, state in enumerate(tree.link_states):
        if tree.kinds[index] == ord("l"):
            found[tree.path(index)] = (chr(state), _shown(tree, index, targets[index]))
        else:
            assert (state, targets[index]) == (0, index)
    return found


def _shown(tree: pumas_native.Tree, index: int, target: int) -> str:
    return "" if target == index else tree.path(target) or "."


def _expected(root) -> dict[str, tuple[str, str]]:
    root = os.path.realpath(root)
    entries = {root: "."}
    links = []
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            entries[path] = os.path.relpath(path, root)
            if os.path.islink(path):
                links.append(path)
    return {entries[link]: _follow(link, root, entries) for link in links}


def _follow(link: str, root: str, entries: dict[str, str]) -> tuple[str, str]:
    try:
        os.stat(link)
    except (FileNotFoundError, NotADirectoryError):
        return "b", ""
    except OSError as exc:
        return ("o" if exc.errno == errno.ELOOP else "u"), ""
    target = os.path.realpath(link)
    is_inside = target == root or target.startswith(root + "/")
    holds_link = link.startswith(target.rstrip("/") + "/")
    state = "o" if holds_link else "t" if is_inside else "x"
    return state, entries.get(target, "") if is_inside else ""


def _expected_groups(tree: pumas_native.Tree, root) -> list[int]:
    same = defaultdict(list)
    for index in range(len(tree)):
        status = os.lstat(os.path.join(root, tree.path(index)))
        if tree.kinds[index] != ord("d"):
            same[status.st_dev, status.st_ino].append(index)
    groups = [0] * len(tree)
    for number, members in enumerate(sorted(found for found in same.values() if len(found) > 1), start=1):
        for index in members:
            groups[index] = number
    return groups


def _check_states_alone(resolved: pumas_native.Tree, root) -> None:
    """Asked for states alone, a walk tells whether `os.stat` finds anything."""
    tree = pumas_native.scan_tree(root, link_states=True, names_only=True, workers=2)
    assert (len(tree), tree.kinds, tree.link_targets, tree.hard_link_groups) == (
        len(resolved),
        resolved.kinds,
        b"",
        b"",
    )
    for index, state in enumerate(tree.link_states):
        if tree.kinds[index] != ord("l"):
            assert state == 0
            continue
        full = chr(resolved.link_states[index])
        is_there = os.path.exists(os.path.join(root, tree.path(index)))
        assert chr(state) == ("y" if is_there else full)


def _check(root) -> dict[str, tuple[str, str]]:
    tree = pumas_native.scan_tree(root, links=True, workers=2)
    found = _links(tree)
    assert found == _expected(root)
    _check_states_alone(tree, root)
    paths = [tree.path(index) for index in range(1, len(tree))]
    assert list(memoryview(tree.find([*paths, "", "nowhere"])).cast("I")) == [*range(1, len(tree)), 0, 0]
    assert list(memoryview(tree.hard_link_groups).cast("I")) == _expected_groups(tree, root)
    statuses = [os.lstat(os.path.join(root, tree.path(index))) for index in range(len(tree))]
    assert list(memoryview(tree.link_counts).cast("Q")) == [status.st_nlink for status in statuses]
    assert list(memoryview(tree.devices).cast("Q")) == [status.st_dev for status in statuses]
    assert list(memoryview(tree.ctimes_ns).cast("q")) == [status.st_ctime_ns for status in statuses]
    return found


_folders = st.sampled_from(["", "a", "b", "a/b", "a/b/c", "b/a"])
_names = st.sampled_from(["a", "b", "c", "x", "y", "z"])
_texts = st.one_of(
    st.lists(st.sampled_from(["a", "b", "c", "x", "y", ".", ".."]), min_size=1, max_size=5).map("/".join),
    st.lists(st.sampled_from(["a", "b", "x", ".."]), max_size=4).map(lambda parts: "/".join(["ROOT", *parts])),
    st.sampled_from(["/", "/dev/null", "/nowhere", "x/", "a//b", "../OUTSIDE/file", "ROOT/../OUTSIDE"]),
)
_steps = st.lists(st.tuples(st.sampled_from("fhl"), _folders, _names, _texts), max_size=14)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120, deadline=None)
@given(_steps)
def test_any_tree(tmp_path_factory, steps):
    root = tmp_path_factory.mktemp("tree")
    outside = tmp_path_factory.mktemp("outside")
    (outside / "file").write_text("")
    (outside / "back").symlink_to(root / "a")
    for folder in ("a/b/c", "b/a"):
        (root / folder).mkdir(parents=True)
    for kind, folder, name, text in steps:
        path = root / folder / name
        target = text.replace("ROOT", str(root)).replace("OUTSIDE", outside.name)
        try:
            if kind == "f":
                path.touch(exist_ok=False)
            elif kind == "l":
                path.symlink_to(target)
            else:
                os.link(path.parent / target, path, follow_symlinks=False)
        except OSError:
            continue
    _check(root)


def test_each_way_of_leading_somewhere(tmp_path):
    root = tmp_path / "root"
    (root / "folder" / "sub").mkdir(parents=True)
    (root / "file").write_text("")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "back").symlink_to(root / "folder")
    (tmp_path / "root-beside").mkdir()
    links = {
        "itself": "itself",
        "ring-1": "ring-2",
        "ring-2": "ring-1",
        "relative": "folder/sub",
        "absolute": str(root / "file"),
        "through": "relative",
        "holder": ".",
        "folder/sub/holder": "../../folder",
        "folder/sub/above-the-root": "../../../..",
        "slash": "/",
        "out": "../outside",
        "beside": "../root-beside",
        "out-and-in": "../outside/back/sub",
        "dangling": "nowhere/at/all",
        "under-a-file": "file/x",
        "file-as-folder": "file/",
        "up-from-a-file": "file/..",
        "long": "n" * 255,
        "too-long": "n" * 256,
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    assert _check(root) == {
        "itself": ("o", ""),
        "ring-1": ("o", ""),
        "ring-2": ("o", ""),
        "relative": ("t", "folder/sub"),
        "absolute": ("t", "file"),
        "through": ("t", "folder/sub"),
        "holder": ("o", "."),
        "folder/sub/holder": ("o", "folder"),
        "folder/sub/above-the-root": ("o", ""),
        "slash": ("o", ""),
        "out": ("x", ""),
        "beside": ("x", ""),
        "out-and-in": ("t", "folder/sub"),
        "dangling": ("b", ""),
        "under-a-file": ("b", ""),
        "file-as-folder": ("b", ""),
        "up-from-a-file": ("b", ""),
        "long": ("b", ""),
        "too-long": ("u", ""),
    }


def test_a_chain_ends_where_the_system_ends_it(tmp_path):
    (tmp_path / "link-000").write_text("")
    for number in range(1, 50):
        (tmp_path / f"link-{number:03d}").symlink_to(f"link-{number - 1:03d}")
    states = {state for state, _ in _check(tmp_path).values()}
    assert states == {"t", "o"}


def test_a_chain_of_folders_ends_where_the_system_ends_it(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("")
    (tmp_path / "folder-00").symlink_to("real")
    for number in range(1, 45):
        (tmp_path / f"folder-{number:02d}").symlink_to(f"folder-{number - 1:02d}")
        for name in "abc":
            (tmp_path / f"{name}-{number:02d}").symlink_to(f"folder-{number:02d}/file")
    found = _check(tmp_path)
    assert {state for path, (state, _) in found.items() if path.startswith("c-")} == {"t", "o"}


def test_many_links_to_one_folder(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "models" / "a").mkdir(parents=True)
    (tmp_path / "blobs" / "link").symlink_to("0")
    for number in range(8):
        (tmp_path / "blobs" / str(number)).write_text("")
    for number, target in enumerate(["0", "1", "2", "link", "none", "3/", "4/.", ".", "..", "5", "6/../7"]):
        (tmp_path / "models" / "a" / f"link-{number:02d}").symlink_to(f"../../blobs/{target}")
    for number, target in enumerate(["../../models/a", "../../models/../blobs", "../../models/x", "../../models/a/"]):
        (tmp_path / "models" / "a" / f"up-{number:02d}").symlink_to(target)
    states = [state for _, (state, _) in sorted(_check(tmp_path).items())]
    assert "".join(states) == "t" + "tttt" + "bbb" + "to" + "tb" + "otbo"


def test_a_target_that_is_not_utf8_or_not_reported(tmp_path):
    odd = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(odd)
    os.symlink(b"caf\xe9", os.fsencode(tmp_path) + b"/odd")
    os.symlink(b"\xff\xfe", os.fsencode(tmp_path) + b"/odd-dangling")
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "to-hidden").symlink_to(".hidden")
    tree = pumas_native.scan_tree(tmp_path, links=True, skip_hidden=True)
    assert _links(tree) == {"odd": ("t", ""), "odd-dangling": ("b", ""), "to-hidden": ("t", "")}


def test_a_root_that_is_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("")
    (tmp_path / "real" / "link").symlink_to(tmp_path / "root" / "file")
    (tmp_path / "root").symlink_to("real")
    assert _links(pumas_native.scan_tree(tmp_path / "root", links=True)) == {"link": ("t", "file")}


def test_hard_links_across_folders(tmp_path):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "b").mkdir()
    for name in ("one", "two", "alone"):
        (root / "b" / name).write_text(name)
    os.link(root / "b" / "one", root / "a" / "same")
    os.link(root / "b" / "two", root / "first")
    os.link(root / "b" / "two", root / "a" / "third")
    os.link(root / "b" / "alone", tmp_path / "outside")
    (root / "link").symlink_to("b/one")
    os.link(root / "link", root / "b" / "same-link", follow_symlinks=False)
    _check(root)
    tree = pumas_native.scan_tree(root, links=True)
    groups = memoryview(tree.hard_link_groups).cast("I")
    assert {tree.path(index): group for index, group in enumerate(groups) if group} == {
        "first": 1,
        "a/third": 1,
        "b/two": 1,
        "link": 2,
        "b/same-link": 2,
        "a/same": 3,
        "b/one": 3,
    }


def test_columns_of_links_are_there_only_when_asked_for(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    plain = pumas_native.scan_tree(tmp_path)
    assert (plain.link_states, plain.link_targets, plain.link_counts, plain.hard_link_groups) == (b"", b"", b"", b"")
    names = pumas_native.scan_tree(tmp_path, links=True, names_only=True)
    assert _links(names) == {"link": ("b", "")}
    assert (names.link_counts, names.hard_link_groups, names.devices, names.ctimes_ns) == (b"", b"", b"", b"")


def test_a_target_behind_a_closed_folder_is_not_told(tmp_path):
    """As another user, since root may search everything."""
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "closed" / "file").write_text("")
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "link").symlink_to("../closed/file")
    code = (
        "import os, sys, pumas_native\n"
        "os.chdir(sys.argv[1])\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "print(pumas_native.scan_tree('open', links=True).link_states)\n"
    )
    if os.geteuid() != 0:
        (tmp_path / "closed").chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        if os.geteuid() == 0 and str(folder).startswith(str(tmp_path.parents[2])):
            folder.chmod(0o755)
    output = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True).stdout
    assert output == "b'\\x00u'\n"
