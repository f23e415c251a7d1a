"""Models that are looked into by a verification: what their documents say, what lies there, and what is known of it."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import pumas_native

from pumas.config import MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH, MAX_READ_BYTES
from pumas.errors import PumasError, native_errors
from pumas.library.fingerprints import fingerprints_of, size_of
from pumas.library.inventory import Inventory, ModelFolder
from pumas.library.known import Known, recall
from pumas.library.recorded import Content, Recorded, RecordedFile, read_recorded
from pumas.store.cache import Cache
from pumas.store.metadata import METADATA
from pumas.store.paths import resolve_inside

T = TypeVar("T")

_LEADING_ELSEWHERE = frozenset("\\:\0")  # in the name of a file; on Windows the first two do
_BATCH = 500  # models of which documents are held at once


class _Document(msgspec.Struct):
    """What of a document is looked at; nothing is made of the rest."""

    files: object = None
    hashes: object = None
    preview_image: object = None


_decode = msgspec.json.Decoder(_Document).decode


@dataclass(slots=True)
class Case:
    """One model; all that goes by name is below its folder."""

    model: ModelFolder
    recorded: Recorded
    said: dict[str, RecordedFile] = field(default_factory=dict)
    """What its document says of each file that is there."""
    fingerprints: dict[str, bytes] = field(default_factory=dict)
    """Of the files whose content counts."""
    known: dict[str, Known | None] = field(default_factory=dict)
    """What is known of the content of these, however old."""
    hidden: tuple[str, ...] = ()
    """Files that its document names, and no walk shows."""
    contents: dict[str, Content | None] = field(default_factory=dict)
    """What was found in each file; None for one that was not looked into, or not yet."""

    def path(self, name: str) -> str:
        """Path of a file below the library."""
        return f"{self.model.model_id}/{name}"


def open_cases(
    library: Path,
    inventory: Inventory,
    models: Sequence[ModelFolder],
    cache: Cache,
    cancel: pumas_native.CancelToken | None = None,
) -> Iterator[Case | tuple[ModelFolder, str]]:
    """Look into models, without reading their files.

    Yields:
        A case for each model; where its document can't be used, the model and why.
    """
    for batch in _batches(models, _BATCH):
        for model, document in _documents(library, inventory, batch, cancel):
            if isinstance(document, str):
                yield model, document
                continue
            case = Case(model, read_recorded(document))
            _look(case, library, inventory)
            names = list(case.fingerprints)
            case.known = dict(zip(names, recall(cache, [case.path(name) for name in names]), strict=True))
            for name, known in case.known.items():
                if known is not None and known.fingerprint == case.fingerprints[name]:
                    case.contents[name] = known
            yield case


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _documents(
    library: Path, inventory: Inventory, models: Sequence[ModelFolder], cancel: pumas_native.CancelToken | None
) -> Iterator[tuple[ModelFolder, Mapping[str, object] | str]]:
    paths = [_document_path(library, inventory, model) for model in models]
    start = 0
    while start < len(models):
        with native_errors():
            columns = pumas_native.read_metadata_files(
                paths[start:],
                max_bytes=MAX_DOCUMENT_BYTES,
                max_depth=MAX_DOCUMENT_DEPTH,
                max_total_bytes=MAX_READ_BYTES,
                cancel=cancel,
            )
        found: dict[int, Mapping[str, object] | str] = dict(columns.problems)
        for position, text in zip(columns.positions, columns.metadata_json, strict=True):
            found[position] = msgspec.structs.asdict(_decode(text))
        for position in range(columns.read):
            yield models[start + position], found.get(position, "it holds nothing")
        start += columns.read


def _document_path(library: Path, inventory: Inventory, model: ModelFolder) -> str:
    below = f"{model.model_id}/{METADATA.file}"
    if inventory.has_linked_document(model):
        try:
            # SECURITY: as in a survey, a document that is a link counts only if it stays in the library.
            return str(resolve_inside(library, below, parameter=METADATA.file))
        except PumasError:
            pass  # the link itself is refused with a reason
    return f"{library}/{below}"


def _look(case: Case, library: Path, inventory: Inventory) -> None:
    """Take up what lies in the folder; links are followed."""
    links = []
    for entry in inventory.entries(case.model):
        case.contents[entry.name] = None
        if entry.is_file:
            case.fingerprints[entry.name] = entry.fingerprint
        elif entry.is_link:
            links.append(entry.name)
        else:
            case.contents[entry.name] = OSError(errno.EINVAL, "it is not a regular file")
    case.hidden = _hidden_names(case)
    followed = [*links, *case.hidden]
    if followed:
        fingerprints, problems = fingerprints_of([f"{library}/{case.path(name)}" for name in followed])
        for position, name in enumerate(followed):
            if position not in problems:
                case.contents[name] = None
                case.fingerprints[name] = fingerprints[position]
            elif name in case.contents or not isinstance(problems[position], FileNotFoundError):
                case.contents[name] = problems[position]
    case.said = case.recorded.of({name: size_of(one) for name, one in case.fingerprints.items()})
    if case.recorded.files:
        # What the document does not name is told, not read.
        case.fingerprints = {name: one for name, one in case.fingerprints.items() if name in case.recorded.files}


def _hidden_names(case: Case) -> tuple[str, ...]:
    """What the document names, and the walk left out because it is hidden; only in folders that it went into."""
    folders = {below for below, _, _ in case.model.parts}
    split = ((name, *name.rpartition("/")) for name in case.recorded.files if name not in case.contents)
    return tuple(
        name
        for name, folder, slash, file in split
        if file.startswith(".")
        and file not in (".", "..")
        and not _LEADING_ELSEWHERE & set(file)
        and folder + slash in folders
    )
