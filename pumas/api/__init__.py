"""`PumasApi`: everything Pumas does, for one launcher root. One file per group of operations."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from pumas.api.classify import ClassifyOperations
from pumas.api.digests import DigestOperations
from pumas.api.fit import FitOperations
from pumas.api.health import HealthOperations
from pumas.api.hub import HubOperations
from pumas.api.identify import IdentifyOperations
from pumas.api.jobs import JobOperations
from pumas.api.lookup import LookupOperations
from pumas.api.organise import OrganiseOperations
from pumas.api.releases import ReleaseOperations
from pumas.api.root import LauncherRoot
from pumas.api.system import SystemOperations
from pumas.api.trash import TrashOperations
from pumas.config import SHUTDOWN_S, Config
from pumas.errors import PumasError
from pumas.jobs import Job
from pumas.models import RefreshReport, RootInfo

__all__ = ["PumasApi"]


class PumasApi(
    HealthOperations,
    OrganiseOperations,
    TrashOperations,
    DigestOperations,
    IdentifyOperations,
    ClassifyOperations,
    LookupOperations,
    FitOperations,
    HubOperations,
    ReleaseOperations,
    SystemOperations,
    JobOperations,
):
    """One launcher root, open; a context manager. Safe to use from several threads.

    Args:
        root: The launcher root; made if it is missing. When not given: `PUMAS_LAUNCHER_ROOT`, else the nearest parent
            of the working directory with `launcher-data`, else the user's data folder.
        config: Settings; read from the environment (`PUMAS_*`) when not given.
        with_samples: Fill the root with a few tiny models if it is the user's data folder, chosen because nothing else
            named a root, and does not exist yet.

    Raises:
        UnusableRoot: The root is not a folder, or it can't be made.
        InvalidInput: An environment variable has a wrong form.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        config: Config | None = None,
        with_samples: bool = False,
    ) -> None:
        self._root = LauncherRoot(root, config or Config.from_env(), with_samples=with_samples)
        self.opening_refresh: Job[RefreshReport] | None = None
        """The job that fills an index which had to be made, or takes up imports that were finished just now."""
        recovered = self._root.recovered
        has_finished = recovered is not None and bool(recovered.finished)
        if (has_finished or self._is_unfilled()) and self._root.has_models:
            self.opening_refresh = self.refresh_models()
        self._settle_trash()

    def _is_unfilled(self) -> bool:
        """Whether there was no index, or the process that made it ended before it had filled it."""
        if self._root.index.is_new:
            return True
        try:
            return self._root.is_writable and self._root.index.is_empty()
        except PumasError:
            return False  # whoever asks first is told, and has it made again

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def root(self) -> RootInfo:
        """Which root is open, and whether it can be written to."""
        return self._root.info()

    @property
    def library(self) -> Path:
        """The folder of models."""
        return self._root.layout.library

    @property
    def logs(self) -> Path:
        """The folder of log files."""
        return self._root.layout.data / "logs"

    def close(self, timeout_s: float = SHUTDOWN_S) -> bool:
        """End jobs at their safe points and close the databases.

        Returns:
            Whether every job had ended within `timeout_s`.
        """
        return self._root.close(timeout_s)
