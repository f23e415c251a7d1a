"""Operations that tell about the machine and the launcher."""

from __future__ import annotations

from pumas.api.root import LauncherRoot
from pumas.apps.releases import latest_cached_release
from pumas.apps.versions import active_version
from pumas.models import DiskSpace, Resources, Status
from pumas.system.resources import disk_space
from pumas.system.status import compose_status
from pumas.system.tools import missing_tools
from pumas.upstream import NetworkStatus


class SystemOperations:
    """Status, load, drive."""

    _root: LauncherRoot

    def get_status(self) -> Status:
        """What the head of the desktop app shows; never waits for a network."""
        layout = self._root.layout
        return compose_status(
            active_version=active_version(layout, "comfyui"),
            latest_release=latest_cached_release(layout, "comfyui"),
            missing_tools=missing_tools(),
        )

    def get_network_status(self) -> NetworkStatus:
        """How requests to servers went in this process, and which servers are left alone; asks nothing."""
        return self._root.http.status()

    def get_disk_space(self) -> DiskSpace:
        """Space of the file system that holds the root.

        Raises:
            Unavailable: It can't be read.
        """
        return disk_space(self._root.layout.root)

    def get_system_resources(self) -> Resources:
        """Load of processor, memory, GPUs and drive; not older than half a second.

        Raises:
            Unavailable: A figure can't be read.
        """
        return self._root.resources.sample()
