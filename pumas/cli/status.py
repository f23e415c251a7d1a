"""`pumas status`."""

from __future__ import annotations

from collections.abc import Iterator

import typer
from rich.console import RenderableType

from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import facts, put
from pumas.cli.session import bring_in_line, opened
from pumas.cli.text import count_text, size_text
from pumas.models import DiskSpace, LibraryStatus, Record, Resources, RootInfo, Status
from pumas.upstream import NetworkStatus

group = typer.Typer()


class Overview(Record, frozen=True, kw_only=True):
    """What `pumas status` tells: the answers of six operations together."""

    root: RootInfo
    library: LibraryStatus
    status: Status
    network: NetworkStatus
    disk: DiskSpace
    resources: Resources


@group.command("status", epilog="Example: pumas status --json")
def status(*, root: Root = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show the state of library and machine."""
    with opened(root, is_debug=debug) as api:
        bring_in_line(api, only_if_empty=True, is_quiet=as_json)
        overview = Overview(
            root=api.root,
            library=api.get_library_status(),
            status=api.get_status(),
            network=api.get_network_status(),
            disk=api.get_disk_space(),
            resources=api.get_system_resources(),
        )
        put(overview, lambda: _sheet(overview), as_json=as_json)


def _sheet(overview: Overview) -> RenderableType:
    return facts([*_launcher(overview), *_machine(overview.disk, overview.resources)])


def _launcher(overview: Overview) -> Iterator[tuple[str, str]]:
    yield "Root", str(overview.root.root)
    yield "Writable", "yes" if overview.root.is_writable else "no, what is there is only read"
    yield "Models", str(overview.library.model_count)
    yield "Pending", f"{count_text(overview.library.pending_lookups, 'model')} to be looked up on the hub"
    yield "ComfyUI", overview.status.active_version or "no version is installed"
    yield "Network", "offline, answers come from caches" if overview.network.is_offline else "asked when needed"
    yield "Missing tools", ", ".join(overview.status.missing_tools) or "none"


def _machine(disk: DiskSpace, load: Resources) -> Iterator[tuple[str, str]]:
    yield "Disk", f"{size_text(disk.free_bytes)} free of {size_text(disk.total_bytes)} ({disk.used_percent} % used)"
    yield "Processor", f"{load.cpu_percent} %"
    yield "Memory", f"{load.ram_used_percent} % of {size_text(load.ram_total_bytes)}"
    for gpu in load.gpus:
        yield "GPU", f"{gpu.usage_percent} %, {size_text(gpu.used_bytes)} of {size_text(gpu.total_bytes)}"
