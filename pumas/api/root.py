"""One open launcher root: the parts that all operations share, and their end."""

from __future__ import annotations

import logging
import os
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pumas_native

from pumas import __version__
from pumas.api.ready import ReadyRecords
from pumas.api.refresh import Refresher
from pumas.api.watch import LibraryWatch
from pumas.apps.release_lists import ReleaseLists
from pumas.config import JOB_WORKERS, SHUTDOWN_S, Config
from pumas.errors import NativeFailure, PumasError, UnusableRoot
from pumas.jobs import JobPool
from pumas.models import RootInfo
from pumas.net.http import HttpClient
from pumas.search.database import Database
from pumas.search.index import Index
from pumas.search.ranked import RankedSearch
from pumas.store.cache import open_cache
from pumas.store.paths import chosen_root, open_layout
from pumas.system.resources import ResourceSampler

if TYPE_CHECKING:
    from pumas.library.import_recovery import Recovered
    from pumas.net.hub import Hub
    from pumas.net.hub_search import HubSearches

logger = logging.getLogger(__name__)


class LauncherRoot:
    """Opens a root and owns its parts; closed once, by whoever opened it."""

    def __init__(self, root: str | os.PathLike[str] | None, config: Config, *, with_samples: bool) -> None:
        _check_native_version()
        if root is not None and not os.fspath(root).strip():
            raise UnusableRoot("The launcher root is empty; name a folder", parameter="launcher_root")
        folder, is_users_own = chosen_root(None if root is None else Path(root), config)
        is_new = not folder.exists()
        self.config = config
        self.layout, self._is_writable = open_layout(folder)
        if not self.is_writable:
            logger.warning("the launcher root %s is read-only: what is there is served, nothing is written", folder)
        if with_samples and is_users_own and is_new:
            from pumas.library.samples import write_samples  # noqa: PLC0415 - once in the life of a root

            write_samples(self.layout.library)
        self.recovered = self._recover_imports()
        """What was done about imports that had been interrupted; None when there were none."""
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self.index = self._open_index()
        self.cache = open_cache(
            self.layout.library, is_writable=self.is_writable, fallback=lambda: self.layout.cache_folder(config)
        )
        locks = self._cache_locks()
        self.ready = ReadyRecords(self.index, self.cache, self.layout.library, locks)
        self.ranked = RankedSearch(self.index, self.cache, locks)
        self.refresher = Refresher(self.layout.library, self.index, self.cache, self.ready, self.ranked)
        self.wants_ready = False
        """Whether somebody serves ready answers, so that they are to be kept."""
        self.has_searched = False
        self.watch: LibraryWatch | None = None
        self.jobs = JobPool(JOB_WORKERS)
        self.http = HttpClient(config)
        self.releases = ReleaseLists(self.layout, config, self.http, self.jobs)
        self.resources = ResourceSampler(self.layout.root)

    def _recover_imports(self) -> Recovered | None:
        if not self._is_writable or not (self.layout.library / ".pumas" / "imports").is_dir():
            return None
        from pumas.library.import_recovery import recover_imports  # noqa: PLC0415 - only where something was imported

        return recover_imports(self.layout)

    def _open_index(self) -> Index:
        """The index as it is to be written, else as it can be read, else one that is made for this run."""
        path = self.layout.models_db
        for is_writable in (True, False) if self.is_writable else (False,):
            try:
                return Index(Database(path, is_writable=is_writable))
            except PumasError as exc:
                logger.warning("the index can't be opened to be %s: %s", "written" if is_writable else "read", exc)
        return Index(Database(self._scratch_folder() / path.name, is_writable=True))

    def _cache_locks(self) -> Path:
        """Lock files for what the cache holds: with those of the documents, else where it lies itself."""
        if self._is_writable:
            return self.layout.library_locks
        folder = self.cache.folder
        # Not inside it: the folder of a cache is emptied when a cache is thrown away.
        return (self._scratch_folder() if folder is None else folder.parent) / "locks"

    def _scratch_folder(self) -> Path:
        """A folder for this run only."""
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="pumas-index-")
        return Path(self._scratch.name)

    @cached_property
    def hub(self) -> Hub:
        """The hub, with what it answered before."""
        from pumas.net.hub import Hub  # noqa: PLC0415 - for whoever asks it
        from pumas.net.hub_store import HubStore  # noqa: PLC0415 - as above

        return Hub(self.http, HubStore(self.cache, self.config.hub_base), self.config)

    @cached_property
    def hub_searches(self) -> HubSearches:
        """Searches on it, with those that were answered not long ago."""
        from pumas.net.hub_search import HubSearches  # noqa: PLC0415 - as above

        return HubSearches(self.hub)

    @property
    def is_writable(self) -> bool:
        """Whether anything can be written into it; one that could only be read is looked at again."""
        if not self._is_writable:
            self._is_writable = open_layout(self.layout.root)[1]
        return self._is_writable

    @property
    def has_models(self) -> bool:
        """Whether the library holds any folder of models."""
        with os.scandir(self.layout.library) as entries:
            return any(not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False) for entry in entries)

    def info(self) -> RootInfo:
        """Which root this is."""
        return RootInfo(root=self.layout.root, is_writable=self.is_writable)

    def end_jobs(self, timeout_s: float) -> bool:
        """Give up all requests, cancel all jobs and wait for their safe points; no new ones are taken.

        Returns:
            Whether all had ended in time.
        """
        if self.watch is not None:
            self.watch.end()
        self.http.close()
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
            self.cache.close()
            if self._scratch is not None:
                self._scratch.cleanup()
        self.resources.close()
        return has_ended


def _check_native_version() -> None:
    if pumas_native.__version__ != __version__:
        raise NativeFailure(
            f"pumas-native {pumas_native.__version__} does not belong to pumas-library {__version__}; "
            "reinstall both; from a checkout: pip install ./_native ."
        )
