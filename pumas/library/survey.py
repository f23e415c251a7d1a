"""Which models lie in the library, and the columns of the index that their documents give.

A folder is a model if it holds a `metadata.json`; left out are the library itself, dot folders (downloads in
progress, our own caches), `.tmp_import_*` and whatever lies inside a model folder (`storage.md` §4.1).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pumas_native

from pumas.config import MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH
from pumas.errors import InvalidInput, PumasError, native_errors
from pumas.models import DocumentProblem
from pumas.store.paths import resolve_inside

DOCUMENT = "metadata.json"
_BATCH = 2000  # documents read at once: a few MB of text

# id, path, cleaned_name, official_name, model_type, tags_json, hashes_json, metadata_json
Row = tuple[str, str, str, str, str, str, str, str]

_REASONS = {
    "vanished": "it vanished while the library was read",
    "unreadable": "it may not be read",
    "not-utf8": "its name is not valid UTF-8; rename it",
    "too-deep": "it lies too deep",
}


@dataclass(slots=True)
class Survey:
    """The documents found by one walk; `problems` grows while they are read."""

    model_ids: list[str]
    paths: list[str]
    problems: list[DocumentProblem] = field(default_factory=list)


def survey_library(library: Path, *, cancel: pumas_native.CancelToken | None = None) -> Survey:
    """Walk the library.

    Raises:
        Unavailable: The library can't be listed.
        Cancelled: `cancel` was set.
    """
    with native_errors():
        tree = pumas_native.scan_tree(
            library, names=[DOCUMENT], skip_hidden=True, leaf_marker=DOCUMENT, names_only=True, cancel=cancel
        )
    survey = Survey([], [])
    survey.problems.extend(_problem(os.fsdecode(path), _REASONS[reason]) for path, reason in tree.problems)
    for index, kind in enumerate(tree.kinds):
        if kind == ord("d"):
            continue
        below = tree.path(index)
        model_id = below[: -len(DOCUMENT) - 1]
        if not model_id:
            continue  # a document directly in the library
        path = f"{library}/{below}"  # PERF: a Path for each would take as long as the walk
        if kind == ord("l"):
            linked = _resolve_link(library, below, survey)
            if linked is None:
                continue
            path = str(linked)
        survey.model_ids.append(model_id)
        survey.paths.append(path)
    return survey


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

    Args:
        survey: Its `problems` take up each document that can't be used.
        progress: Called with the documents read so far after each batch.
        cancel: Looked at between files.

    Raises:
        Cancelled: `cancel` was set.
    """
    starts = range(0, len(survey.paths), _BATCH)
    # The next batch is read while the caller writes the last one.
    with ThreadPoolExecutor(1, thread_name_prefix="read-documents") as reader:
        ahead = deque(reader.submit(_read_batch, survey, start, cancel) for start in starts[:1])
        for start in starts:
            if start + _BATCH < len(survey.paths):
                ahead.append(reader.submit(_read_batch, survey, start + _BATCH, cancel))
            yield ahead.popleft().result()
            if progress:
                progress(min(start + _BATCH, len(survey.paths)))


def _read_batch(survey: Survey, start: int, cancel: pumas_native.CancelToken | None) -> list[Row]:
    with native_errors():
        columns = pumas_native.read_metadata_files(
            survey.paths[start : start + _BATCH],
            max_bytes=MAX_DOCUMENT_BYTES,
            max_depth=MAX_DOCUMENT_DEPTH,
            cancel=cancel,
        )
    for position, reason in columns.problems:
        survey.problems.append(_problem(f"{survey.model_ids[start + position]}/{DOCUMENT}", reason))
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
