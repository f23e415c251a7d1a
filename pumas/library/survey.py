"""Which models lie in the library, and the columns of the index that their documents give.

A folder is a model if it holds a `metadata.json`; left out are the library itself, dot folders (downloads in
progress, our own caches), `.tmp_import_*` and whatever lies inside a model folder (`storage.md` §4.1).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import time_ns

import pumas_native

from pumas.config import MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH, MAX_READ_BYTES
from pumas.errors import InvalidInput, PumasError, Unavailable, native_errors
from pumas.models import DocumentProblem, DocumentRow
from pumas.store.metadata import METADATA
from pumas.store.paths import readable, resolve_inside

DOCUMENT = METADATA.file
# A document may change once more within the same tick of the file system's clock; such a young one is read again.
RACY_NS = 2_000_000_000
_BATCH = 2000  # documents read at once: a few MB of text

REASONS = {
    "vanished": "it vanished",
    "unreadable": "it may not be read",
    "not-utf8": "its name is not valid UTF-8; rename it",
    "too-deep": "it lies too deep",
}


@dataclass(slots=True)
class Survey:
    """The documents found by one walk; all grow while they are read."""

    library: Path
    model_ids: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    problems: list[DocumentProblem] = field(default_factory=list)
    read: int = 0
    """Documents read so far."""
    is_nested: bool = False
    """Models were found below a document that makes none; one walk does not see those."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What differs from what was known: documents to be read, and hashes of folders that have none any more."""

    survey: Survey
    vanished: frozenset[bytes]
    records: bytes
    """The known records for the next time (`pumas_native.changed_documents`)."""


def changed_in_library(library: Path, known: bytes, *, cancel: pumas_native.CancelToken | None = None) -> Changed:
    """Walk the library, one stat per document, and compare with what was known; without records all is new.

    Raises:
        Unavailable: The library can't be listed.
        Cancelled: `cancel` was set.
    """
    survey = Survey(library)
    begun_ns = time_ns()
    tree = _scan(survey, "", cancel)
    with native_errors():
        changes = pumas_native.changed_documents(tree, known, racy_after_ns=begun_ns - RACY_NS)
    kinds = tree.kinds
    for index in memoryview(changes.changed).cast("I"):
        _add(survey, tree.path(index), kinds[index], "", cancel)
    vanished = frozenset(changes.vanished[start : start + 16] for start in range(0, len(changes.vanished), 16))
    return Changed(survey, vanished, changes.records)


def _scan(survey: Survey, folder: str, cancel: pumas_native.CancelToken | None) -> pumas_native.Tree:
    with native_errors():
        tree = pumas_native.scan_tree(
            survey.library / folder, names=[DOCUMENT], skip_hidden=True, leaf_marker=DOCUMENT, cancel=cancel
        )
    prefix = f"{folder}/" if folder else ""
    survey.problems.extend(_problem(prefix + os.fsdecode(path), REASONS[reason]) for path, reason in tree.problems)
    for index, kind in enumerate(tree.kinds):
        if kind == ord("o"):
            survey.problems.append(_problem(prefix + tree.path(index), "it is not a regular file"))
    return tree


def _survey_below(survey: Survey, folder: str, cancel: pumas_native.CancelToken | None) -> None:
    """Add the documents below one folder of the library, whose own document makes no model."""
    tree = _scan(survey, folder, cancel)
    for index, kind in enumerate(tree.kinds):
        if kind in (ord("f"), ord("l")):
            survey.is_nested = _add(survey, tree.path(index), kind, folder, cancel) or survey.is_nested


def _add(survey: Survey, path: str, kind: int, folder: str, cancel: pumas_native.CancelToken | None) -> bool:
    """Add one document, by its path below `folder`, to the survey; False when it is the folder's own."""
    below = f"{folder}/{path}" if folder else path
    model_id = below[: -len(DOCUMENT) - 1]
    if model_id == folder:
        return False
    full = f"{survey.library}/{below}"  # PERF: a Path for each would take as long as the walk
    if kind == ord("l"):
        linked = _resolve_link(survey.library, below, survey)
        if linked is None:
            _survey_below(survey, model_id, cancel)
            return True
        full = str(linked)
    survey.model_ids.append(model_id)
    survey.paths.append(full)
    return True


def _survey_below_if_there(survey: Survey, folder: str, cancel: pumas_native.CancelToken | None) -> None:
    try:
        _survey_below(survey, folder, cancel)
    except Unavailable:
        return  # the folder vanished with its document, which has been reported


def _resolve_link(library: Path, below: str, survey: Survey) -> Path | None:
    # SECURITY: a document that is a link counts, but not one that shows a file outside the library.
    try:
        return resolve_inside(library, below, parameter=DOCUMENT)
    except InvalidInput:
        survey.problems.append(_problem(below, "it is a link that leads out of the library"))
    except PumasError as exc:
        survey.problems.append(_problem(below, str(exc)))
    return None


def _problem(path: str, reason: str) -> DocumentProblem:
    return DocumentProblem(path=readable(path), reason=reason)


def read_rows(
    survey: Survey,
    *,
    progress: Callable[[int], None] | None = None,
    cancel: pumas_native.CancelToken | None = None,
) -> Iterator[list[DocumentRow]]:
    """Read the documents of a survey in batches; each batch keeps the order of the survey.

    A document that makes no model hides nothing: what lies in the folders below it is added to the survey and read.

    Args:
        survey: Its `problems` take up each document that can't be used.
        progress: Called with the documents read so far after each batch.
        cancel: Looked at between files.

    Raises:
        Cancelled: `cancel` was set.
    """
    # The next batch is read while the caller writes the last one.
    with ThreadPoolExecutor(1, thread_name_prefix="read-documents") as reader:
        ahead = reader.submit(_read_next, survey, cancel)
        while (batch := ahead.result()) is not None:
            ahead = reader.submit(_read_next, survey, cancel)
            yield batch
            if progress:
                progress(survey.read)


def _read_next(survey: Survey, cancel: pumas_native.CancelToken | None) -> list[DocumentRow] | None:
    start = survey.read
    paths = survey.paths[start : start + _BATCH]
    if not paths:
        return None
    with native_errors():
        columns = pumas_native.read_metadata_files(
            paths,
            max_bytes=MAX_DOCUMENT_BYTES,
            max_depth=MAX_DOCUMENT_DEPTH,
            max_total_bytes=MAX_READ_BYTES,
            cancel=cancel,
        )
    survey.read += columns.read
    for position, reason in columns.problems:
        survey.problems.append(_problem(f"{survey.model_ids[start + position]}/{DOCUMENT}", reason))
    for position in sorted(set(range(columns.read)).difference(columns.positions)):
        _survey_below_if_there(survey, survey.model_ids[start + position], cancel)
    ids = [survey.model_ids[start + position] for position in columns.positions]
    return list(
        zip(
            ids,
            ids,
            columns.cleaned_name,
            columns.official_name,
            columns.model_type,
            columns.tags_json,
            columns.hashes_json,
            columns.metadata_json,
            strict=True,
        )
    )
