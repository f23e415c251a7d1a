"""`pumas-rpc`: open a root, listen, say `RPC_PORT=<n>` on standard output, answer until told to end."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pumas.api import PumasApi
from pumas.config import DEFAULT_HOST, DEFAULT_PORT, Config
from pumas.errors import PumasError
from pumas.rpc.logs import log_to_console, log_to_file
from pumas.rpc.server import Server, create_server, stop_on_signals

logger = logging.getLogger(__name__)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pumas-rpc", description="JSON-RPC server of Pumas.")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port to listen on; 0 = any free one")
    parser.add_argument("--host", default=DEFAULT_HOST, help="address to listen on (default: %(default)s)")
    parser.add_argument("--allow-remote", action="store_true", help="let --host be one that other machines reach")
    parser.add_argument("--launcher-root", type=Path, help="the launcher root; made if it is missing")
    parser.add_argument("--sample", action="store_true", help="fill a user data folder that is new with tiny models")
    parser.add_argument("--debug", action="store_true", help="show every log line on standard error")
    return parser


def run_server(
    root: Path | None,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    allow_remote: bool = False,
    debug: bool = False,
    sample: bool = False,
    announce: Callable[[Server], None],
) -> None:
    """Open a root and serve it until a signal or `shutdown`; `announce` is called once the socket listens.

    `sample` fills the root with a few tiny models if it is the one in the user's data folder and does not exist yet.

    Raises:
        PumasError: The root can't be opened, or the server can't listen.
    """
    log_to_console(debug=debug)
    config = Config.from_env()
    api = PumasApi(root, config=config, with_samples=sample)
    try:
        log_to_file(api.logs)
        server = create_server(api, config, host=host, port=port, is_remote_allowed=allow_remote)
    except BaseException:
        api.close()
        raise
    stop_on_signals(server)
    announce(server)
    logger.info("serving %s on %s:%d", api.root.root, host, server.port)
    if not server.serve():
        # A job found no safe point in time. What it had not committed is undone; waiting would only annoy.
        logger.warning("ended while work was still running")
        logging.shutdown()
        os._exit(0)


def _say_port(server: Server) -> None:
    sys.stdout.write(f"RPC_PORT={server.port}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `pumas-rpc`; exits with 2 when the arguments, the root or the port can't be used."""
    given = _parser().parse_args(arguments)
    try:
        run_server(
            given.launcher_root,
            host=given.host,
            port=given.port,
            allow_remote=given.allow_remote,
            debug=given.debug,
            sample=given.sample,
            announce=_say_port,
        )
    except PumasError as exc:
        sys.stderr.write(f"pumas-rpc: {exc}\n")
        sys.exit(exc.exit_code)


if __name__ == "__main__":
    main()
