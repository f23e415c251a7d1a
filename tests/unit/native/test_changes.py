"""`changed_documents` against the same comparison in plain Python."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import struct
from collections import Counter

import pumas_native
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

NEVER = 2**62  # nothing is younger
TRUSTED_NEVER = 2**63 - 1
RECORD = struct.Struct("<16sQqQq")


def _scan(root) -> pumas_native.Tree:
    return pumas_native.scan_tree(
        root, names=["metadata.json"], leaf_marker="metadata.json", skip_hidden=True, workers=2
    )


def _write(root, model: str, text: str = "{}") -> None:
    (root / model).mkdir(parents=True, exist_ok=True)
    (root / model / "metadata.json").write_text(text)


def _digest(folder: str) -> bytes:
    return xxhash.xxh3_128_digest(folder.encode())


def _documents(tree: pumas_native.Tree, root) -> dict[int, tuple[bytes, int, int, int, int]]:
    found = {}
    for index, kind in enumerate(tree.kinds):
        folder = os.path.dirname(tree.path(index))
        if kind in b"fl" and folder:
            status = os.lstat(os.path.join(root, tree.path(index)))
            figures = (status.st_ino, status.st_mtime_ns, status.st_size, status.st_ctime_ns)
            found[index] = (_digest(folder), *figures)
    return found


def _expected(tree: pumas_native.Tree, root, known: bytes, racy_after_ns: int) -> dict[str, object]:
    documents = _documents(tree, root)
    old = list(RECORD.iter_unpack(known))
    count = Counter(record[0] for record in old)
    by_hash = {record[0]: record for record in old}
    hashes = {record[0] for record in documents.values()}
    changed, records = [], []
    for index, record in documents.items():
        is_racy = tree.kinds[index] == ord("l") or max(record[2], record[4]) > racy_after_ns
        is_same = count[record[0]] == 1 and by_hash[record[0]] == record
        if is_racy or not is_same:
            changed.append(index)
        records.append(RECORD.pack(*record[:4], TRUSTED_NEVER if is_racy else record[4]))
    vanished = list(dict.fromkeys(record[0] for record in old if record[0] not in hashes))
    return {
        "unchanged": len(documents) - len(changed),
        "changed": changed,
        "vanished": b"".join(vanished),
        "records": b"".join(records),
    }


def _check(root, known: bytes, racy_after_ns: int = NEVER) -> pumas_native.Changes:
    tree = _scan(root)
    changes = pumas_native.changed_documents(tree, known, racy_after_ns=racy_after_ns)
    assert {
        "unchanged": changes.unchanged,
        "changed": list(memoryview(changes.changed).cast("I")),
        "vanished": changes.vanished,
        "records": changes.records,
    } == _expected(tree, root, known, racy_after_ns)
    return changes


_actions = st.lists(
    st.tuples(st.sampled_from(["write", "remove", "move", "link", "touch"]), st.integers(0, 9), st.integers(0, 9)),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(_actions, st.randoms(use_true_random=False), st.sampled_from([0, NEVER]))
def test_any_change(tmp_path_factory, actions, order, racy_after_ns):
    root = tmp_path_factory.mktemp("library")
    models = [f"llm/{'ä' * (number % 3 + 1)}/model-{number}" for number in range(10)]
    for number in range(0, 10, 2):
        _write(root, models[number], "x" * number)
    (root / "metadata.json").write_text("no model")
    records = list(RECORD.iter_unpack(_check(root, b"").records))
    for action, first, second in actions:
        with contextlib.suppress(OSError):  # a link to nowhere, a family that is no more
            _act(root, action, models[first], models[second])
    order.shuffle(records)
    known = b"".join(RECORD.pack(*record) for record in records)
    again = _check(root, known, racy_after_ns)
    _check(root, again.records)
    _check(root, known + known[: RECORD.size])


def _act(root, action: str, model: str, other: str) -> None:
    path = root / model
    if action == "write":
        _write(root, model, "changed")
    elif action == "remove":
        shutil.rmtree(path, ignore_errors=True)
    elif action == "move" and path.exists() and not (root / other).exists():
        (root / other).parent.mkdir(parents=True, exist_ok=True)
        path.rename(root / other)
    elif action == "link" and not path.exists():
        path.mkdir(parents=True)
        (path / "metadata.json").symlink_to(root / other / "metadata.json")
    elif action == "touch" and path.exists():
        os.utime(path / "metadata.json", ns=(1, 1), follow_symlinks=False)


def test_what_was_recorded_is_unchanged_in_any_order(tmp_path):
    for number in range(300):
        _write(tmp_path, f"llm/f{number % 7}/m{number}")
    first = _check(tmp_path, b"")
    assert first.unchanged == 0
    records = [first.records[at : at + 48] for at in range(0, len(first.records), 48)]
    random.Random(1).shuffle(records)
    again = _check(tmp_path, b"".join(records))
    assert (again.unchanged, again.changed, again.vanished) == (300, b"", b"")
    assert again.records == first.records


def test_a_young_document_is_changed_this_time_and_next_time(tmp_path):
    _write(tmp_path, "llm/a")
    known = _check(tmp_path, b"", 0).records
    assert _check(tmp_path, known).unchanged == 0
    assert _check(tmp_path, _check(tmp_path, known).records).unchanged == 1


@pytest.mark.parametrize("length", [1, 47, 49, 95])
def test_records_that_are_cut_off(tmp_path, length):
    with pytest.raises(pumas_native.errors.InvalidArgument, match=f"have {length} bytes"):
        pumas_native.changed_documents(_scan(tmp_path), bytes(length), racy_after_ns=0)
    assert issubclass(pumas_native.errors.InvalidArgument, ValueError)


def test_a_tree_without_stats(tmp_path):
    tree = pumas_native.scan_tree(tmp_path, names_only=True)
    with pytest.raises(pumas_native.errors.InvalidArgument, match="names only"):
        pumas_native.changed_documents(tree, b"", racy_after_ns=0)


def test_records_of_any_bytes(tmp_path):
    _write(tmp_path, "llm/a")
    source = random.Random(2)
    _check(tmp_path, source.randbytes(48 * 200))
    _check(tmp_path, bytes(48 * 200))
    _check(tmp_path, b"\xff" * 48 * 3)
