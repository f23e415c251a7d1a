"""Journals that somebody else wrote, or that came to harm: nothing outside the library is touched, nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.journals import planned

from pumas import PumasApi
from pumas.library.import_journal import Entry, Journal, PlannedFile, journals_of, left_journals
from pumas.library.import_recovery import examine_imports, recover_imports
from pumas.store.paths import Layout
from pumas.store.user_key import is_signed, sign, user_key


@pytest.fixture
def layout(library: Path) -> Layout:
    return Layout(library.parents[1])


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """What no journal may change."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    for name in ("doc.txt", "metadata.json", "overrides.json", ".0.part"):
        (folder / name).write_text(name)
    (folder / "to-nothing").symlink_to(tmp_path / "nothing")
    (folder / "empty").mkdir()
    return folder


def listed(folder: Path) -> list[tuple[str, bytes | None]]:
    return sorted(
        (str(path.relative_to(folder)), path.read_bytes() if path.is_file() else None) for path in folder.rglob("*")
    )


def written(layout: Layout, file: PlannedFile, *, ours: bool, copied: str | None = None, **changed) -> Entry:
    """A journal of one model as we would write it; without our signatures if it is not `ours`."""
    journal = Journal.begin(layout)
    work = f"llm/x/.tmp_import_A.{journal.id}-0"
    entry = Entry(**{"model": 0, "mode": "move", "work": work, "final": "llm/x/A", "files": (file,), **changed})
    journal.add([entry])
    if copied is not None:
        journal.note_copied(entry, [copied])
    journal._lock.release()  # as if its process had been killed
    if not ours:
        lines = [json.loads(line) for line in journal.path.read_text().splitlines()]
        journal.path.write_text("".join(json.dumps({**line, "signature": "0" * 64}) + "\n" for line in lines))
    return entry


@pytest.mark.parametrize("ours", [True, False])
def test_no_link_leads_to_what_is_deleted(ours, layout, foreign):
    before = listed(foreign)
    entry = written(layout, planned(foreign / "doc.txt", "doc.txt", source=__file__, is_near=False), ours=ours)
    work = layout.library / entry.work
    work.parent.mkdir(parents=True)
    work.symlink_to(foreign)
    assert recover_imports(layout).left != []
    assert listed(foreign) == before
    work.unlink()
    work.parent.rmdir()
    work.parent.symlink_to(foreign)
    recover_imports(layout)
    assert listed(foreign) == before


def test_a_folder_in_a_model_that_became_a_link_is_not_followed(layout, foreign):
    before = listed(foreign)
    entry = written(layout, planned(foreign / "doc.txt", "sub/doc.txt", source=__file__, is_near=False), ours=True)
    work = layout.library / entry.work
    work.mkdir(parents=True)
    (work / "sub").symlink_to(foreign)
    assert recover_imports(layout).left != []
    assert listed(foreign) == before


def test_nothing_is_put_outside_by_a_journal_of_somebody_else(layout, tmp_path):
    placed = tmp_path / "evil"
    placed.write_text("run me")
    entry = written(layout, planned(placed, ".profile", source=str(tmp_path / "home" / ".profile")), ours=False)
    (layout.library / entry.work).mkdir(parents=True)
    placed.rename(layout.library / entry.work / ".profile")
    (finding,) = examine_imports(layout)
    assert "Another user or computer" in finding.remedy
    for _ in range(2):
        (told,) = recover_imports(layout).left
        assert str(layout.library / entry.work) in told
    assert not (tmp_path / "home").exists()
    assert (layout.library / entry.work / ".profile").read_text() == "run me"


def test_nothing_is_deleted_outside_by_a_journal_of_somebody_else(layout, foreign):
    before = listed(foreign)
    entry = written(
        layout,
        planned(foreign / "doc.txt", "doc.txt", is_near=False),
        ours=False,
        copied="0" * 64,
        folder=str(foreign / "empty"),
        links=(str(foreign / "to-nothing"),),
    )
    final = layout.library / entry.final
    final.mkdir(parents=True)
    (final / "doc.txt").write_text("another")
    document = {"files": [{"name": "doc.txt", "size": len("another"), "sha256": "0" * 64}]}
    (final / "metadata.json").write_text(json.dumps(document))
    recover_imports(layout)
    assert listed(foreign) == before
    assert left_journals(layout) == []  # the model lies in the library, nothing is left to do there


def test_an_import_of_somebody_else_that_lacks_only_its_name_gets_it(layout, tmp_path):
    source = tmp_path / "a.gguf"
    source.write_bytes(b"a.gguf")
    entry = written(layout, planned(source, "a.gguf", is_near=False), ours=False)
    work = layout.library / entry.work
    work.mkdir(parents=True)
    (work / "a.gguf").write_bytes(b"a.gguf")
    (work / "metadata.json").write_text(json.dumps({"cleaned_name": "A", "files": []}))
    assert recover_imports(layout).finished == ["llm/x/A"]
    assert source.read_bytes() == b"a.gguf"


def test_a_folder_of_journals_that_is_a_link_is_left_alone(layout, foreign):
    (foreign / "train.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    (foreign / f"{'a' * 32}.jsonl").write_text('{"text": "a"}\n{"text": ')
    before = listed(foreign)
    journals_of(layout).parent.mkdir()
    journals_of(layout).symlink_to(foreign)
    with PumasApi(layout.root) as api:
        source = foreign.parent / "a.gguf"
        source.write_bytes(b"GGUF")
        with pytest.raises(Exception, match="is a link; move it away"):
            api.import_model(source).result()
    assert listed(foreign) == before


def test_what_is_no_file_is_no_journal(layout, foreign):
    journals_of(layout).mkdir(parents=True)
    os.mkfifo(journals_of(layout) / f"{'a' * 32}.jsonl")
    (journals_of(layout) / f"{'b' * 32}.jsonl").symlink_to(foreign / "doc.txt")
    (journals_of(layout) / f"{'c' * 32}.jsonl").symlink_to(foreign / "nothing")
    (journals_of(layout) / f"{'d' * 32}.jsonl").mkdir()
    (journals_of(layout) / f"{'e' * 32}.lock").symlink_to(foreign / "doc.txt")
    (journals_of(layout) / f"{'e' * 32}.jsonl").write_text("")
    before = listed(foreign)
    (told,) = recover_imports(layout).left
    assert "is not a regular file; move it away" in told
    assert listed(foreign) == before


ODD = [
    {"source": "/a\0b"},
    {"target": "a\0b"},
    {"source": "/a\ud800b"},
    {"source": "a/b"},
    {"target": "../a"},
    {"target": "/a"},
    {"target": ""},
]


@pytest.mark.parametrize("changed", ODD, ids=map(repr, ODD))
def test_odd_paths_are_told_and_hinder_nobody(changed, layout, foreign):
    entry = written(layout, planned(foreign / "doc.txt", **{"target": "doc.txt", **changed}), ours=True)
    (layout.library / entry.work).mkdir(parents=True)
    assert [one.kind for one in examine_imports(layout)] == ["import_unreadable"]
    with PumasApi(layout.root) as api:
        assert api.list_models() == []
    (told,) = recover_imports(layout).left
    assert "nothing was done about it" in told
    assert len(left_journals(layout)) == 1


def test_a_damaged_line_hides_none_of_those_behind_it(layout, tmp_path):
    source = tmp_path / "a.gguf"
    source.write_bytes(b"a.gguf")
    entry = written(layout, planned(source, "a.gguf"), ours=True)
    (layout.library / entry.work).mkdir(parents=True)
    source.rename(layout.library / entry.work / "a.gguf")
    (path,) = left_journals(layout)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"\0\0harm\n" + b"[" * 100_000 + b"\n" + lines[1])
    assert [one.kind for one in examine_imports(layout)] == ["import_unreadable", "import_interrupted"]
    recovered = recover_imports(layout)
    assert source.read_bytes() == b"a.gguf"
    assert len(recovered.undone) == 1
    (told,) = recovered.left
    assert told.startswith(f"2 lines of {path} can't be read. Look for folders .tmp_import_* in the library")
    assert left_journals(layout) == [path]


def test_a_journal_of_a_newer_form_is_left_to_whoever_knows_it(layout):
    journals_of(layout).mkdir(parents=True)
    path = journals_of(layout) / f"{'a' * 32}.jsonl"
    path.write_text('{"form": 2}\n{"what": "ever"}\n')
    assert [one.kind for one in examine_imports(layout)] == ["import_unreadable"]
    assert list(Path.home().iterdir()) == [], "a look writes nothing"
    (told,) = recover_imports(layout).left
    assert "open the library with the version of Pumas that wrote it" in told
    assert path.read_text() == '{"form": 2}\n{"what": "ever"}\n'


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=5),
    st.lists(st.integers(), max_size=2),
)
FIELDS = ["model", "mode", "work", "final", "folder", "links", "files", "copied", "done", "form", "signature"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.dictionaries(st.sampled_from(FIELDS), VALUES), max_size=4), is_signed=st.booleans())
def test_no_line_hinders_the_start(lines, is_signed, layout, foreign):
    before = listed(foreign)
    key, journal_id = user_key() if is_signed else None, "a" * 32
    path = journals_of(layout) / f"{journal_id}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = {"source": str(foreign / "doc.txt"), "target": "a", "inode": 1, "size_bytes": 1, "mtime_ns": 1}
    entry = {
        "model": 0,
        "mode": "move",
        "work": f"llm/x/.tmp_import_A.{journal_id}-0",
        "final": "llm/x/A",
        "files": [{**file, "ctime_ns": 1, "is_near": False, "is_taken": True}],
    }
    texts = [json.dumps({**entry, **line}) for line in lines]
    path.write_text("".join(f'{text[:-1]}, "signature": "{sign(key, journal_id + text)}"}}\n' for text in texts))
    recover_imports(layout)
    list(examine_imports(layout))
    assert listed(foreign) == before
    path.unlink(missing_ok=True)


def test_one_key_for_all_processes_and_none_that_others_may_know():
    code = "from pumas.store.user_key import user_key; print(user_key().hex())"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({process.communicate()[0] for process in started}) == 1
    key = user_key()
    path = Path.home() / ".local" / "state" / "pumas" / "key"
    assert key is not None
    assert path.read_bytes() == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["key"]
    assert is_signed(key, "a", sign(key, "a"))
    assert not any(is_signed(key, "a", value) for value in (sign(key, "b"), "", "é", None, 3))
    path.chmod(0o644)
    assert user_key() is None
    assert sign(None, "a") == ""
    assert not is_signed(None, "a", "")
