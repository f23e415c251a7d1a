"""What the next start makes of journals: finished, undone, or told where things lie."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.journals import planned

from pumas import PumasApi
from pumas.library.import_journal import (
    Entry,
    Journal,
    journals_of,
    left_journals,
    read_entries,
    take_over,
)
from pumas.library.import_recovery import examine_imports, recover_imports
from pumas.store.paths import Layout


@pytest.fixture
def layout(library: Path) -> Layout:
    return Layout(library.parents[1])


def interrupted(
    layout: Layout, tmp_path: Path, *, mode="move", moved=True, names=("a.gguf", "b.gguf"), **given
) -> tuple[Entry, Path, Path]:
    """A journal whose process was killed when it had placed one of two files; the entry and the two sources."""
    sources = [tmp_path / "in" / name for name in names]
    for path in sources:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(path.name.encode())
    journal = Journal.begin(layout)
    entry = Entry(
        model=0,
        mode=mode,
        work=f"llm/x/.tmp_import_A.{journal.id}-0",
        final="llm/x/A",
        files=tuple(planned(path, path.name, **given) for path in sources),
        folder=str(tmp_path / "in"),
    )
    journal.add([entry])
    work = layout.library / entry.work
    work.mkdir(parents=True)
    if moved:
        sources[0].rename(work / names[0])
    journal._lock.release()  # as if its process had been killed
    return entry, sources[0], sources[1]


def test_what_was_moved_goes_back(layout, tmp_path):
    entry, first, second = interrupted(layout, tmp_path)
    (finding,) = examine_imports(layout)
    assert finding.path == layout.library / entry.work
    assert "1 of 2 files lie here" in finding.what
    recovered = recover_imports(layout)
    assert recovered.undone == [
        f"An import that was interrupted was undone; everything lies at its place again: {tmp_path / 'in'}"
    ]
    assert first.read_bytes() == b"a.gguf"
    assert second.read_bytes() == b"b.gguf"
    assert list(layout.library.glob("llm")) == []
    assert list(journals_of(layout).iterdir()) == []
    assert list(examine_imports(layout)) == []


def test_another_name_of_what_lies_at_its_place_goes_whatever_that_is(layout, tmp_path):
    entry, first, _ = interrupted(layout, tmp_path, mode="hardlink", moved=False, is_taken=False)
    first.unlink()
    first.symlink_to(tmp_path / "elsewhere")  # between the plan and the link
    work = layout.library / entry.work
    os.link(first, work / "a.gguf", follow_symlinks=False)
    assert recover_imports(layout).left == []
    assert first.is_symlink()
    assert not work.exists()


@pytest.mark.parametrize("lies_there", [False, True])
def test_a_drive_that_numbers_its_files_anew_costs_nothing(lies_there, layout, tmp_path):
    entry, first, _ = interrupted(layout, tmp_path, inode=7)
    moved = layout.library / entry.work / "a.gguf"
    if lies_there:
        first.write_bytes(b"something new")
    recovered = recover_imports(layout)
    if lies_there:
        assert first.read_bytes() == b"something new"
        assert moved.read_bytes() == b"a.gguf"
        assert recovered.left[0] == f"{first} lies at {moved}: something else lies at its place now"
    else:
        assert first.read_bytes() == b"a.gguf"
        assert recovered.left == []


def test_a_file_of_the_source_is_never_taken_for_half_of_a_copy(layout, tmp_path):
    entry, first, second = interrupted(layout, tmp_path, moved=False, names=("b.gguf", "b.gguf.part"))
    second.rename(layout.library / entry.work / second.name)
    assert recover_imports(layout).left == []
    assert first.read_bytes() == b"b.gguf"
    assert second.read_bytes() == b"b.gguf.part"


def test_a_place_that_is_taken_is_not_written_over_and_told_until_it_is_free(layout, tmp_path):
    entry, first, _ = interrupted(layout, tmp_path)
    first.write_bytes(b"something new")
    moved = layout.library / entry.work / "a.gguf"
    for _ in range(2):
        recovered = recover_imports(layout)
        assert recovered.left[0] == f"{first} lies at {moved}: something else lies at its place now"
        assert first.read_bytes() == b"something new"
        assert moved.read_bytes() == b"a.gguf"
    assert len(left_journals(layout)) == 1
    first.unlink()
    assert recover_imports(layout).left == []
    assert first.read_bytes() == b"a.gguf"
    assert left_journals(layout) == []


def test_a_copy_whose_source_is_gone_is_kept_and_told(layout, tmp_path):
    entry, first, _ = interrupted(layout, tmp_path, mode="copy", moved=False, is_taken=False)
    copy = layout.library / entry.work / "a.gguf"
    copy.write_bytes(first.read_bytes())
    first.unlink()
    (told, *_) = recover_imports(layout).left
    assert told == f"A copy of {first} lies at {copy}: the file itself is gone, or its drive is away"
    assert copy.read_bytes() == b"a.gguf"


def test_a_copy_goes_and_its_source_stays(layout, tmp_path):
    entry, first, _ = interrupted(layout, tmp_path, mode="copy", moved=False, is_taken=False)
    work = layout.library / entry.work
    (work / "a.gguf").write_bytes(first.read_bytes())
    (work / ".1.part").write_bytes(b"b.")
    recovered = recover_imports(layout)
    assert recovered.left == []
    assert len(recovered.undone) == 1
    assert first.exists()
    assert not work.exists()


def test_what_a_user_put_into_a_work_folder_stays(layout, tmp_path):
    entry, first, _ = interrupted(layout, tmp_path)
    mine = layout.library / entry.work / "mine"
    mine.write_bytes(b"mine")
    (told,) = recover_imports(layout).left
    assert "can't be removed" in told
    assert mine.read_bytes() == b"mine"
    assert first.exists()


def test_an_import_that_runs_is_left_alone(layout, tmp_path):
    entry, _, _ = interrupted(layout, tmp_path)
    (path,) = left_journals(layout)
    running = take_over(path)
    assert running is not None
    recovered = recover_imports(layout)
    assert (recovered.undone, recovered.left, recovered.finished) == ([], [], [])
    assert (layout.library / entry.work / "a.gguf").exists()
    running.end()


def test_a_journal_that_was_cut_ends_with_its_last_whole_line(layout, tmp_path):
    interrupted(layout, tmp_path, moved=False)
    (path,) = left_journals(layout)
    with path.open("ab") as file:
        file.write(b'{"model": 0, "do')
    assert [entry.is_done for entry in read_entries(path)[0]] == [False]
    recover_imports(layout)
    assert left_journals(layout) == []


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\xfe",
        b"{}\n",
        b"[]\n",
        b'{"model": 0}\n',
        b'{"model": "a", "mode": "move"}\n',
        b"[" * 100_000 + b"\n",
    ],
    ids=range(7),
)
def test_an_odd_journal_stops_no_start(line, layout):
    journals_of(layout).mkdir(parents=True)
    (journals_of(layout) / "odd.jsonl").write_bytes(line)
    with PumasApi(layout.root) as api:
        assert api.list_models() == []


@pytest.mark.parametrize(
    "places",
    [
        {"work": "../../x/.tmp_import_A.1-0"},
        {"work": "/tmp/.tmp_import_A.1-0"},
        {"work": "llm/x/A"},
        {"final": "../A"},
        {"final": ""},
        {"target": "../a.gguf"},
        {"target": "/etc/a.gguf"},
    ],
)
def test_a_journal_can_not_reach_out_of_the_library(places, layout, tmp_path):
    entry, first, _ = interrupted(layout, tmp_path)
    (path,) = left_journals(layout)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for name, value in places.items():
        for line in lines[1:]:
            if name == "target":
                line["files"][0]["target"] = value
            else:
                line[name] = value
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (told,) = recover_imports(layout).left
    assert "is no import into this library" in told
    assert not first.exists()
    assert (layout.library / entry.work / "a.gguf").exists()


def test_paths_of_any_bytes_survive_the_journal(layout, tmp_path):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe\n.gguf"))
    odd.write_bytes(b"odd")
    journal = Journal.begin(layout)
    entry = Entry(
        model=0,
        mode="move",
        work=f"llm/x/.tmp_import_A.{journal.id}-0",
        final="llm/x/A",
        files=(planned(odd, "a.gguf"),),
    )
    journal.add([entry])
    work = layout.library / entry.work
    work.mkdir(parents=True)
    odd.rename(work / "a.gguf")
    journal._lock.release()
    assert recover_imports(layout).left == []
    assert odd.read_bytes() == b"odd"


def placed_whole(layout: Layout, tmp_path: Path) -> Entry:
    """A journal whose process was killed just before it named the folder that it had filled."""
    entry, first, second = interrupted(layout, tmp_path)
    work = layout.library / entry.work
    second.rename(work / second.name)
    (work / "metadata.json").write_text('{"official_name": "A"}')
    assert not first.exists()
    return entry


def test_what_was_placed_whole_becomes_a_model(layout, tmp_path):
    entry = placed_whole(layout, tmp_path)
    recovered = recover_imports(layout)
    assert recovered.finished == ["llm/x/A"]
    assert (recovered.undone, recovered.left) == ([], [])
    names = sorted(path.name for path in (layout.library / "llm/x/A").iterdir())
    assert names == ["a.gguf", "b.gguf", "metadata.json"]
    assert not (layout.library / entry.work).exists()
    assert list(left_journals(layout)) == []


def test_a_place_that_was_taken_meanwhile_gives_the_model_the_next_name(layout, tmp_path):
    placed_whole(layout, tmp_path)
    other = layout.library / "llm/x/A"
    other.mkdir(parents=True)
    (other / "other.gguf").write_bytes(b"other")
    assert recover_imports(layout).finished == ["llm/x/A-2"]
    assert (layout.library / "llm/x/A-2" / "a.gguf").read_bytes() == b"a.gguf"
    assert [path.name for path in other.iterdir()] == ["other.gguf"]


def test_a_work_folder_whose_document_is_damaged_is_undone(layout, tmp_path):
    entry = placed_whole(layout, tmp_path)
    (layout.library / entry.work / "metadata.json").write_text("{")
    recovered = recover_imports(layout)
    assert len(recovered.undone) == 1
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["a.gguf", "b.gguf"]


def test_an_entry_of_which_nothing_is_left_is_closed(layout, tmp_path):
    entry, first, _ = interrupted(layout, tmp_path, moved=False)
    (layout.library / entry.work).rmdir()
    recovered = recover_imports(layout)
    assert (recovered.finished, recovered.undone, recovered.left) == ([], [], [])
    assert first.exists()
    assert list(left_journals(layout)) == []
