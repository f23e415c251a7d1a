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

import pumas_native

from pumas.config import MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH, MAX_READ_BYTES
from pumas.errors import InvalidInput, PumasError, Unavailable, native_errors
from pumas.models import DocumentProblem
from pumas.store.paths import resolve_inside

DOCUMENT = "metadata.json"
_BATCH = 2000  # documents read at once: a few MB of text

# id, path, cleaned_name, official_name, model_type, tags_json, hashes_json, metadata_json
Row = tuple[str, str, str, str, str, str, str, str]

_REASONS = {
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


def survey_library(library: Path, *, cancel: pumas_native.CancelToken | None = None) -> Survey:
    """Walk the library.

    Raises:
        Unavailable: The library can't be listed.
        Cancelled: `cancel` was set.
    """
    survey = Survey(library)
    _survey_below(survey, "", cancel)
    return survey


def _survey_below(survey: Survey, folder: str, cancel: pumas_native.CancelToken | None) -> None:
    """Add the documents below one folder of the library, whose own document does not count."""
    with native_errors():
        tree = pumas_native.scan_tree(
            survey.library / folder,
            names=[DOCUMENT],
            skip_hidden=True,
            leaf_marker=DOCUMENT,
            names_only=True,
            cancel=cancel,
        )
    prefix = f"{folder}/" if folder else ""
    survey.problems.extend(_problem(prefix + os.fsdecode(path), _REASONS[reason]) for path, reason in tree.problems)
    for index, kind in enumerate(tree.kinds):
        if kind == ord("d"):
            continue
        below = prefix + tree.path(index)
        model_id = below[: -len(DOCUMENT) - 1]
        if model_id == folder:
            continue
        if kind == ord("o"):
            survey.problems.append(_problem(below, "it is not a regular file"))
            continue
        path = f"{survey.library}/{below}"  # PERF: a Path for each would take as long as the walk
        if kind == ord("l"):
            linked = _resolve_link(survey.library, below, survey)
            if linked is None:
                _survey_below(survey, model_id, cancel)
                continue
            path = str(linked)
        survey.model_ids.append(model_id)
        survey.paths.append(path)


def _survey_below_if_there(survey: Survey, folder: str, cancel: pumas_native.CancelToken | None) -> None:
    try:
        _survey_below(survey, folder, cancel)
    except Unavailable:
        return  # the folder vanished with its document, which has been reported


def _resolve_link(library: Path, below: str, survey: Survey) -> Path | None:
    # SECURITY: a document that is a link counts, but not one that shows a file outside the library.
    try:
        return resolve_inside(library, below, parameter="metadata.json")
    except InvalidInput:
        survey.problems.append(_problem(below, "it is a link that leads out of the library"))
    except PumasError as exc:
        survey.problems.append(_problem(below, str(exc)))
    return None


def _problem(path: str, reason: str) -> DocumentProblem:
    return DocumentProblem(path=os.fsencode(path).decode("utf-8", "backslashreplace"), reason=reason)


def read_rows(
    survey: Survey,
    *,
    progress: Callable[[int], None] | None = None,
    cancel: pumas_native.CancelToken | None = None,
) -> Iterator[list[Row]]:
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


def _read_next(survey: Survey, cancel: pumas_native.CancelToken | None) -> list[Row] | None:
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
