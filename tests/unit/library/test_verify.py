from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import blake3
import msgspec
import pytest

from pumas.errors import Cancelled, ModelNotFound
from pumas.jobs import Progress
from pumas.library import inventory, known, verify
from pumas.library.known import recall, remember
from pumas.library.verify import Scope, verify_library
from pumas.models import VerifyReport
from pumas.store.cache import open_cache
from pumas.store.paths import Layout

DAY_S = 86_400.0


class Clock:
    """Ahead of the machine's, so that files written now are old."""

    ahead_s = 10.0

    def time_ns(self) -> int:
        return time.time_ns() + round(self.ahead_s * 1e9)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (known, inventory, verify):
        monkeypatch.setattr(module, "time_ns", clock.time_ns)
    return clock


@pytest.fixture
def run(library, clock, pool) -> Callable[..., VerifyReport]:
    """Verify the library in a process of its own, as it were: the cache is opened anew."""

    def run(progress: Callable[[Progress], Progress] = lambda one: one, **scope) -> VerifyReport:
        def work(given: Progress) -> VerifyReport:
            with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
                return verify_library(Layout(library.parents[1]), cache, Scope(**scope), progress(given))

        report: VerifyReport = pool.submit("verify", work).result(30)
        return report

    return run


def _write(library: Path, model_id: str, files: dict[str, bytes], **fields: object) -> Path:
    """A model whose document records what its files hold."""
    folder = library / model_id
    listed = []
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        listed.append(
            {
                "name": name,
                "original_name": name.upper(),
                "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "blake3": blake3.blake3(content).hexdigest(),
            }
        )
    document = {"model_id": folder.name, "official_name": folder.name, "files": listed, **fields}
    (folder / "metadata.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
    return folder


def _change(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "metadata.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document, indent=2))


def _told(report: VerifyReport) -> list[tuple[str, str]]:
    return [(finding.kind, finding.path) for finding in report.findings]


def _pretend_unwritten(library: Path, name: str) -> None:
    """Have the file look as if nobody had written it since it was last read: rot can't be made by a program."""
    status = (library / name).stat()
    numbers = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    fingerprint = b"".join(number.to_bytes(8, "little") for number in numbers)
    with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
        before = recall(cache, [name])[0]
        assert before is not None
        remember(cache, [(name, replace(before, fingerprint=fingerprint))])


@pytest.fixture
def folder(library):
    return _write(library, "llm/llama/One", {"one.gguf": b"GGUF one", "config.json": b"{}"})


def test_unchanged_files_are_read_once(run, folder, library):
    _write(library, "diffusion/sdxl/Two", {"unet/two.safetensors": b"two", "two.png": b"png"}, preview_image="two.png")
    first = run()
    assert (first.model_count, first.read_files, first.read_bytes, first.unchanged_files) == (2, 4, 16, 0)
    assert first.findings == ()
    for _ in range(2):
        again = run()
        assert (again.model_count, again.read_files, again.unchanged_files, again.findings) == (2, 0, 4, ())


@pytest.mark.parametrize("change", ["edited", "missing", "extra", "document"])
def test_a_change_anywhere_in_a_model_found_in_order_is_seen(run, library, change):
    folder = _write(library, "llm/llama/One", {"unet/one.gguf": b"GGUF one", "vae/config.json": b"{}"})
    assert [run().read_files for _ in range(3)] == [2, 0, 0]
    path = folder / {"extra": "vae/new.txt", "document": "metadata.json"}.get(change, "unet/one.gguf")
    if change == "missing":
        path.rename(path.with_name(".hidden"))
    else:
        path.write_bytes(b"GGUF two")
    assert _told(run()) == [(change, path.relative_to(library).as_posix())]


def test_an_edited_file_is_told_until_it_is_restored(run, folder):
    run()
    (folder / "one.gguf").write_bytes(b"GGUF two")
    report = run()
    assert (report.read_files, _told(report)) == (1, [("edited", "llm/llama/One/one.gguf")])
    assert report.findings[0].expected == hashlib.sha256(b"GGUF one").hexdigest()
    assert report.findings[0].found == hashlib.sha256(b"GGUF two").hexdigest()
    assert not report.is_sound
    for _ in range(2):
        again = run()
        assert (again.read_files, _told(again)) == (0, _told(report))
    (folder / "one.gguf").write_bytes(b"GGUF one")
    assert _told(run()) == []


def test_rot_is_told_until_the_file_is_restored(run, folder, library):
    run()
    (folder / "one.gguf").write_bytes(b"GGUF onE")
    _pretend_unwritten(library, "llm/llama/One/one.gguf")
    _pretend_unwritten(library, "llm/llama/One/config.json")
    assert _told(run()) == [], "nobody wrote it, so only reading shows it"
    report = run(is_full=True)
    assert _told(report) == [("rotten", "llm/llama/One/one.gguf")]
    for _ in range(2):
        again = run()
        assert (again.read_files, _told(again)) == (0, _told(report))
    (folder / "one.gguf").write_bytes(b"GGUF one")
    assert _told(run()) == []


@pytest.mark.parametrize("kind", ["rotten", "edited", "differs"])
def test_what_is_recorded_suffices_without_the_cache(run, folder, library, kind):
    """The time of the file, recorded beside its digest, tells rot from an edit."""
    status = (folder / "one.gguf").stat()
    if kind != "differs":
        _change(folder, lambda document: document["files"][0].update(mtime_ns=status.st_mtime_ns))
    run()
    (folder / "one.gguf").write_bytes(b"GGUF onE")
    if kind == "rotten":
        os.utime(folder / "one.gguf", ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        os.utime(folder / "one.gguf", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    shutil.rmtree(library / ".pumas" / "cache")
    for _ in range(2):
        assert _told(run()) == [(kind, "llm/llama/One/one.gguf")]
    assert _told(run(is_full=True)) == [(kind, "llm/llama/One/one.gguf")]


def test_another_size_is_an_edit_even_without_a_digest(run, folder):
    _change(folder, lambda document: [document["files"][1].pop(name) for name in ("sha256", "blake3")])
    (folder / "config.json").write_bytes(b"{ }")
    report = run(records=True)
    assert _told(report) == [("edited", "llm/llama/One/config.json")]
    assert report.findings[0].what == "it has 3 bytes, the document says 2"
    assert report.recorded_files == 0


def test_missing_extra_and_unreadable_files(run, folder):
    (folder / "one.gguf").unlink()
    (folder / "notes.txt").write_text("mine")
    (folder / ".hidden").write_text("no file of the model")
    (folder / "overrides.json").write_text("{}")
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    for _ in range(2):
        report = run()
        assert sorted(_told(report)) == [
            ("extra", "llm/llama/One/notes.txt"),
            ("missing", "llm/llama/One/one.gguf"),
            ("unreadable", "llm/llama/One/config.json"),
        ]
    assert "not a regular file" in next(one.what for one in report.findings if one.kind == "unreadable")


def test_a_note_is_no_problem(run, folder):
    (folder / "notes.txt").write_text("mine")
    report = run()
    assert (_told(report), report.is_sound) == ([("extra", "llm/llama/One/notes.txt")], True)


def test_a_file_named_outside_its_model_is_missing_and_not_read(run, folder, library):
    (library / "secret").write_text("x")
    _change(folder, lambda document: document["files"].append({"name": "../../../secret", "sha256": "0" * 64}))
    assert _told(run()) == [("missing", "llm/llama/One/../../../secret")]


def test_a_document_that_can_not_be_used_hides_no_other_model(run, folder, library):
    other = _write(library, "llm/llama/Two", {"two.gguf": b"two"})
    (other / "metadata.json").write_bytes(b"{")
    report = run()
    assert _told(report) == [("document", "llm/llama/Two/metadata.json")]
    assert report.read_files == 2


@pytest.mark.parametrize(
    "files",
    [
        7,
        "x",
        {"a": 1},
        [7, None, "one.gguf", {"name": 7}, {"name": ""}, {"name": "one.gguf", "sha256": ["x"], "size": "8"}],
    ],
)
def test_fields_of_a_wrong_form_say_nothing(run, folder, files):
    _change(folder, lambda document: document.update(files=files, hashes=["x"], preview_image=7))
    report = run()
    assert report.is_sound
    assert report.unrecorded_files == (1 if isinstance(files, list) else 2)


def test_what_the_hub_declared_is_another_field(run, folder):
    right, wrong = hashlib.sha256(b"GGUF one").hexdigest(), "0" * 64
    _change(folder, lambda document: document["files"][0].update(declared_sha256=right.upper()))
    assert _told(run()) == []
    _change(folder, lambda document: document["files"][0].update(declared_sha256=wrong))
    report = run()
    assert _told(report) == [("not_as_declared", "llm/llama/One/one.gguf")]
    assert (report.findings[0].expected, report.findings[0].found) == (wrong, right)


def test_hashes_are_those_of_the_largest_model_file(run, library):
    folder = _write(
        library, "llm/llama/Old", {"small.gguf": b"s", "large.gguf": b"large", "x.json": b"longer than all"}
    )

    def forget(document: dict[str, Any]) -> None:
        for entry in document["files"]:
            del entry["sha256"], entry["blake3"]
        document["hashes"] = {"sha256": hashlib.sha256(b"large").hexdigest(), "blake3": ""}

    _change(folder, forget)
    report = run()
    assert (_told(report), report.unrecorded_files) == ([], 2)
    (folder / "large.gguf").write_bytes(b"LARGE")
    assert _told(run()) == [("edited", "llm/llama/Old/large.gguf")]


def test_of_several_largest_files_one_has_the_hashes(run, library):
    folder = _write(library, "llm/llama/Old", {"a.safetensors": b"aaa", "b.safetensors": b"bbb"})
    for name, kinds in (("b", []), ("c", ["differs"])):
        sha256 = hashlib.sha256(name.encode() * 3).hexdigest()
        _change(folder, lambda document, sha256=sha256: document.update(hashes={"sha256": sha256}))  # type: ignore[misc]
        assert [kind for kind, _ in _told(run())] == kinds


def test_nothing_recorded_is_ever_replaced(run, folder, library):
    before = (folder / "metadata.json").read_bytes()
    run(records=True)
    (folder / "one.gguf").write_bytes(b"GGUF two")
    for scope in ({}, {"records": True}, {"is_full": True, "records": True}):
        assert _told(run(**scope)) == [("edited", "llm/llama/One/one.gguf")]
    shutil.rmtree(library / ".pumas" / "cache")
    assert _told(run(records=True)) == [("differs", "llm/llama/One/one.gguf")]
    assert (folder / "metadata.json").read_bytes() == before


def test_digests_are_recorded_where_there_are_none(run, folder, library):
    def forget(document: dict[str, Any]) -> None:
        del document["files"][1]["sha256"], document["files"][1]["blake3"]
        document["files"].append("nonsense")

    _change(folder, forget)
    before = json.loads((folder / "metadata.json").read_text())
    report = run()
    assert (report.unrecorded_files, report.recorded_files, report.findings) == (1, 0, ())
    assert json.loads((folder / "metadata.json").read_text()) == before, "unasked, nothing is written"
    report = run(records=True)
    assert (report.read_files, report.unrecorded_files, report.recorded_files) == (0, 0, 1)
    after = json.loads((folder / "metadata.json").read_text())
    assert after["files"][1].items() >= {
        ("name", "config.json"),
        ("original_name", "CONFIG.JSON"),
        ("sha256", hashlib.sha256(b"{}").hexdigest()),
        ("blake3", blake3.blake3(b"{}").hexdigest()),
        ("mtime_ns", (folder / "config.json").stat().st_mtime_ns),
    }
    after["files"][1] = before["files"][1]
    assert after == before
    assert run(records=True).recorded_files == 0


def test_deleting_the_cache_costs_a_reading(run, folder, library):
    assert run().read_files == 2
    shutil.rmtree(library / ".pumas" / "cache")
    report = run()
    assert (report.read_files, report.findings) == (2, ())


def test_a_file_behind_a_link_is_followed(run, folder, tmp_path):
    outside = tmp_path / "outside.gguf"
    (folder / "one.gguf").rename(outside)
    (folder / "one.gguf").symlink_to(outside)
    assert (run().read_files, run().read_files) == (2, 0)
    outside.write_bytes(b"GGUF two")
    assert _told(run()) == [("edited", "llm/llama/One/one.gguf")]
    outside.unlink()
    report = run()
    assert _told(report) == [("unreadable", "llm/llama/One/one.gguf")]
    assert report.findings[0].what == "it can't be read: No such file or directory"


def test_a_document_that_is_a_link_counts_within_the_library(run, folder, library, tmp_path):
    (folder / "metadata.json").rename(library / "llm" / "document.json")
    (folder / "metadata.json").symlink_to(library / "llm" / "document.json")
    assert (run().read_files, _told(run())) == (2, [])
    (library / "llm" / "document.json").rename(tmp_path / "document.json")
    (folder / "metadata.json").unlink()
    (folder / "metadata.json").symlink_to(tmp_path / "document.json")
    assert _told(run()) == [("document", "llm/llama/One/metadata.json")]


def test_only_the_models_asked_for(run, folder, library):
    _write(library, "llm/llama/Two", {"two.gguf": b"two"})
    report = run(model_ids=("llm/llama/Two", "llm/llama/Two"))
    assert (report.model_count, report.read_files) == (1, 1)
    assert run().read_files == 2
    assert run(model_ids=("llm/llama/Two",), is_full=True).read_files == 1
    for model_id in ("llm/llama/Three", "llm/llama", "", "../x"):
        with pytest.raises(ModelNotFound):
            run(model_ids=(model_id,))


def test_files_read_too_long_ago_are_read_again(run, folder, library, clock):
    run()
    clock.ahead_s += 20 * DAY_S
    _write(library, "llm/llama/Two", {"two.gguf": b"two"})
    assert run(max_age_s=30 * DAY_S).read_files == 1
    clock.ahead_s += 20 * DAY_S
    assert run().read_files == 0
    assert run(max_age_s=30 * DAY_S, is_full=True).read_files == 2
    assert run(max_age_s=30 * DAY_S).read_files == 0


class _Ticks:
    """A clock that goes on by a second each time it is looked at."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_a_full_verification_goes_on_where_its_budget_ended(run, library, clock, monkeypatch):
    for number in range(6):
        _write(library, f"llm/llama/M{number}", {"m.gguf": bytes([number])})
    assert run().read_files == 6
    clock.ahead_s += DAY_S
    monkeypatch.setattr(verify, "_BATCH_FILES", 1)
    monkeypatch.setattr(verify, "monotonic", _Ticks())
    first = run(is_full=True, budget_s=3)
    assert (first.read_files, first.left_files, first.left_bytes) == (2, 4, 4)
    clock.ahead_s += DAY_S
    second = run(is_full=True, budget_s=4)
    assert (second.read_files, second.left_files) == (3, 1)
    clock.ahead_s += DAY_S
    third = run(is_full=True)
    assert (third.read_files, third.unchanged_files, third.left_files) == (1, 5, 0)
    clock.ahead_s += DAY_S
    assert run(is_full=True).read_files == 6, "the one before had come to its end"


def test_a_full_verification_that_was_forgotten_begins_again(run, folder, clock):
    run()
    clock.ahead_s += DAY_S
    assert run(is_full=True, budget_s=0).left_files == 2
    clock.ahead_s += DAY_S
    assert run(max_age_s=0).read_files == 2
    assert run(is_full=True, budget_s=0).left_files == 0, "all was read since it was begun"
    assert run(is_full=True, budget_s=0).left_files == 2
    clock.ahead_s += 100 * DAY_S
    assert run(max_age_s=0).read_files == 2
    clock.ahead_s += DAY_S
    assert run(is_full=True).read_files == 2


def test_files_that_were_left_are_read_by_the_next_run(run, folder):
    for _ in range(2):
        report = run(budget_s=0)
        assert (report.read_files, report.left_files, report.left_bytes, report.findings) == (0, 2, 10, ())
    assert run().read_files == 2


class _CancelledAfter(Progress):
    """Is cancelled once so many bytes were read."""

    def __init__(self, given: Progress, most: int) -> None:
        self._given = given
        self._most = most
        self.cancel_token = given.cancel_token

    def report(self, done: int, total: int | None = None, stage: str = "", **rest: Any) -> None:
        if done >= self._most:
            self.cancel_token.cancel()
        self._given.report(done, total, stage)

    def check(self) -> None:
        self._given.check()


def test_what_was_read_before_a_cancel_is_known(run, library, monkeypatch):
    for number in range(6):
        _write(library, f"llm/llama/M{number}", {"m.gguf": bytes([number])})
    monkeypatch.setattr(verify, "_BATCH_FILES", 1)
    with pytest.raises(Cancelled):
        run(lambda given: _CancelledAfter(given, 4), is_full=True)
    report = run()
    assert (report.read_files, report.unchanged_files) == (3, 3)


def test_the_oldest_reading_is_renewed_first(run, folder, library, clock, monkeypatch):
    run()
    clock.ahead_s += DAY_S
    _write(library, "llm/llama/A", {"young.gguf": b"young"})
    run()
    clock.ahead_s += DAY_S
    _write(library, "llm/llama/Z", {"new.gguf": b"new"})
    monkeypatch.setattr(verify, "_BATCH_FILES", 1)
    monkeypatch.setattr(verify, "monotonic", _Ticks())
    report = run(max_age_s=0, budget_s=4)
    assert (report.read_files, report.read_bytes, report.left_bytes) == (3, len(b"newGGUF one{}"), len(b"young"))


def test_a_name_that_is_no_text_is_told_with_its_model(run, folder):
    for name in (b"\xff.gguf", b"two.gguf"):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(b"x")
    for _ in range(2):
        report = run()
        assert sorted(_told(report)) == [
            ("extra", "llm/llama/One/two.gguf"),
            ("unreadable", "llm/llama/One/\\xff.gguf"),
        ]
        assert report.findings[0].model_id == "llm/llama/One"
        assert msgspec.json.encode(report)
    assert _told(run(model_ids=("llm/llama/One",)))


def test_digests_that_can_not_be_recorded_are_told_as_missing_still(run, folder, library, caplog):
    _change(folder, lambda document: [document["files"][1].pop(name) for name in ("sha256", "blake3")])
    before = (folder / "metadata.json").read_bytes()
    run()
    locks = library / ".pumas" / "locks"
    locks.rmdir() if locks.exists() else None
    locks.write_text("no folder")
    report = run(records=True)
    assert (report.recorded_files, report.unrecorded_files, report.is_sound) == (0, 1, True)
    assert "digests of llm/llama/One could not be recorded" in caplog.text
    assert (folder / "metadata.json").read_bytes() == before


def test_rot_is_told_though_nothing_is_recorded(run, folder, library):
    _change(folder, lambda document: [document["files"][0].pop(name) for name in ("sha256", "blake3")])
    run()
    (folder / "one.gguf").write_bytes(b"GGUF onE")
    _pretend_unwritten(library, "llm/llama/One/one.gguf")
    for scope in ({"is_full": True}, {}, {"records": True}):
        report = run(**scope)
        assert (_told(report), report.recorded_files) == ([("rotten", "llm/llama/One/one.gguf")], 0)


@pytest.mark.parametrize("written", [{"sha256": "0" * 64}, {"blake3": "0" * 64}, {"size": 7}])
def test_a_document_that_somebody_else_writes_meanwhile_stays_as_it_is(run, folder, written):
    """The document is read again, locked, before it is completed."""

    def forget(document: dict[str, Any]) -> None:
        del document["files"][1]["sha256"], document["files"][1]["blake3"]

    _change(folder, forget)
    run()

    class Meanwhile(_CancelledAfter):
        def report(self, done: int, total: int | None = None, stage: str = "", **rest: Any) -> None:
            if total is not None:
                _change(folder, lambda document: document["files"][1].update(written))

    report = run(lambda given: Meanwhile(given, 0), records=True, is_full=True)
    assert report.recorded_files == 0
    entry = json.loads((folder / "metadata.json").read_text())["files"][1]
    assert entry == {"name": "config.json", "original_name": "CONFIG.JSON", "size": 2, **written}


def test_rot_that_another_run_finds_meanwhile_is_not_forgotten(run, folder, library):
    run()
    (folder / "one.gguf").write_bytes(b"GGUF onE")
    _pretend_unwritten(library, "llm/llama/One/one.gguf")
    other = _write(library, "llm/llama/Two", {"two.gguf": b"two"})
    (other / "extra.txt").write_text("so that it is looked into each time")
    assert [kind for kind, _ in _told(run())] == ["extra"]
    # The first run has seen that no file of the model was written; then a second one, which reads it, goes by.
    (folder / "config.json").touch()
    has_run: list[bool] = []

    class Overtaken(_CancelledAfter):
        def report(self, done: int, total: int | None = None, stage: str = "", **rest: Any) -> None:
            if total is not None and not has_run:
                has_run.append(True)
                with closing(open_cache(library, is_writable=True, fallback=None)) as cache:
                    report = verify_library(Layout(library.parents[1]), cache, Scope(is_full=True), self._given)
                assert ("rotten", "llm/llama/One/one.gguf") in _told(report)

    run(lambda given: Overtaken(given, 0))
    assert has_run
    assert ("rotten", "llm/llama/One/one.gguf") in _told(run())
