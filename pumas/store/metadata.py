"""Every JSON document of a launcher root: where it lies, its form, and typed reading and writing.

The table has one row per kind. What they hold is in `library_documents` and `launcher_documents`; what all of them
share (form, backup, temporary files, damage) is in `documents`.

    versions = locate(layout, VERSIONS, "comfyui")
    load(versions)["installed"]
    update(versions, lambda value: {**value, "defaultVersion": "v0.6.0"})
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar, cast

from pumas.constants import GITHUB_REPO
from pumas.errors import Damaged, InvalidInput, ModelNotFound, NotFound, Unavailable
from pumas.store.documents import read_backup, read_document, recover_document, update_document, write_document
from pumas.store.launcher_documents import (
    CatalogueEntry,
    CustomNode,
    InstallState,
    MappingConfig,
    PackageSizes,
    ReleaseCache,
    ReleasePages,
    ReleaseRequirements,
    ReleaseSize,
    UpdateCheck,
    VersionConfig,
    Versions,
    Workflow,
)
from pumas.store.library_documents import Metadata, Overrides
from pumas.store.locks import document_lock
from pumas.store.paths import Layout, resolve_inside
from pumas.store.times import TimeForm

T = TypeVar("T", bound=Mapping[str, object])
T_co = TypeVar("T_co", bound=Mapping[str, object], covariant=True)

_LONGEST_NAME = 200  # bytes; names of backups and temporary files are longer, and a system takes 255
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def safe_filename(name: str) -> str:
    """Turn any text into one file name, as the original does (`storage.md` §2): several may give the same one."""
    return re.sub("-+", "-", _UNSAFE.sub("-", name)).strip("-") or "unnamed"


def _exact(name: str) -> str:
    """Keep a name as it is, if it is one.

    Raises:
        InvalidInput: It holds a separator, or can't be the name of a file.
    """
    try:
        length = len(os.fsencode(name))
    except UnicodeEncodeError:
        length = 0
    if not 0 < length <= _LONGEST_NAME or any(character in name for character in "/\\\0"):
        raise InvalidInput(f"{name[:80]!r} can't be part of a file name")
    return name


@dataclass(frozen=True, slots=True)
class Kind(Generic[T_co]):
    """One row of the table.

    What counts as damaged is the same for all: whatever isn't one strict JSON object of at most 16 MiB.
    """

    file: str  # below `launcher-data`, or in the model's folder; `*` stands for the name
    empty: Callable[[], T_co]  # the value when there is no document
    times: TimeForm | None = None  # how it writes its times; None = it has none
    in_model: bool = False  # the name is the id of a model
    named: Callable[[str], str] = safe_filename  # what a name becomes in place of `*`
    plain: str | None = None  # the name whose file is called as if there were no `-*`
    times_elsewhere: TimeForm | None = None  # of names other than `plain`, if they differ
    is_escaped: bool = False  # non-ASCII as \uXXXX (§3.2)
    has_backup: bool = True  # §3.1

    @property
    def plain_file(self) -> str:
        """The file of the name `plain`, or of the only document of this kind."""
        return self.file.replace("-*", "")


def _no_versions() -> Versions:
    return {"installed": {}, "lastSelectedVersion": None, "defaultVersion": None}


def _no_sizes() -> PackageSizes:
    return {"packages": {}}


_Z, _OFFSET = TimeForm.ZULU, TimeForm.OFFSET
_REQUIREMENTS = dict[str, ReleaseRequirements]
_SIZES = dict[str, ReleaseSize]
_PAGES = dict[str, ReleasePages]
_CONSTRAINTS = dict[str, dict[str, str]]

# fmt: off
METADATA: Final = Kind("metadata.json", Metadata, _Z, in_model=True)
OVERRIDES: Final = Kind("overrides.json", Overrides, in_model=True)
VERSIONS: Final = Kind("metadata/versions-*.json", _no_versions, _Z, plain="comfyui", times_elsewhere=_OFFSET)
CATALOGUE: Final = Kind("metadata/models.json", dict[str, CatalogueEntry], _Z)
CUSTOM_NODES: Final = Kind("metadata/custom_nodes.json", dict[str, CustomNode], _Z)
WORKFLOWS: Final = Kind("metadata/workflows.json", dict[str, Workflow], _Z)
VERSION_CONFIG: Final = Kind("config/version-configs/*-config.json", VersionConfig, _Z, named=_exact)
MAPPING: Final = Kind("config/model-library-translation/*.json", MappingConfig, _OFFSET, named=_exact, has_backup=False)
RELEASES: Final = Kind("cache/github-releases-*.json", ReleaseCache, _Z, plain=GITHUB_REPO)
RELEASE_PAGES: Final = Kind("cache/release-pages.json", _PAGES, _Z, has_backup=False)
INSTALL_STATE: Final = Kind("cache/installation-state-*.json", InstallState, _OFFSET, plain="comfyui")
REQUIREMENTS: Final = Kind("cache/release-requirements.json", _REQUIREMENTS, _OFFSET, is_escaped=True, has_backup=False)
RELEASE_SIZES: Final = Kind("cache/release-sizes.json", _SIZES, _OFFSET, is_escaped=True, has_backup=False)
PACKAGE_SIZES: Final = Kind("cache/package-sizes.json", _no_sizes, _OFFSET, is_escaped=True, has_backup=False)
CONSTRAINTS: Final = Kind("cache/constraints-cache.json", _CONSTRAINTS)
UPDATE_CHECK: Final = Kind(
    "cache/launcher-update-check.json", UpdateCheck, TimeForm.LOCAL, is_escaped=True, has_backup=False
)
# fmt: on

IN_MODEL: Final = frozenset(f"{kind.file}{ending}" for kind in (METADATA, OVERRIDES) for ending in ("", ".bak"))
"""Names in the folder of a model that are no files of the model."""

LAUNCHER_KINDS: Final[tuple[Kind[Mapping[str, object]], ...]] = (
    VERSIONS, CATALOGUE, CUSTOM_NODES, WORKFLOWS, VERSION_CONFIG, MAPPING, RELEASES, RELEASE_PAGES, INSTALL_STATE,
    REQUIREMENTS, RELEASE_SIZES, PACKAGE_SIZES, CONSTRAINTS, UPDATE_CHECK,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Document(Generic[T_co]):
    """One document of one root; `locate` makes it."""

    kind: Kind[T_co]
    path: Path
    locks: Path  # the folder of its lock file
    lock_name: str  # its path below the library, or below `launcher-data`

    @property
    def times(self) -> TimeForm | None:
        """How it writes its times."""
        if self.kind.times_elsewhere is None or self.lock_name == self.kind.plain_file:
            return self.kind.times
        return self.kind.times_elsewhere


def locate(layout: Layout, kind: Kind[T], name: str = "") -> Document[T]:
    """The document of a kind, whether it exists or not.

    Args:
        layout: The root.
        kind: A row of the table.
        name: An app id for `VERSIONS` and `INSTALL_STATE`, `owner/name` for `RELEASES`, a tag for `VERSION_CONFIG`,
            `<app>_<version>_<variant>` for `MAPPING`, a model id for documents of a model; nothing for the others.

    Raises:
        InvalidInput: The name can't be a file name, or it leads out of its folder.
    """
    if kind.in_model:
        return locate_in_model(layout.library, kind, name, locks=layout.library_locks)
    below = kind.plain_file if name == kind.plain else kind.file.replace("*", _exact(kind.named(name)))
    return _in_launcher(layout, kind, below)


def _in_launcher(layout: Layout, kind: Kind[T], below: str) -> Document[T]:
    return Document(kind, layout.data / below, layout.launcher_locks, below)


def locate_in_model(library: Path, kind: Kind[T], model_id: str, *, locks: Path) -> Document[T]:
    """The document of a model's folder, whether either exists or not.

    Raises:
        InvalidInput: The id leads out of the library, is the library itself, or lies in a dot folder.
    """
    folder = resolve_inside(library, model_id, parameter="rel_path")
    below = folder.relative_to(library.resolve())
    if not below.parts or any(part.startswith(".") for part in below.parts):
        raise InvalidInput("`rel_path` must be the folder of a model", parameter="rel_path")
    return Document(kind, folder / kind.file, locks, f"{below.as_posix()}/{kind.file}")


def find_documents(layout: Layout) -> Iterator[Document[Mapping[str, object]]]:
    """The documents that `launcher-data` holds, damaged ones too; those of models are found by a survey."""
    for kind in LAUNCHER_KINDS:
        for pattern in dict.fromkeys((kind.plain_file, kind.file)):
            for path in _matching(layout.data / pattern):
                yield _in_launcher(layout, kind, path.relative_to(layout.data).as_posix())


def _matching(pattern: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(path for path in pattern.parent.iterdir() if path.match(pattern.name))  # links to nothing too
    return []


def has_backups(below: Path) -> bool:
    """Whether a path below `launcher-data` is the place of a document of a kind with a backup."""
    return any(
        kind.has_backup and below.parts[:-1] == Path(kind.file).parts[:-1] and below.match(pattern)
        for kind in LAUNCHER_KINDS
        for pattern in (kind.plain_file, kind.file)
    )


def load(document: Document[T]) -> T:
    """Read a document without a lock: what it holds, else what its backup holds, else the empty value.

    The value is a view, not a check (`library_documents`). Nothing is written, see `recover_document`.

    Raises:
        Unavailable: It can't be read; it may be whole.
    """
    value = recover_document(document.path, has_backup=document.kind.has_backup)
    return document.kind.empty() if value is None else cast("T", value)


def save(document: Document[T], value: T) -> None:
    """Replace a document, whatever it holds; use `update` for a value that was read.

    Raises:
        InvalidInput, NoSpace, Unavailable: As `write_document`; the old document stays.
    """
    kind = document.kind
    with document_lock(document.locks, document.lock_name):
        write_document(document.path, value, is_escaped=kind.is_escaped, has_backup=kind.has_backup)


def restore(document: Document[T]) -> None:
    """Put the backup of a damaged document in its place; the damaged bytes and all leftovers are kept beside it.

    Raises:
        Unavailable: The document is missing or parses by now, or its backup can't be used any more; nothing was done.
        NoSpace, Unavailable: As `write_document`; the old document stays.
    """
    path, kind = document.path, document.kind
    with document_lock(document.locks, document.lock_name):
        try:
            found = read_document(path)
        except Damaged:
            value = read_backup(path)
        else:
            state = "It is gone" if found is None else "It is whole"
            raise Unavailable(f"{state} by now; nothing was done")
        if value is None:
            raise Unavailable("Neither it nor its backup can be used any more; nothing was done")
        write_document(path, value, is_escaped=kind.is_escaped, has_backup=kind.has_backup, keeps_leftovers=True)


def update(document: Document[T], change: Callable[[T], T], *, must_exist: bool = False) -> T:
    """Read, change and write a document in one locked step.

    Args:
        document: If it is damaged, `change` sees its backup, else the empty value; the damaged file is kept.
        change: Returns the value to write, which may be the one it got. It runs with the lock held: it must be quick
            and may not touch other documents. If it raises, nothing is written.
        must_exist: Whether a missing document is an error rather than the empty value.

    Returns:
        What was written.

    Raises:
        NotFound: It must exist and doesn't.
        InvalidInput, NoSpace, Unavailable: As `write_document`; the old document stays.
    """
    kind = document.kind
    written: list[T] = []

    def changed(value: dict[str, object] | None) -> T:
        if must_exist and not os.path.lexists(document.path):
            raise NotFound(f"{document.path.name} does not exist")
        written.append(change(kind.empty() if value is None else cast("T", value)))
        return written[0]

    update_document(
        document.path,
        changed,
        locks=document.locks,
        lock_name=document.lock_name,
        is_escaped=kind.is_escaped,
        has_backup=kind.has_backup,
    )
    return written[0]


def update_metadata(layout: Layout, model_id: str, change: Callable[[Metadata], Metadata]) -> Metadata:
    """Update the `metadata.json` of a model; one that was deleted meanwhile does not come back.

    Raises:
        ModelNotFound: There is no such model.
        InvalidInput, NoSpace, Unavailable: As `write_document`; the old document stays.
    """
    try:
        document = locate(layout, METADATA, model_id)
    except InvalidInput as exc:
        raise ModelNotFound(model_id) from exc
    try:
        return update(document, change, must_exist=True)
    except NotFound as exc:
        raise ModelNotFound(model_id) from exc
