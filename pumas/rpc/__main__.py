"""`pumas-rpc`: open a root, listen, say `RPC_PORT=<n>` on standard output, answer until told to end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pumas.streams import replace_closed_streams

# A signal during the start ends the start: what takes long to import waits until it can be seen (`main`).
if TYPE_CHECKING:
    from pumas.rpc.server import Server

_HOST, _PORT = "127.0.0.1", 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pumas-rpc", description="JSON-RPC server of Pumas.")
    parser.add_argument("--port", type=int, default=_PORT, help="port to listen on; 0 = any free one")
    parser.add_argument("--host", default=_HOST, help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--allow-remote",
        action="store_true",
        help="let --host be one that other machines reach; needs PUMAS_TOKEN, and PUMAS_ALLOWED_HOSTS for names",
    )
    parser.add_argument("--launcher-root", help="the launcher root; made if it is missing")
    parser.add_argument("--sample", action="store_true", help="fill a user data folder that is new with tiny models")
    parser.add_argument("--debug", action="store_true", help="show every log line on standard error")
    return parser


def run_server(
    root: str | os.PathLike[str] | None,
    *,
    host: str = _HOST,
    port: int = _PORT,
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
    import logging  # noqa: PLC0415 - see above

    from pumas.api import PumasApi  # noqa: PLC0415
    from pumas.config import Config  # noqa: PLC0415
    from pumas.rpc.logs import log_to_console, log_to_file  # noqa: PLC0415
    from pumas.rpc.server import check_address, create_server, stop_on_signals  # noqa: PLC0415
    from pumas.system.memory import bound_free_memory  # noqa: PLC0415

    logger = logging.getLogger(__name__)
    log_to_console(debug=debug)
    bound_free_memory()
    config = Config.from_env()
    check_address(config, host=host, port=port, is_remote_allowed=allow_remote)
    api = PumasApi(root, config=config, with_samples=sample)
    try:
        log_to_file(api.logs)
        server = create_server(api, config, host=host, port=port, is_remote_allowed=allow_remote)
        stop_on_signals(server)
        announce(server)
    except BaseException:
        api.close()
        raise
    logger.info("serving %s on %s:%d", api.root.root, host, server.port)
    if not server.serve():
        # A job found no safe point in time. What it had not committed is undone; waiting would only annoy.
        logger.warning("ended while work was still running")
        logging.shutdown()
        os._exit(0)


def _say_port(server: Server) -> None:
    from pumas.errors import system_errors  # noqa: PLC0415 - see above

    with system_errors("Writing the port line to standard output"):
        sys.stdout.write(f"RPC_PORT={server.port}\n")
        sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `pumas-rpc`; exits with 2 when the arguments, the root or the port can't be used."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    replace_closed_streams()
    given = _parser().parse_args(arguments)
    from pumas.errors import PumasError  # noqa: PLC0415 - see above

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
