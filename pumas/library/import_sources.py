"""What lies at a path that is to be imported: its files, links followed once, and why it can't be.

Left where they are, which the notes say: links to folders and to nothing, whatever is no regular file, hidden folders,
and what is hidden in the folder of a repo (`.gitattributes`, the hub's own bookkeeping: L-12).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pumas.errors import Conflict, InvalidInput, NotFound, Unavailable, system_errors
from pumas.library.ntfs_volume import DIRTY, is_dirty
from pumas.store.metadata import METADATA
from pumas.store.paths import is_path, readable

MAX_FILES: Final = 100_000
_MAX_DEPTH: Final = 32
_REPO_FILES: Final = frozenset({"config.json", "model_index.json"})
_REPO_ENDING: Final = ".index.json"  # of a set of shards


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One regular file that is to be imported."""

    path: str
    """Absolute, without links."""
    below: str
    """Its name, or its path below the folder that is imported."""
    state: os.stat_result
    is_linked: bool = False
    """Whether a link was followed to it."""


@dataclass(frozen=True, slots=True)
class Sources:
    """All that is to be imported as one model."""

    path: str
    """Absolute, without links."""
    files: tuple[SourceFile, ...]
    links: tuple[str, ...]
    """Links that were followed."""
    notes: tuple[str, ...]
    is_folder: bool
    is_repo: bool = False
    """Whether the files refer to each other by their names."""
    is_inside: bool = False
    """Whether it lies in the library."""

    @property
    def name(self) -> str:
        """Of the file or folder."""
        return os.path.basename(self.path)  # noqa: PTH119 - PERF: paths are texts here

    @property
    def linked_notes(self) -> tuple[str, ...]:
        """What became of links inside a folder, once it is imported from elsewhere."""
        return tuple(
            f"{file.below} is a link; what was imported is a copy of {file.path}"
            for file in self.files
            if file.is_linked
        )

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.state.st_size for file in self.files)


@dataclass(slots=True)
class Finder:
    """Looks at the paths of one import.

    PERF: what is in one folder shares what is known of it; resolving each path takes longer than all else.
    """

    library: Path
    _library: str = field(init=False)
    _folders: dict[str, str] = field(default_factory=dict)
    _targets: set[Path] = field(default_factory=set)
    _dirty: dict[int, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._library = os.path.realpath(self.library)

    def find(self, given: str) -> Sources:
        """Look at a path; nothing is opened.

        Raises:
            NotFound: Nothing lies there.
            InvalidInput: It is neither file nor folder, a loop of links, too much, empty, or it holds the library.
            Conflict: It is part of a model of the library.
            Unavailable: It can't be looked at, or lies on an NTFS volume that is to be repaired first.
        """
        with system_errors("Looking at what is to be imported"):
            path, state, is_link = self._resolved(given)
        is_inside = self._check_place(path)
        self._check_drive(given, state.st_dev)
        notes = (f"{given} is a link; what was imported is {path}",) if is_link else ()
        links = (os.path.abspath(os.path.expanduser(given)),) if is_link else ()  # noqa: PTH100,PTH111
        if stat.S_ISREG(state.st_mode):
            file = SourceFile(path, os.path.basename(path), state)  # noqa: PTH119
            return Sources(path, (file,), links, notes, is_folder=False, is_inside=is_inside)
        if not stat.S_ISDIR(state.st_mode):
            raise InvalidInput(f"{given} is {_kind_of(state.st_mode)}, not a file or folder; choose a model file")
        walk = _Walk(path)
        with system_errors(f"Listing {path}"):
            files = tuple(walk.files())
        if not files:
            raise InvalidInput(f"{given} is a folder without files; choose one that holds a model")
        return Sources(
            path,
            files,
            (*links, *walk.links),
            (*notes, *walk.notes),
            is_folder=True,
            is_repo=walk.is_repo,
            is_inside=is_inside,
        )

    def find_set(self, given: Sequence[str]) -> Sources:
        """Look at the files of one model.

        Raises:
            InvalidInput: One of them is a folder.
            NotFound, Conflict, Unavailable: As `find`.
        """
        found = [self.find(one) for one in given]
        folder = next((one.path for one in found if one.is_folder), None)
        if folder is not None:
            raise InvalidInput(f"{folder} is a folder, no shard; import it by itself")
        return Sources(
            found[0].path,
            tuple(file for one in found for file in one.files),
            tuple(link for one in found for link in one.links),
            tuple(note for one in found for note in one.notes),
            is_folder=False,
            is_repo=True,  # their names say which of them is which
            is_inside=any(one.is_inside for one in found),
        )

    def check_target(self, folder: Path) -> None:
        """See that a model at `folder` would be found again: no survey of the library follows a link.

        Raises:
            Conflict: A folder above it is a link.
        """
        above = folder.parent
        if above in self._targets:
            return
        for one in (above.parent, above):
            if one.is_symlink():
                raise Conflict(
                    f"{readable(one)} is a link, behind which no model is seen; put a folder in its place, or mount "
                    "the other drive there"
                )
        self._targets.add(above)

    def _resolved(self, given: str) -> tuple[str, os.stat_result, bool]:
        """A path without links, what lies there, and whether it was a link itself."""
        if not given.strip() or not is_path(given):
            raise InvalidInput("The path is empty or none; name a file or folder", parameter="path")
        folder, name = os.path.split(os.path.abspath(os.path.expanduser(given)))  # noqa: PTH100,PTH111
        try:
            path = os.path.join(self._folder(folder), name)  # noqa: PTH118
            state = os.lstat(path)
            if not stat.S_ISLNK(state.st_mode):
                return path, state, False
            path = os.path.realpath(path, strict=True)
            return path, os.stat(path), True  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise NotFound(f"Local path not found: {given}") from exc
        except OSError as exc:
            if exc.errno == errno.ELOOP:
                raise InvalidInput(f"{given} is a loop of links; choose the file itself") from exc
            if exc.errno == errno.ENAMETOOLONG:
                raise InvalidInput(f"{given[:100]}… is longer than a path can be") from exc
            raise

    def _folder(self, folder: str) -> str:
        found = self._folders.get(folder)
        if found is None:
            found = self._folders[folder] = os.path.realpath(folder, strict=True)
        return found

    def _check_place(self, path: str) -> bool:
        """Whether a path lies in the library; what can't be imported from there is refused."""
        library = self._library
        if library == path or library.startswith(path.rstrip("/") + "/"):
            raise InvalidInput(f"{path} holds the library itself; choose what is to be imported")
        if not path.startswith(f"{library}/"):
            return False
        below = path[len(library) + 1 :].split("/")
        if any(part.startswith(".") for part in below):
            raise InvalidInput(f"{path} lies in a hidden folder of the library; move it out of there first")
        for length in range(1, len(below) + 1):
            model_id = "/".join(below[:length])
            if os.path.lexists(f"{library}/{model_id}/{METADATA.file}"):
                raise Conflict(f"{path} belongs to the model {model_id}; it is in the library already")
        return True

    def _check_drive(self, given: str, device: int) -> None:
        if device not in self._dirty:
            self._dirty[device] = is_dirty(device)
        if self._dirty[device]:
            raise Unavailable(f"{given}: {DIRTY}")


def _kind_of(mode: int) -> str:
    kinds = (
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISCHR, "a device"),
    )
    return next((kind for test, kind in kinds if test(mode)), "something else")


class _Walk:
    """One walk through a folder; links to folders are not entered."""

    def __init__(self, top: str) -> None:
        self._top = top
        self.links: list[str] = []
        self.notes: list[str] = []
        self.is_repo = False
        self._count = 0

    def files(self) -> Iterator[SourceFile]:
        """The files in order of their names."""
        with os.scandir(self._top) as found:
            names = [entry.name for entry in found if not entry.is_dir()]
        self.is_repo = any(name in _REPO_FILES or name.endswith(_REPO_ENDING) for name in names)
        yield from self._below(self._top, "", 0)

    def _below(self, folder: str, prefix: str, depth: int) -> Iterator[SourceFile]:
        if depth > _MAX_DEPTH:
            raise InvalidInput(
                f"{self._top} is nested deeper than {_MAX_DEPTH} folders; choose the folder of one model"
            )
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            below = prefix + entry.name
            is_hidden = entry.name.startswith(".")
            if entry.is_dir(follow_symlinks=False):
                if is_hidden:
                    self._leave(below, "a hidden folder")
                else:
                    yield from self._below(entry.path, f"{below}/", depth + 1)
            elif is_hidden and self.is_repo:
                self._leave(below, "hidden")
            elif (file := self._file(entry, below)) is not None:
                self._count += 1
                if self._count > MAX_FILES:
                    raise InvalidInput(f"{self._top} holds over {MAX_FILES} files; choose the folder of one model")
                yield file

    def _file(self, entry: os.DirEntry[str], below: str) -> SourceFile | None:
        if not entry.is_symlink():
            if entry.is_file(follow_symlinks=False):
                return SourceFile(entry.path, below, entry.stat(follow_symlinks=False))
            self._leave(below, _kind_of(entry.stat(follow_symlinks=False).st_mode))
            return None
        try:
            path = os.path.realpath(entry.path, strict=True)
            state = os.stat(path)  # noqa: PTH116 - a text
        except OSError:
            self._leave(below, "a link that leads nowhere")
            return None
        if not stat.S_ISREG(state.st_mode):
            self._leave(below, "a link that leads to no file")
            return None
        self.links.append(entry.path)
        return SourceFile(path, below, state, is_linked=True)

    def _leave(self, below: str, what: str) -> None:
        self.notes.append(f"{below} was left where it is: {what}")
