"""Operations on the releases of apps that upstream published."""

from __future__ import annotations

from pumas.api.root import LauncherRoot
from pumas.jobs import Job
from pumas.upstream import ReleaseCacheStatus, ReleaseList


class ReleaseOperations:
    """List and fetch releases."""

    _root: LauncherRoot

    def list_releases(self, app_id: str = "comfyui") -> ReleaseList:
        """The cached list, at once; one that is older than it should be is fetched anew in the background.

        Raises:
            NotFound: There is no such app.
        """
        return self._root.releases.listed(app_id)

    def fetch_releases(self, app_id: str = "comfyui") -> Job[ReleaseList]:
        """Ask upstream for the list now; a fetch that is under way already is joined.

        Returns:
            The job. Without an answer that can be used, its result is the cached list with the reason in `error`;
            where nothing is cached, it fails with that reason (`RateLimited`, `Offline`, …).

        Raises:
            NotFound: There is no such app.
        """
        return self._root.releases.fetch(app_id)

    def get_release_cache_status(self, app_id: str = "comfyui") -> ReleaseCacheStatus:
        """How old the cached list is, and whether it is being fetched."""
        return self._root.releases.status(app_id)

    def refresh_due_releases(self) -> None:
        """Fetch in the background every list that is older than it should be; for the start of a server."""
        self._root.releases.refresh_due()

    @property
    def has_fetched_releases(self) -> bool:
        """Whether a list came from upstream since the start, or since `forget_fetched_releases`."""
        return self._root.releases.has_fetched

    def forget_fetched_releases(self) -> None:
        """Begin to wait for the next list."""
        self._root.releases.forget_fetched()
