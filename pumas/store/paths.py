"""Where things lie below a launcher root, and that no path leads out of it.

    {root}/
      launcher-data/                 {data}: metadata/ config/ cache/ logs/ shortcuts/ icons/
      shared-resources/models/       {library}: models.db, link_registry.db, <type>/<family>/<name>/
      comfyui-versions/<tag>/  ollama-versions/<tag>/

The whole map is in `contract/storage.md` §2.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from pumas.config import Config, expanded
from pumas.errors import InvalidInput, UnusableRoot, system_errors

# Folders made when a root is opened (`storage.md` §2, "Made at start").
MADE_AT_START = (
    "launcher-data/metadata",
    "launcher-data/config/version-configs",
    "launcher-data/config/model-library-translation",
    "launcher-data/cache/constraints",
    "launcher-data/cache/pip",
    "launcher-data/logs",
    "launcher-data/shortcuts",
    "launcher-data/icons",
    "shared-resources/models",
    "comfyui-versions",
    "ollama-versions",
)

_LONGEST_PATH = 4096  # what the system takes; anything longer can't exist
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one launcher root; `root` is absolute."""

    root: Path

    @property
    def data(self) -> Path:
        """Documents, caches and logs of the launcher."""
        return self.root / "launcher-data"

    @property
    def library(self) -> Path:
        """The folder of models."""
        return self.root / "shared-resources" / "models"

    @property
    def workflows(self) -> Path:
        """The workflows that all versions of an app share."""
        return self.root / "shared-resources" / "user" / "workflows"

    @property
    def models_db(self) -> Path:
        """The index; rebuildable."""
        return self.library / "models.db"

    def cache_folder(self, config: Config) -> Path:
        """Where a cache goes that the library can't hold: a network drive, a read-only one."""
        if config.cache_dir is not None:
            return config.cache_dir
        import platformdirs  # noqa: PLC0415 - rarely needed

        return Path(platformdirs.user_cache_dir("pumas", appauthor=False))

    @property
    def library_locks(self) -> Path:
        """Lock files for documents of the library, never inside a model folder."""
        return self.library / ".pumas" / "locks"

    @property
    def launcher_locks(self) -> Path:
        """Lock files for all other documents."""
        return self.data / ".locks"

    def versions_folder(self, app_id: str) -> Path:
        """Installed versions of an app."""
        return self.root / f"{app_id}-versions"


def open_layout(root: Path) -> tuple[Layout, bool]:
    """Make the folders of a root that are missing.

    Returns:
        The layout, and whether the root can be written to. A read-only root that exists is fine: reads are served.

    Raises:
        UnusableRoot: `root` is not a folder, or it is missing and can't be made.
    """
    root = expanded(root).absolute()
    if root.exists() and not root.is_dir():
        raise UnusableRoot(f"The launcher root {root} is not a folder; choose a folder", parameter="launcher_root")
    try:
        for name in MADE_AT_START:
            (root / name).mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        if not root.is_dir():
            message = f"The launcher root {root} can't be made: {exc.strerror}; choose another folder"
            raise UnusableRoot(message, parameter="launcher_root") from exc
        if isinstance(exc, (FileExistsError, NotADirectoryError)):
            message = f"{exc.filename} is not a folder, but the launcher root needs one there; move it away"
            raise UnusableRoot(message, parameter="launcher_root") from exc
        if exc.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise UnusableRoot(f"A folder of {root} can't be made: {exc.strerror}", parameter="launcher_root") from exc
        return Layout(root), False
    layout = Layout(root)
    return layout, os.access(layout.library, os.W_OK)


def chosen_root(named: Path | None, config: Config) -> tuple[Path, bool]:
    """The root that was named, else the default one of the working directory; and whether it is in the user's data."""
    return (named, False) if named is not None else default_root(config, Path.cwd())


def default_root(config: Config, start: Path) -> tuple[Path, bool]:
    """Choose the root when none is named: configuration, the nearest parent with `launcher-data`, the user's folder.

    Returns:
        The root, and whether it is the one in the user's data folder.
    """
    if config.launcher_root is not None:
        return config.launcher_root, False
    for folder in (start, *start.parents):
        if (folder / "launcher-data").is_dir():
            return folder, False
    import platformdirs  # noqa: PLC0415 - only needed when nothing else names a root

    return Path(platformdirs.user_data_dir("pumas", appauthor=False)), True


def database_files(path: Path) -> tuple[Path, Path, Path]:
    """The files of an SQLite database in WAL mode: itself, `-wal`, `-shm`."""
    return path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def has_file(path: Path) -> bool:
    """Whether a file lies there; one that may not be looked at counts as not there."""
    try:
        return path.is_file()
    except OSError:
        return False


def shows_another(path: Path) -> bool:
    """Whether a path is a link to something that is there: to be seen to where that lies."""
    return path.is_symlink() and path.exists()


def resolve_inside(base: Path, relative: str, *, parameter: str) -> Path:
    """Resolve a path from outside, links included, and keep it inside `base`.

    Raises:
        InvalidInput: It is absolute, holds a NUL or `..`, or leads out of `base`; `parameter` is named.
    """
    parts = relative.replace("\\", "/").split("/")
    if len(relative) > _LONGEST_PATH or any(len(part.encode("utf-8", "replace")) > _LONGEST_NAME for part in parts):
        raise InvalidInput(f"`{parameter}` is longer than a path can be", parameter=parameter)
    if "\0" in relative or ".." in parts or Path(relative).is_absolute() or relative.startswith(("/", "\\")):
        raise InvalidInput(f"`{parameter}` must be a path below the library", parameter=parameter)
    with system_errors("Resolving a path"):
        try:
            resolved = (base / relative).resolve()
        except (RuntimeError, UnicodeEncodeError) as exc:
            raise InvalidInput(f"`{parameter}` is not a usable path", parameter=parameter) from exc
        if not resolved.is_relative_to(base.resolve()):
            raise InvalidInput(f"`{parameter}` leads out of the library", parameter=parameter)
    return resolved


def is_path(text: str) -> bool:
    """Whether the system takes a text as a path: no NUL in it, and no half of a surrogate pair."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def readable(path: str | os.PathLike[str]) -> str:
    """A path as a text that can be written anywhere: a name may hold bytes that are no UTF-8."""
    try:
        return os.fsencode(path).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a pair that no name can have
        return os.fspath(path).encode("utf-8", "backslashreplace").decode()
