"""Whether Pumas runs in a sandbox or a container, and what that means for links (`library.md` §9.5, §14)."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Literal

from pumas.linked import SandboxInfo

_FLATPAK = SandboxInfo(
    kind="flatpak",
    limitations=(
        "Symlinks may not work across sandbox boundary",
        "Access to external drives requires portal permissions",
        "Some filesystem operations may be restricted",
    ),
    needs=("Filesystem access to library directory", "Filesystem access to ComfyUI directory"),
)
_SNAP = SandboxInfo(
    kind="snap",
    limitations=(
        "Access to home directory may be restricted",
        "External drive access requires interface connections",
        "Symlinks outside snap-allowed paths may fail",
    ),
    needs=("Connect 'removable-media' interface",),
)
_DOCKER = SandboxInfo(
    kind="docker",
    limitations=("Filesystem is container-isolated", "External volumes require explicit mounting"),
    needs=("Mount library directory as volume",),
)
_CONTAINER = SandboxInfo(
    kind="docker", limitations=("Running in containerized environment",), needs=("Mount library directory as volume",)
)
_APPIMAGE: Literal["appimage"] = "appimage"


def sandbox_info(variables: AbstractSet[str], *, top: Path = Path("/")) -> SandboxInfo:
    """Tell by marks of the system; those of an AppImage stand beside the others and win.

    Args:
        variables: Names of environment variables that are set (`Config.sandbox`).
        top: The root of the file system.
    """
    info = _around(variables, top)
    if "APPIMAGE" not in variables:
        return info
    more = ("Running from portable AppImage", "Some system paths may not be accessible")
    return SandboxInfo(kind=_APPIMAGE, limitations=(*info.limitations, *more), needs=info.needs)


def _around(variables: AbstractSet[str], top: Path) -> SandboxInfo:
    if "FLATPAK_ID" in variables or (top / ".flatpak-info").exists():
        return _FLATPAK
    if "SNAP" in variables:
        return _SNAP
    if (top / ".dockerenv").exists():
        return _DOCKER
    return _CONTAINER if _is_contained(top / "proc" / "1" / "cgroup") else SandboxInfo(kind="none")


def _is_contained(groups: Path) -> bool:
    try:
        text = groups.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "docker" in text or "containerd" in text


def sandbox_warning(info: SandboxInfo) -> str | None:
    """What a user who makes links should know; None outside of a sandbox."""
    if not info.needs:
        return None
    return f"Running in {info.kind} sandbox. Required permissions: {', '.join(info.needs)}"
