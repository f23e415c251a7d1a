"""`pumas serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import put
from pumas.cli.text import clean
from pumas.config import DEFAULT_HOST, DEFAULT_PORT

if TYPE_CHECKING:
    from pumas.rpc.server import Server

group = typer.Typer()


@group.command("serve", epilog="Example: pumas serve --root ~/ai --port 8787")
def serve(
    *,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = DEFAULT_HOST,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Port to listen on; 0 = any free one.")
    ] = DEFAULT_PORT,
    allow_remote: Annotated[
        bool,
        typer.Option("--allow-remote", help="Let --host be one that others reach; needs a token in PUMAS_TOKEN."),
    ] = False,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Serve a launcher root until Ctrl-C.

    Speaks JSON-RPC; says on which address once it listens.
    """
    from pumas.rpc.__main__ import run_server  # noqa: PLC0415 - the other commands need no server

    def announce(server: Server) -> None:
        folder = server.api.root.root
        address = f"[{host}]" if ":" in host else host
        line = f"Serving {folder} on http://{address}:{server.port}/rpc (Ctrl-C to stop)"
        put({"port": server.port, "root": folder}, lambda: clean(line), as_json=as_json)

    run_server(root, host=host, port=port, allow_remote=allow_remote, debug=debug, sample=False, announce=announce)
