"""What an import would make of paths: the same look that an import takes, and nothing after it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from pumas.errors import PumasError
from pumas.jobs import Progress
from pumas.library.dedupe import Duplicates
from pumas.library.digests import digest_files
from pumas.library.import_plan import Plan, plan_imports
from pumas.library.import_sets import join_shards
from pumas.library.import_sources import Finder
from pumas.library.naming import numbered_paths
from pumas.library.records import is_model_file
from pumas.library.shards import counted_sets, shard_notes
from pumas.library.sources import check_source
from pumas.models import ImportCandidate, ImportRequest
from pumas.store.names import is_ntfs_name, ntfs_name
from pumas.store.paths import readable


def classify_paths(
    library: Path, paths: Sequence[str], *, asked: ImportRequest, known: Duplicates, progress: Progress
) -> tuple[ImportCandidate, ...]:
    """Look at files and folders that may be imported; nothing is written, and no path hinders another.

    Only a file that is as large as one of the library is read to its end.

    Args:
        library: The folder of models.
        paths: Files of one set of shards are one candidate; any other path is one.
        asked: What is asked for each, but for the path.
        known: What the library holds.
        progress: It counts candidates.

    Raises:
        Cancelled: The job is to end.
    """
    return _Look(library, asked, known, progress).at(paths)


class _Look:
    """One call; what it has given a place to takes that place."""

    def __init__(self, library: Path, asked: ImportRequest, known: Duplicates, progress: Progress) -> None:
        self._library = library
        self._asked = asked
        self._known = known
        self._progress = progress
        self._finder = Finder(library)
        self._taken: set[Path] = set()

    def at(self, paths: Sequence[str]) -> tuple[ImportCandidate, ...]:
        requests, _ = join_shards([replace(self._asked, path=path) for path in paths])
        plans = plan_imports(self._finder, requests, cancel=self._progress.cancel_token)
        found = []
        for number, (request, plan) in enumerate(zip(requests, plans, strict=True)):
            self._progress.report(number, len(requests), "looking at files")
            given = _told([request.path, *request.others])
            if isinstance(plan, PumasError):
                found.append(ImportCandidate(paths=given, refusal=readable(str(plan))))
            else:
                found.append(self._candidate(given, plan))
        return tuple(found)

    def _candidate(self, given: tuple[str, ...], plan: Plan) -> ImportCandidate:
        model_id, notes = self._place(plan)
        return ImportCandidate(
            paths=given,
            model_id=model_id,
            official_name=plan.official_name,
            model_type=plan.kind.model_type or "",
            subtype=plan.kind.subtype,
            family=plan.folder.parent.name,
            files=plan.names,
            size_bytes=plan.sources.size_bytes,
            shards=counted_sets(plan.names),
            duplicate_of=tuple(self._duplicates(plan)),
            evidence=plan.kind.evidence,
            confidence=plan.kind.confidence,
            needs_review=plan.kind.needs_review,
            notes=_told([*notes, *_notes(plan)]),
        )

    def _duplicates(self, plan: Plan) -> Iterator[str]:
        for file in plan.sources.files:
            if not is_model_file(file.below) or not self._known.has_size(file.state.st_size):
                continue
            (digests,) = digest_files(
                [file.path],
                algorithms=("sha256",),
                progress=lambda done, total: self._progress.report(done, total, "looking for duplicates"),
                cancel=self._progress.cancel_token,
            )
            if digests.sha256 is not None:
                yield from self._known.find_same(file.state.st_size, digests.sha256)

    def _place(self, plan: Plan) -> tuple[str, list[str]]:
        """The id that the model would get, and what there is to say about it."""
        if plan.sources.is_inside and plan.sources.is_folder:
            below = Path(plan.sources.path).relative_to(self._library.resolve())
            return below.as_posix(), ["It lies in the library already and would become a model where it is"]
        free = numbered_paths(plan.folder)
        folder = next(path for path in free if path not in self._taken and not os.path.lexists(path))
        self._taken.add(folder)
        notes = []
        if folder != plan.folder:
            notes.append(f"A model of the name {plan.folder.name} is there already; this one would be {folder.name}")
        if not is_ntfs_name(folder.name):
            notes.append(f"No folder of an NTFS drive can be named {folder.name}, only {ntfs_name(folder.name)}")
        return folder.relative_to(self._library).as_posix(), notes


def _notes(plan: Plan) -> Iterator[str]:
    yield from plan.sources.notes
    if not (plan.sources.is_inside and plan.sources.is_folder):
        yield from plan.sources.linked_notes
    for issue in check_source(Path(plan.sources.path)):
        yield issue.what
    yield from shard_notes(plan.names)


def _told(texts: Sequence[str]) -> tuple[str, ...]:
    """Texts that can be written, whatever bytes a path in them has."""
    return tuple(map(readable, texts))
