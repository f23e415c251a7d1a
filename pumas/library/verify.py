"""Is the content of the models' files still what it was? Compared with what their documents say (`recorded`).

A file whose fingerprint is that of its last reading is not read again, and a model of which nothing changed since all
of it was found in order (`stamps`) is not even looked into.

    table `meta`   "verify_full"   when a full verification began that has not come to its end, ns since 1970

Nothing that is recorded is ever replaced: a file that is not as recorded is told again and again, until somebody
restores it. Digests are written into a document only when that is asked for, and only where there are none.

What the system holds of a file in memory is compared as it is there: rot of the drive shows once it reads it anew.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter, time_ns
from typing import cast

from pumas.errors import ModelNotFound, PumasError
from pumas.jobs import Progress
from pumas.library.cases import Case, open_cases
from pumas.library.fingerprints import size_of
from pumas.library.inventory import Inventory, ModelFolder, take_inventory
from pumas.library.known import KEPT, Known, read_contents, recall, remember
from pumas.library.recorded import differences
from pumas.library.stamps import Stamp, keep_stamps, recall_stamps
from pumas.library.vanished import forget_vanished
from pumas.models import VerifyFinding, VerifyReport
from pumas.store.cache import Cache, Table, path_key
from pumas.store.library_documents import Metadata, ModelFile
from pumas.store.metadata import METADATA, update_metadata
from pumas.store.paths import Layout

logger = logging.getLogger(__name__)

_BEGUN_FULL = b"verify_full"
_RESUMABLE_NS = 90 * 86_400 * 10**9  # what was begun longer ago has been forgotten by whoever began it
# What is read at once: so much is lost when a process is killed, and so much later than its budget a run ends.
_BATCH_BYTES = 1 << 30
_BATCH_FILES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is to be verified."""

    model_ids: tuple[str, ...] | None = None
    """None for all."""
    is_full: bool = False
    """Read every file once, whatever its fingerprint."""
    max_age_s: float | None = None
    """Read every file that was last read longer ago; with `is_full`, no others."""
    budget_s: float | None = None
    """Begin to read no more files after so long."""
    records: bool = False
    """Write digests into documents that have none."""


@dataclass(frozen=True, slots=True)
class _Due:
    """One file that is to be read."""

    case: Case
    name: str
    verified_at_ns: int
    """When it was last read; 0 if nobody knows."""

    @property
    def size_bytes(self) -> int:
        return size_of(self.case.fingerprints[self.name])


def verify_library(layout: Layout, cache: Cache, scope: Scope, progress: Progress) -> VerifyReport:
    """Verify models; what was read is known from then on, however the work ends.

    Raises:
        ModelNotFound: There is no model of an id in the scope.
        Unavailable: The library can't be listed.
        Cancelled: The job is to end.
    """
    return _Verification(layout, cache, scope, progress).run()


class _Verification:
    """One run."""

    def __init__(self, layout: Layout, cache: Cache, scope: Scope, progress: Progress) -> None:
        self._layout = layout
        self._cache = cache
        self._scope = scope
        self._progress = progress
        self._begun = perf_counter()
        self._deadline = None if scope.budget_s is None else monotonic() + scope.budget_s
        self._findings: list[VerifyFinding] = []
        self._unchanged = 0
        self._unrecorded = 0
        self._recorded = 0

    def run(self) -> VerifyReport:
        self._progress.report(0, None, "looking at files")
        inventory = take_inventory(self._layout.library, cancel=self._progress.cancel_token)
        models = self._chosen(inventory)
        self._find_problems(inventory, models)
        due_before_ns = self._due_before_ns()
        cases = list(self._open(inventory, models, due_before_ns))
        due = [one for case in cases for one in _due(case, due_before_ns)]
        self._unchanged += sum(len(case.fingerprints) for case in cases) - len(due)
        # The oldest first; files that were never read before all others.
        due.sort(key=lambda one: one.verified_at_ns)
        read = self._read(due)
        self._conclude(inventory, cases)
        left = due[read:]
        if self._scope.is_full and self._scope.model_ids is None and not left:
            self._cache.delete_many(Table.META, [_BEGUN_FULL])
            forget_vanished(self._layout.library, self._cache, time_ns(), cancel=self._progress.cancel_token)
        return VerifyReport(
            model_count=len(models),
            unchanged_files=self._unchanged,
            read_files=read,
            read_bytes=sum(one.size_bytes for one in due[:read]),
            left_files=len(left),
            left_bytes=sum(one.size_bytes for one in left),
            unrecorded_files=self._unrecorded,
            recorded_files=self._recorded,
            findings=tuple(sorted(self._findings, key=lambda finding: finding.kind == "extra")),
            elapsed_s=perf_counter() - self._begun,
        )

    def _chosen(self, inventory: Inventory) -> list[ModelFolder]:
        if self._scope.model_ids is None:
            return list(inventory.models.values())
        for model_id in self._scope.model_ids:
            if model_id not in inventory.models:
                raise ModelNotFound(model_id)
        return [inventory.models[model_id] for model_id in dict.fromkeys(self._scope.model_ids)]

    def _find_problems(self, inventory: Inventory, models: Sequence[ModelFolder]) -> None:
        """Tell what could not be looked at; such a thing may have been a model."""
        chosen = {model.model_id for model in models}
        for path, reason in inventory.problems:
            parts = path.split("/")
            above = ("/".join(parts[:length]) for length in range(1, len(parts) + 1))
            model_id = next((one for one in above if one in inventory.models), "")
            if model_id in chosen or self._scope.model_ids is None:
                self._findings.append(VerifyFinding(kind="unreadable", model_id=model_id, path=path, what=reason))

    def _due_before_ns(self) -> int | None:
        """Files that were last read before then are read again; None if none are for that reason."""
        limits = []
        if self._scope.is_full:
            limits.append(self._full_begun_ns())
        if self._scope.max_age_s is not None:
            limits.append(time_ns() - round(self._scope.max_age_s * 1e9))
        return min(limits, default=None)

    def _full_begun_ns(self) -> int:
        """When the full verification began that this one goes on with, else now."""
        now_ns = time_ns()
        if self._scope.model_ids is not None:
            return now_ns
        text = self._cache.get(Table.META, _BEGUN_FULL)
        if text is not None and text.isdigit() and now_ns - _RESUMABLE_NS < int(text) <= now_ns:
            return int(text)
        self._cache.put_many(Table.META, [(_BEGUN_FULL, str(now_ns).encode())])
        return now_ns

    def _open(self, inventory: Inventory, models: Sequence[ModelFolder], due_before_ns: int | None) -> Iterator[Case]:
        in_order = recall_stamps(self._cache) if due_before_ns is None else {}
        changed = []
        for model in models:
            stamp, count = in_order.get(path_key(model.model_id), (None, 0))
            if stamp is not None and stamp == inventory.stamp(model):
                self._unchanged += count
            else:
                changed.append(model)
        cancel = self._progress.cancel_token
        for one in open_cases(self._layout.library, inventory, changed, self._cache, cancel):
            self._progress.check()
            if isinstance(one, Case):
                yield one
            else:
                model, reason = one
                what = f"the document can't be used: {reason}; `pumas doctor` tells more"
                path = f"{model.model_id}/{METADATA.file}"
                self._findings.append(VerifyFinding(kind="document", model_id=model.model_id, path=path, what=what))

    def _read(self, due: Sequence[_Due]) -> int:
        """Read files in order until the budget is used up; returns how many were read."""
        total, done, read = sum(one.size_bytes for one in due), 0, 0
        while read < len(due) and (self._deadline is None or monotonic() < self._deadline):
            batch = _next_batch(due, read)
            self._read_batch(batch, done, total)
            read += len(batch)
            done += sum(one.size_bytes for one in batch)
        return read

    def _read_batch(self, batch: Sequence[_Due], done_before: int, total: int) -> None:
        library = self._layout.library
        contents = read_contents(
            [f"{library}/{one.case.path(one.name)}" for one in batch],
            [one.case.known[one.name] for one in batch],
            progress=lambda done: self._progress.report(done_before + done, total, "reading files"),
            cancel=self._progress.cancel_token,
        )
        fresh = []
        for one, content in zip(batch, contents, strict=True):
            one.case.contents[one.name] = content
            if isinstance(content, Known):
                fresh.append((one.case.path(one.name), content))
        remember(self._cache, fresh)

    def _judge(self, case: Case) -> bool:
        """Tell what is wrong with a model; whether there is nothing to be told as long as it does not change."""
        findings = list(differences(case.model.model_id, case.recorded, case.said, case.contents))
        self._findings.extend(findings)
        known = {name: one for name, one in case.contents.items() if isinstance(one, Known)}
        unrecorded = {name for name in known if not case.said[name].has_digest}
        recorded: frozenset[str] = frozenset()
        if self._scope.records and all(finding.kind == "extra" for finding in findings):
            recorded = self._record(case, known)
        self._recorded += len(recorded)
        self._unrecorded += len(unrecorded - recorded)
        return not (findings or unrecorded or recorded)

    def _record(self, case: Case, known: dict[str, Known]) -> frozenset[str]:
        """Write digests into the document, wherever it has none of a file that it names; returns these names."""
        missing = {
            name: one
            for name, one in known.items()
            if name in case.recorded.files and not case.recorded.files[name].has_digest
        }
        if not missing:
            return frozenset()
        written: set[str] = set()

        def change(document: Metadata) -> Metadata:
            files = document.get("files")
            if not isinstance(files, list):
                return document
            completed = [_completed(entry, missing, written) for entry in files]
            return {**document, "files": cast("list[ModelFile]", completed)}

        try:
            update_metadata(self._layout, case.model.model_id, change)
        except PumasError as exc:
            logger.warning("digests of %s could not be recorded: %s", case.model.model_id, exc)
            return frozenset()
        return frozenset(written)

    def _conclude(self, inventory: Inventory, cases: Sequence[Case]) -> None:
        """Judge the models that were looked into, and keep the stamps of all that are in order."""
        sound = {case.model.model_id for case in cases if self._judge(case)}
        # Another verification may have come to other results meanwhile: ours count only where what they stand on is
        # kept.
        found = {case.model.model_id: self._stamp(inventory, case, sound) for case in cases}
        keep_stamps(self._cache, found, inventory.models)

    def _stamp(self, inventory: Inventory, case: Case, sound: set[str]) -> Stamp | None:
        """The stamp of a model of which all is in order, and is seen by its stamp."""
        if case.model.model_id not in sound or case.hidden or not self._is_kept(case):
            return None
        stamp = inventory.stamp(case.model)
        return None if stamp is None else (stamp, len(case.fingerprints))

    def _is_kept(self, case: Case) -> bool:
        names = list(case.fingerprints)
        known = recall(self._cache, [case.path(name) for name in names])
        return None not in known and known == [case.contents[name] for name in names]


def _due(case: Case, due_before_ns: int | None) -> Iterator[_Due]:
    """The files of a model that have to be read: unknown, changed, or last read too long ago."""
    now_ns = time_ns()
    for name in case.fingerprints:
        known = case.known[name]
        # A time that is yet to come was told by a clock that was wrong.
        verified_at_ns = known.verified_at_ns if known is not None and known.verified_at_ns <= now_ns else 0
        if case.contents[name] is None or (due_before_ns is not None and verified_at_ns < due_before_ns):
            yield _Due(case, name, verified_at_ns)


def _next_batch(due: Sequence[_Due], start: int) -> Sequence[_Due]:
    end, size_bytes = start, 0
    while end < min(len(due), start + _BATCH_FILES) and (end == start or size_bytes < _BATCH_BYTES):
        size_bytes += due[end].size_bytes
        end += 1
    return due[start:end]


def _completed(entry: object, missing: Mapping[str, Known], written: set[str]) -> object:
    """An entry of `files` with the digests that it lacks; it is as it was if it has any, or another size."""
    if not isinstance(entry, Mapping):
        return entry
    name = entry.get("name")
    known = missing.get(name) if isinstance(name, str) else None
    if known is None or entry.get("size") not in (None, known.size_bytes):
        return entry
    # Nothing that is recorded is replaced, whatever it is.
    if any(entry.get(algorithm) not in (None, "") for algorithm in KEPT):
        return entry
    written.add(str(name))
    return {**entry, "sha256": known.sha256.hex(), "blake3": known.blake3.hex(), "mtime_ns": known.mtime_ns}
