"""The status line of the desktop app, made of facts that others gathered (`system.md` §2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pumas.models import AppLoad, Release, Status

_MISSING = "Missing dependencies detected."
_COMPLETE = "Setup complete \N{EN DASH} everything is ready"


def compose_status(
    *,
    active_version: str | None,
    latest_release: str | None,
    missing_tools: Sequence[str],
    running: Mapping[str, Sequence[AppLoad]] | None = None,
    is_patched: bool = False,
    has_menu_shortcut: bool = False,
    has_desktop_shortcut: bool = False,
    last_launch_log: str | None = None,
    last_launch_error: str | None = None,
) -> Status:
    """Compose the status.

    Args:
        active_version: Tag of the active ComfyUI version.
        latest_release: Newest known tag, from the cache.
        missing_tools: Needed programs that are not there.
        running: Loads of the servers found, by app id.
        is_patched: The active version carries the process-title patch.
        has_menu_shortcut: Its menu entry exists.
        has_desktop_shortcut: Its desktop entry exists.
        last_launch_log: Log of the last start in this process.
        last_launch_error: Why the last start failed.
    """
    has_menu_shortcut = has_menu_shortcut and active_version is not None
    has_desktop_shortcut = has_desktop_shortcut and active_version is not None
    loads = {app_id: _sum(servers) for app_id, servers in (running or {}).items() if servers}
    if loads:
        message = ""
    elif missing_tools:
        message = _MISSING
    elif is_patched and has_menu_shortcut and has_desktop_shortcut:
        message = _COMPLETE
    else:
        message = ""
    return Status(
        version=active_version or "none",
        active_version=active_version,
        missing_tools=tuple(missing_tools),
        is_patched=is_patched,
        has_menu_shortcut=has_menu_shortcut,
        has_desktop_shortcut=has_desktop_shortcut,
        app_loads=loads,
        message=message,
        release=Release(
            has_update=None not in (active_version, latest_release) and active_version != latest_release,
            latest_version=latest_release,
            current_version=active_version,
        ),
        last_launch_log=last_launch_log,
        last_launch_error=last_launch_error,
    )


def _sum(servers: Sequence[AppLoad]) -> AppLoad:
    return AppLoad(
        cpu_percent=round(sum(server.cpu_percent for server in servers), 1),
        ram_gib=round(sum(server.ram_gib for server in servers), 2),
        gpu_gib=round(sum(server.gpu_gib for server in servers), 2),
    )
