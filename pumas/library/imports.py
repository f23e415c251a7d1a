"""Importing files and folders as models: by moving, copying, or linking them.

What is done in which order, and what the next start makes of it, is in `import_journal`. Models are made in groups, so
that many small ones share their syncs; a large one is a group of its own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, perf_counter
from typing import Final

import pumas_native
from msgspec.structs import replace

from pumas.errors import Cancelled, Conflict, PumasError, Unavailable
from pumas.jobs import Progress
from pumas.library.adopt import adopt
from pumas.library.dedupe import Duplicates
from pumas.library.digests import digest_files
from pumas.library.import_digests import note_due
from pumas.library.import_document import metadata_of
from pumas.library.import_ending import clear_sources, is_unchanged, rename_in
from pumas.library.import_journal import Journal
from pumas.library.import_placing import (
    Making,
    check_space,
    digest,
    failing,
    make_work_folders,
    place,
    verify_copies,
)
from pumas.library.import_plan import Plan, entry_of, plan_imports
from pumas.library.import_sets import join_shards
from pumas.library.import_sources import Finder
from pumas.library.import_undo import part_of, undo
from pumas.library.records import is_model_file
from pumas.library.shards import shard_notes
from pumas.models import FileProgress, ImportMode, ImportReport, ImportRequest, ImportResult
from pumas.store.documents import sync_file, sync_folder, write_new_document
from pumas.store.metadata import METADATA, OVERRIDES
from pumas.store.paths import Layout, readable

logger = logging.getLogger(__name__)

_GROUP_MODELS: Final = 128
_GROUP_BYTES: Final = 512 * 1024 * 1024
_PLANNED: Final = 1000  # paths looked at between two looks at whether to end
_FOLLOW_S: Final = 1.0
_WRITERS: Final = 8  # PERF: a file system commits many syncs at once; 750 us a model by one, 330 by eight (ext4)
_TOLD_S: Final = 0.1  # between two words about how far it is; it is to be 5 a second
_TOLD_MODELS: Final = 32
_TOLD_FILES: Final = 1000
_SHOWN_FILES: Final = 8  # at work at once: two by each of the native workers


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """In what way an import is done."""

    mode: ImportMode
    allows_duplicates: bool
    """Whether a model is imported though all its files are in the library already."""


def import_models(
    layout: Layout,
    requests: Sequence[ImportRequest],
    how: How,
    *,
    duplicates: Callable[[], Duplicates],
    named: Callable[[], None],
    progress: Progress,
) -> ImportReport:
    """Import files and folders, one result each; one that can't be imported hinders no other.

    Args:
        layout: The launcher root.
        requests: What is to become models; those for the shards of one set become one, and have the same result.
        how: Mode, and what to do about duplicates.
        duplicates: What the library holds; called once.
        named: Called whenever models have got their final names, so that the index can follow.
        progress: It counts bytes.

    Raises:
        Unavailable, NoSpace: The journal can't be written; whatever has no result lies where it was.
        Cancelled: The job is to end; models that had their names stay, the others were undone.
    """
    joined, places = join_shards(requests)
    report = _Import(layout, joined, how, duplicates=duplicates, named=named, progress=progress).run()
    results = (replace(report.results[place], path=readable(requests[n].path)) for n, place in enumerate(places))
    return replace(report, results=tuple(results))


class _Import:
    """One run."""

    def __init__(
        self,
        layout: Layout,
        requests: Sequence[ImportRequest],
        how: How,
        *,
        duplicates: Callable[[], Duplicates],
        named: Callable[[], None],
        progress: Progress,
    ) -> None:
        self._layout = layout
        self._requests = requests
        self._how = how
        self._duplicates = duplicates
        self._named = named
        self._progress = progress
        self._results: dict[int, ImportResult] = {}
        self._done = 0
        self._total = 0
        self._device = layout.library.stat().st_dev
        self._has_named = False
        self._follow_at = 0.0

    def run(self) -> ImportReport:
        begun = perf_counter()
        plans = self._plan()
        self._total = sum(plan.sources.size_bytes for plan in plans.values())
        if self._how.mode == "move":
            self._total += sum(self._far_bytes(plan) for plan in plans.values())
        try:
            if plans:
                self._import(plans)
        finally:
            if self._has_named:
                self._named()
        results = tuple(_readable(self._results[number]) for number in range(len(self._requests)))
        return ImportReport(results=results, elapsed_s=perf_counter() - begun)

    def _plan(self) -> dict[int, Plan]:
        plans: dict[int, Plan] = {}
        finder = Finder(self._layout.library)
        for start in range(0, len(self._requests), _PLANNED):
            self._progress.report(start, len(self._requests), "looking at files")
            some = self._requests[start : start + _PLANNED]
            found = plan_imports(finder, some, cancel=self._progress.cancel_token)
            for number, plan in enumerate(found, start):
                self._take_on(number, plan, plans)
        return plans

    def _take_on(self, number: int, plan: Plan | PumasError, plans: dict[int, Plan]) -> None:
        path = self._requests[number].path
        try:
            if isinstance(plan, PumasError):
                raise plan
            if plan.sources.is_inside and plan.sources.is_folder:
                self._results[number] = adopt(self._layout, plan, cancel=self._progress.cancel_token)
                self._has_named = True
                return
            self._check_removable(plan)
        except Cancelled:
            raise
        except PumasError as exc:
            self._results[number] = ImportResult(path=path, error=str(exc), error_kind=exc.kind)
        else:
            plans[number] = plan

    def _check_removable(self, plan: Plan) -> None:
        """Refuse to move what can't be deleted, before it is copied to another drive."""
        if self._how.mode != "move":
            return
        for folder in {os.path.dirname(file.path) for file in plan.sources.files if not file.is_linked}:  # noqa: PTH120
            if not os.access(folder, os.W_OK):
                raise Unavailable(
                    f"{folder} may not be changed, so that nothing can be moved out of it; choose the mode `copy`"
                )

    def _far_bytes(self, plan: Plan) -> int:
        return sum(file.state.st_size for file in plan.sources.files if file.state.st_dev != self._device)

    def _import(self, plans: Mapping[int, Plan]) -> None:
        same = self._find_same(plans)
        journal = Journal.begin(self._layout)
        try:
            for group in _groups({number: plan for number, plan in plans.items() if number not in self._results}):
                self._import_group(journal, group, same)
        finally:
            journal.end()

    def _find_same(self, plans: Mapping[int, Plan]) -> dict[int, _Same]:
        """Digest files that are as large as one of the library, before anything is copied."""
        known = self._duplicates()
        same: dict[int, _Same] = {}
        for number, plan in plans.items():
            found = _Same()
            for position, file in enumerate(plan.sources.files):
                if is_model_file(file.below) and known.has_size(file.state.st_size):
                    (digests,) = digest_files(
                        [file.path],
                        progress=lambda done, total: self._progress.report(done, total, "looking for duplicates"),
                        cancel=self._progress.cancel_token,
                    )
                    if digests.sha256 is not None and digests.blake3 is not None:
                        found.digests[position] = digests.sha256, digests.blake3
                        names = known.find_same(file.state.st_size, digests.sha256)
                        found.names.extend(names)
                        found.count += bool(names)
            same[number] = found
            is_known = found.count > 0 and found.count == sum(is_model_file(file.below) for file in plan.sources.files)
            if is_known and not self._how.allows_duplicates:
                self._results[number] = ImportResult(
                    path=plan.request.path,
                    error_kind=Conflict.kind,
                    error=f"Its content is in the library already: {', '.join(found.names[:3])}; nothing was imported",
                    duplicate_of=tuple(found.names),
                )
        return same

    def _import_group(self, journal: Journal, group: Mapping[int, Plan], same: Mapping[int, _Same]) -> None:
        library = self._layout.library
        makings: list[Making] = []
        for number, plan in group.items():
            entry = entry_of(plan, number, self._how.mode, library=library, device=self._device, journal_id=journal.id)
            making = Making(plan, entry, f"{library}/{entry.work}")
            for position, digests in same[number].digests.items():
                if is_unchanged(entry.files[position]):
                    making.digests[position] = digests
            makings.append(making)
        check_space(makings, library)
        wanted = [making for making in makings if making.error is None]
        named: list[Making] = []
        try:
            journal.add([making.entry for making in wanted])
            self._make(journal, wanted)
            named = self._rename(journal, [making for making in wanted if making.error is None])
        except BaseException:
            self._undo_all(journal, [making for making in wanted if making not in named])
            raise
        for making in makings:
            if making.error is not None:
                self._fail(journal, making, is_noted=making in wanted)
        if named:
            self._has_named = True
            self._end(journal, named, same)
        self._done += sum(self._weight(making) for making in makings)

    def _weight(self, making: Making) -> int:
        size = making.plan.sources.size_bytes
        return size + self._far_bytes(making.plan) if self._how.mode == "move" else size

    def _make(self, journal: Journal, makings: Sequence[Making]) -> None:
        """Steps 3 to 7."""
        cancel = self._progress.cancel_token
        self._report(0, "placing files")
        make_work_folders(makings)
        place(makings, told=self._told_copying, cancel=cancel)
        placed_bytes = sum(making.entry.files[at].size_bytes for making in makings for at in making.copied)
        digest(makings, told=lambda done: self._report(placed_bytes + done, "reading files"), cancel=cancel)
        copied_bytes = sum(making.plan.sources.size_bytes for making in makings)
        verify_copies(
            makings,
            told=lambda done, _: self._report(copied_bytes + done, "reading copies from the drive"),
            cancel=cancel,
        )
        for making in makings:
            if making.error is None and making.entry.mode == "move" and making.copied:
                with failing(making, "Writing the journal"):
                    told = [making.digests.get(position, ("", ""))[0] for position in range(len(making.entry.files))]
                    journal.note_copied(making.entry, told)
        self._write_documents([making for making in makings if making.error is None])
        self._report(sum(self._weight(making) for making in makings), "giving names")

    def _write_documents(self, makings: Sequence[Making]) -> None:
        cancel = self._progress.cancel_token
        size_bytes = sum(self._weight(making) for making in makings)
        for number, making in enumerate(makings):
            if number % _TOLD_MODELS == 0:
                self._report(size_bytes, "writing documents")
            _write_documents(making)
        # All are written before any is synced: what the file system commits for one then holds for many.
        with ThreadPoolExecutor(_WRITERS, thread_name_prefix="import-syncs") as writers:
            parts = [writers.submit(_sync_documents, makings[first::_WRITERS], cancel) for first in range(_WRITERS)]
            while wait(parts, _TOLD_S).not_done:
                self._report(size_bytes, "writing documents")
        for part in parts:
            part.result()

    def _rename(self, journal: Journal, makings: Sequence[Making]) -> list[Making]:
        """Step 8."""
        problems = rename_in(self._layout.library, journal, [making.entry for making in makings])
        for making in makings:
            error = problems.get(making.entry.model)
            if error is not None:
                with failing(making, f"Giving {making.plan.official_name} its name"):
                    raise error
        return [making for making in makings if making.error is None]

    def _end(self, journal: Journal, makings: Sequence[Making], same: Mapping[int, _Same]) -> None:
        """Steps 9 and 10; the models are in the library."""
        due = [making.entry.final for making in makings if len(making.digests) < len(making.entry.files)]
        if due:
            note_due(self._layout, due)
        for making in makings:
            sources = making.plan.sources
            cleared = clear_sources(self._layout.library, making.entry)
            self._results[making.entry.model] = ImportResult(
                path=making.plan.request.path,
                model_id=making.entry.final,
                model_path=self._layout.library / making.entry.final,
                file_count=len(making.entry.files),
                size_bytes=sources.size_bytes,
                notes=(*sources.notes, *sources.linked_notes, *shard_notes(making.plan.names), *cleared),
                duplicate_of=tuple(same[making.entry.model].names),
                digests_due=making.entry.final in due,
            )
        journal.note_done([making.entry for making in makings])
        self._follow_now_and_then()

    def _follow_now_and_then(self) -> None:
        """Have the index follow, but spend little of the time of a long batch on it."""
        if monotonic() >= self._follow_at:
            begun = monotonic()
            self._named()
            self._has_named = False
            self._follow_at = monotonic() + max(_FOLLOW_S, 10 * (monotonic() - begun))

    def _fail(self, journal: Journal, making: Making, *, is_noted: bool) -> None:
        left = self._undo(journal, making) if is_noted else ()
        path, error = making.plan.request.path, making.error or PumasError("")
        logger.info("%s was not imported: %s", path, error)
        self._results[making.entry.model] = ImportResult(path=path, error=str(error), error_kind=error.kind, notes=left)

    def _undo_all(self, journal: Journal, makings: Sequence[Making]) -> None:
        # As with the documents: many syncs at once. A user waits for it who has cancelled.
        with ThreadPoolExecutor(_WRITERS, thread_name_prefix="import-undoes") as writers:
            list(writers.map(lambda making: self._undo(journal, making), makings))

    def _undo(self, journal: Journal, making: Making) -> tuple[str, ...]:
        entry = making.entry
        if os.path.lexists(self._layout.library / entry.final) and not os.path.lexists(making.work):
            self._has_named = True
            return ()  # it may have its name already: the next start tells, and does what is left
        left = undo(self._layout.library, entry)
        for told in left:
            logger.error("%s", told)
        if not left:
            journal.note_done([entry])
        return left

    def _told_copying(self, done: int, chosen: Sequence[tuple[Making, int]]) -> None:
        # Of many small files the total says enough: each is looked at 20 times a second.
        self._report(done, "copying files", tuple(_at_work(chosen)) if len(chosen) <= _TOLD_FILES else ())

    def _report(self, done: int, stage: str, files: tuple[FileProgress, ...] = ()) -> None:
        self._progress.report(self._done + done, self._total, stage, files=files)


@dataclass(slots=True)
class _Same:
    """Files of the library that one of a model's files is the same as."""

    digests: dict[int, tuple[str, str]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    count: int = 0


def _readable(result: ImportResult) -> ImportResult:
    """A result whose texts can be written, whatever bytes the paths in them have."""
    return replace(
        result,
        path=readable(result.path),
        error=None if result.error is None else readable(result.error),
        notes=tuple(map(readable, result.notes)),
    )


def _groups(plans: Mapping[int, Plan]) -> Iterator[dict[int, Plan]]:
    group: dict[int, Plan] = {}
    size_bytes = 0
    for number, plan in plans.items():
        if group and (len(group) >= _GROUP_MODELS or size_bytes + plan.sources.size_bytes > _GROUP_BYTES):
            yield group
            group, size_bytes = {}, 0
        group[number] = plan
        size_bytes += plan.sources.size_bytes
    if group:
        yield group


def _write_documents(making: Making) -> None:
    """Step 7; `metadata.json` last."""
    with failing(making, f"Writing the documents of {making.plan.official_name}"):
        metadata = metadata_of(making.plan, making.described(), name=making.entry.final.rpartition("/")[2])
        write_new_document(Path(making.work, OVERRIDES.file), {})
        write_new_document(Path(making.work, METADATA.file), metadata)


def _sync_documents(makings: Sequence[Making], cancel: pumas_native.CancelToken) -> None:
    for making in makings:
        if cancel.is_cancelled:
            return  # the caller ends too
        if making.error is not None:
            continue
        with failing(making, f"Syncing the documents of {making.plan.official_name}"):
            sync_file(f"{making.work}/{OVERRIDES.file}")
            for folder in _folders_below(making):
                sync_folder(f"{making.work}/{folder}")
            sync_file(f"{making.work}/{METADATA.file}")
            sync_folder(making.work)


def _folders_below(making: Making) -> set[str]:
    folders = set()
    for file in making.entry.files:
        folder = file.target.rpartition("/")[0]
        while folder:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders


def _at_work(chosen: Sequence[tuple[Making, int]]) -> Iterator[FileProgress]:
    """Files that were begun and are not finished."""
    shown = 0
    for making, position in chosen:
        try:
            done = os.stat(part_of(making.work, position)).st_size  # noqa: PTH116
        except OSError:
            continue
        total = making.entry.files[position].size_bytes
        if done < total:
            yield FileProgress(name=making.plan.sources.files[position].below, done=done, total=total)
            shown += 1
            if shown == _SHOWN_FILES:
                return
