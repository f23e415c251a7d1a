"""One open launcher root: the parts that all operations share, and their end."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pumas_native

from pumas import __version__
from pumas.config import JOB_WORKERS, SHUTDOWN_S, Config
from pumas.errors import NativeFailure
from pumas.jobs import JobPool
from pumas.models import RootInfo
from pumas.search.database import Database
from pumas.search.index import Index
from pumas.store.paths import default_root, open_layout
from pumas.system.resources import ResourceSampler

logger = logging.getLogger(__name__)


class LauncherRoot:
    """Opens a root and owns its parts; closed once, by whoever opened it."""

    def __init__(self, root: str | os.PathLike[str] | None, config: Config, *, with_samples: bool) -> None:
        _check_native_version()
        folder, is_users_own = (Path(root), False) if root is not None else default_root(config, Path.cwd())
        is_new = not folder.exists()
        self.config = config
        self.layout, self.is_writable = open_layout(folder)
        if not self.is_writable:
            logger.warning("the launcher root %s is read-only: what is there is served, nothing is written", folder)
        if with_samples and is_users_own and is_new:
            from pumas.library.samples import write_samples  # noqa: PLC0415 - once in the life of a root

            write_samples(self.layout.library)
        self.index = Index(Database(self.layout.models_db, is_writable=self.is_writable))
        self.jobs = JobPool(JOB_WORKERS)
        self.resources = ResourceSampler(self.layout.root)
        self.refresh_lock = threading.Lock()
        self.refreshing = threading.Event()
        """Set while the index is being brought in line."""

    @property
    def has_models(self) -> bool:
        """Whether the library holds any folder of models."""
        with os.scandir(self.layout.library) as entries:
            return any(not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False) for entry in entries)

    def info(self) -> RootInfo:
        """Which root this is."""
        return RootInfo(root=self.layout.root, is_writable=self.is_writable)

    def end_jobs(self, timeout_s: float) -> bool:
        """Cancel all jobs and wait for their safe points; no new ones are taken.

        Returns:
            Whether all had ended in time.
        """
        return self.jobs.close(timeout_s)

    def close(self, timeout_s: float = SHUTDOWN_S) -> bool:
        """End jobs, then close the databases.

        Returns:
            Whether every job had ended in time. If not, the databases stay open for it: what it has not committed is
            undone when the process ends.
        """
        has_ended = self.end_jobs(timeout_s)
        if has_ended:
            self.index.close()
        self.resources.close()
        return has_ended


def _check_native_version() -> None:
    if pumas_native.__version__ != __version__:
        raise NativeFailure(
            f"pumas-native {pumas_native.__version__} does not belong to pumas-library {__version__}; "
            f"reinstall both: pip install pumas-native=={__version__} pumas-library=={__version__}"
        )
