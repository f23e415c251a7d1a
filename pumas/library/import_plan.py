"""What an import makes of its sources: type, family and name of the model, and the name of each file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pumas_native
from msgspec.structs import replace

from pumas.errors import InvalidInput, PumasError
from pumas.library.file_kinds import file_kinds, has_model_name
from pumas.library.import_journal import WORK, Entry, PlannedFile
from pumas.library.import_sources import Finder, Sources
from pumas.library.naming import model_folder, normalize_filename, normalize_name
from pumas.library.repo_kinds import repo_kind
from pumas.models import ImportMode, ImportRequest, ModelKind
from pumas.store.metadata import IN_MODEL
from pumas.store.names import split_suffix
from pumas.store.paths import readable

_GENERIC_FAMILIES: Final = frozenset({"imported", "unknown", ""})
# A name that a repo's files may use for each other, and that every file system and document takes. Hidden ones, and
# those beside a document, are ours.
_SOUND = re.compile(r"(?!\.|(?i:metadata|overrides)\.json(?:\.|$))[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")


@dataclass(slots=True)
class Plan:
    """One model that is to be made."""

    request: ImportRequest
    sources: Sources
    kind: ModelKind
    """With the family that the model gets, which may be the one that was asked for."""
    official_name: str
    folder: Path
    """Where it goes, unless something lies there."""
    names: tuple[str, ...]
    """Of the files in the library, below its folder, in the order of `sources.files`."""


def plan_imports(
    finder: Finder, requests: Sequence[ImportRequest], *, cancel: pumas_native.CancelToken | None = None
) -> list[Plan | PumasError]:
    """Look at what is to be imported, and decide what it becomes; nothing is written.

    Returns:
        For each request its plan, or why it can't be imported: NotFound, InvalidInput, Conflict, Unavailable, see
        `Finder.find`; InvalidInput too when it holds no model.

    Raises:
        Cancelled: `cancel` was set.
    """
    found = [_found(finder, request) for request in requests]
    # PERF: headers of all files at once (bench_import).
    files = [file.path for one in found if isinstance(one, Sources) and not one.is_folder for file in one.files]
    kinds = dict(zip(files, file_kinds(files, cancel=cancel), strict=True))
    plans: list[Plan | PumasError] = []
    for request, sources in zip(requests, found, strict=True):
        try:
            if isinstance(sources, PumasError):
                plans.append(sources)
            else:
                kind = _folder_kind(sources) if sources.is_folder else _set_kind(sources, kinds)
                plans.append(_plan(finder, request, sources, kind))
        except PumasError as exc:
            plans.append(exc)
    return plans


def _found(finder: Finder, request: ImportRequest) -> Sources | PumasError:
    try:
        return finder.find_set([request.path, *request.others]) if request.others else finder.find(request.path)
    except PumasError as exc:
        return exc


def _confidence(kind: ModelKind) -> float:
    return kind.confidence


def _set_kind(sources: Sources, kinds: Mapping[str, ModelKind]) -> ModelKind:
    # One shard may hold but a few tensors: the one that says most speaks for all.
    best = max(sources.files, key=lambda file: (kinds[file.path].confidence, file.state.st_size))
    return kinds[best.path]


def _folder_kind(sources: Sources) -> ModelKind:
    if any(has_model_name(file.path) for file in sources.files):
        return repo_kind(Path(sources.path))
    kinds = file_kinds([file.path for file in sources.files])
    return max(kinds, key=_confidence)


def _plan(finder: Finder, request: ImportRequest, sources: Sources, found: ModelKind) -> Plan:
    if found.confidence == 0 and not any(has_model_name(file.path) for file in sources.files):
        what = "holds no file of a known model format" if sources.is_folder else "is no file of a known model format"
        raise InvalidInput(f"{request.path} {what}; nothing was imported")
    kind = _wanted_kind(request, found)
    name = request.official_name
    if name is None:
        name = sources.name if sources.is_folder else split_suffix(sources.name)[0]
    folder = model_folder(finder.library, kind.model_type or "", kind.family or "", name)
    finder.check_target(folder)
    return Plan(
        request=request,
        sources=sources,
        kind=kind,
        official_name=readable(name),
        folder=folder,
        names=tuple(_names(sources)),
    )


def _wanted_kind(request: ImportRequest, found: ModelKind) -> ModelKind:
    """Type, subtype and family (`library.md` §5.1)."""
    if request.model_type:
        default = "" if request.model_type == "llm" else "checkpoints"
        return ModelKind(
            model_type=request.model_type,
            subtype=request.subtype or default,
            family=request.family,
            evidence=("its type was given",),
            confidence=1.0,
        )
    is_found = found.family is not None and request.family in _GENERIC_FAMILIES
    return found if is_found else replace(found, family=request.family)


def _names(sources: Sources) -> list[str]:
    """A name for each file that no other one has, `/` between its parts; one that can stay as it is does."""
    taken = {name.lower() for name in IN_MODEL}  # without case: the library may be moved to a file system that has none
    folders: dict[str, str] = {"": ""}
    wanted = []
    for file in sources.files:
        above, _, name = file.below.rpartition("/")
        if above not in folders:
            folders[above] = _folder(above, keeps=sources.is_repo)
        keeps = sources.is_repo and _SOUND.fullmatch(name)
        wanted.append(folders[above] + (name if keeps else normalize_filename(name)))
    # The order of the sort: those whose name stays choose first.
    taken.update(above.lower() for folder in folders.values() for above in _above(folder))
    order = sorted(range(len(wanted)), key=lambda at: wanted[at] != sources.files[at].below)
    names = dict.fromkeys(order, "")
    for at in order:
        names[at] = _free(wanted[at], taken)
    return [names[at] for at in range(len(wanted))]


def _folder(below: str, *, keeps: bool) -> str:
    parts = below.split("/")
    return "".join(f"{part if keeps and _SOUND.fullmatch(part) else _folder_name(part)}/" for part in parts)


def _above(below: str) -> Iterator[str]:
    while below := below.rpartition("/")[0]:
        yield below


def _folder_name(part: str) -> str:
    return normalize_name(part, fallback="folder")


def _free(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 1
    folder, slash, last = wanted.rpartition("/")
    stem, suffix = split_suffix(last)
    while name.lower() in taken:
        number += 1
        name = f"{folder}{slash}{stem}-{number}{suffix}"
    taken.add(name.lower())
    return name


def entry_of(plan: Plan, number: int, mode: ImportMode, *, library: Path, device: int, journal_id: str) -> Entry:
    """The line of the journal for a model."""
    parent, _, name = plan.folder.relative_to(library).as_posix().rpartition("/")
    files = tuple(
        PlannedFile(
            source=file.path,
            target=name,
            inode=file.state.st_ino,
            size_bytes=file.state.st_size,
            mtime_ns=file.state.st_mtime_ns,
            ctime_ns=file.state.st_ctime_ns,
            is_near=file.state.st_dev == device,
            is_taken=mode == "move" and not file.is_linked,
        )
        for file, name in zip(plan.sources.files, plan.names, strict=True)
    )
    return Entry(
        model=number,
        mode=mode,
        work=f"{parent}/{WORK}{name}.{journal_id}-{number}",
        final=f"{parent}/{name}",
        folder=plan.sources.path if plan.sources.is_folder else None,
        links=plan.sources.links,
        files=files,
    )
