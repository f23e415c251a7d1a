"""Where links may lie, and where a link leads: inside the models folder of a version, and into the library or not."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pumas.linked import LinkType
from pumas.store.mounts import kind_of_folder
from pumas.store.paths import Layout

_WITHOUT_LINKS = frozenset({"vfat", "msdos", "exfat"})
"""File systems that hold neither symbolic nor hard links."""


@dataclass(frozen=True)
class LinkFolder:
    """A folder that is to hold links, with what is known of it."""

    path: str
    """As it is registered."""
    real: str
    """Without links on the way."""
    link_type: LinkType
    is_external: bool
    """It lies on another file system than the library."""
    prefix: str
    """What the text of a link begins with: the way to the library."""
    folds_case: bool

    def key(self, name: str) -> str:
        """The same for two names that are one file."""
        return f"{self.real}/{name.casefold() if self.folds_case else name}"


@dataclass
class Places:
    """The library and the models folder of one version; each folder is looked at once."""

    library: Path
    models: Path
    _folders: dict[str, LinkFolder | str] = field(default_factory=dict)

    @cached_property
    def real_library(self) -> str:
        """The library without links on the way."""
        return os.path.realpath(self.library)

    @cached_property
    def real_models(self) -> str:
        """The models folder without links on the way; it need not exist."""
        return os.path.realpath(self.models)

    @cached_property
    def is_external(self) -> bool:
        """Whether library and models folder lie on different file systems."""
        return _device(self.real_library) != _device(self.real_models)

    def folder(self, below: str) -> LinkFolder | str:
        """A folder below the models folder, or why no link may be made there."""
        if below not in self._folders:
            self._folders[below] = self._looked_at(below)
        return self._folders[below]

    def _looked_at(self, below: str) -> LinkFolder | str:
        path = str(self.models)
        for part in below.split("/"):
            path = f"{path}/{part}"
            if os.path.islink(path) and not os.path.isdir(path):
                return f"{part} is a link that leads to no folder"
        # SECURITY: a link inside the models folder may lead anywhere; what counts is where the folder really is.
        real = os.path.realpath(path)
        if not is_inside(real, self.real_models):
            return "it leads through a link out of the app's models folder"
        if is_inside(real, self.real_library) or is_inside(self.real_library, real):
            return "it leads into the library"
        there = _nearest(real)
        if not stat.S_ISDIR(os.stat(there).st_mode):
            return f"{os.path.basename(there)} is not a folder"
        is_external = _device(real) != _device(self.real_library)
        prefix = self.real_library if is_external else os.path.relpath(self.real_library, real)
        return LinkFolder(path, real, link_type_in(there, is_external=is_external), is_external, prefix, _folds(there))

    def holds(self, target: str) -> bool:
        """Whether a link at `target` lies inside the models folder, not the library, whatever links are on the way."""
        real = os.path.realpath(os.path.dirname(target))
        return is_inside(real, self.real_models) and not is_inside(real, self.real_library)

    def leads_into_library(self, target: str, text: str) -> bool:
        """Whether a link leads into the library, though nothing may lie there."""
        return is_inside(led_to(target, text), self.real_library)


def led_to(target: str, text: str) -> str:
    """Where a link at `target` leads in its first step; nothing need lie there."""
    folder, name = os.path.split(os.path.normpath(os.path.join(os.path.realpath(os.path.dirname(target)), text)))
    return os.path.join(os.path.realpath(folder), name)


def is_inside(path: str, folder: str) -> bool:
    """Whether a real path is a folder, or lies in it."""
    return path == folder or path.startswith(f"{folder.rstrip(os.sep)}{os.sep}")


def models_folder_of(layout: Layout, target: str) -> str | None:
    """The models folder of the version that a target lies in; None of one that lies in none of this root's."""
    root = f"{layout.root}{os.sep}"
    parts = target[len(root) :].split(os.sep, 3) if target.startswith(root) else []
    is_in_models = len(parts) == len(("versions", "tag", "models", "rest")) and parts[2] == "models"
    return f"{root}{os.sep.join(parts[:3])}" if is_in_models and parts[0].endswith("-versions") else None


def is_in_reach(layout: Layout, target: str) -> bool:
    """Whether a target that a register names lies in the models folder of a version, or where that leads.

    A library may come from somebody else, with its register: nothing outside, and nothing of the library, is ever
    changed for what that says.
    """
    models = models_folder_of(layout, target)
    if models is None or "\0" in target or os.path.normpath(target) != target:
        return False
    real = os.path.realpath(os.path.dirname(target))
    return is_inside(real, os.path.realpath(models)) and not is_inside(real, os.path.realpath(layout.library))


def is_of_library(layout: Layout, source: str) -> bool:
    """Whether a file that a register names is really one of the library: then what was made of it can be made again."""
    return "\0" not in source and is_inside(os.path.realpath(source), os.path.realpath(layout.library))


def link_type_in(folder: str, *, is_external: bool, platform: str = os.name) -> LinkType:
    """What can be made in a folder: a symbolic link, else a hard link, else a copy."""
    if platform != "nt" and kind_of_folder(folder) not in _WITHOUT_LINKS:
        return "symlink"
    return "copy" if is_external or platform != "nt" else "hardlink"


def _nearest(path: str) -> str:
    """The path, or the nearest folder above it that is there."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _device(path: str) -> int:
    return os.stat(_nearest(path)).st_dev


def _folds(folder: str) -> bool:
    """Whether names that differ in case only are one file there."""
    parent, name = os.path.split(folder.rstrip(os.sep))
    other = os.path.join(parent, name.swapcase())
    try:
        return name.swapcase() != name and os.path.samefile(folder, other)
    except OSError:
        return False
