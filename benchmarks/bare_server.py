"""The baseline of `bench_http`: Falcon on Waitress with the server's settings, answering a constant.

Run as a child: `python bare_server.py <answer>`; says `RPC_PORT=<n>` and serves until it is terminated.
"""

from __future__ import annotations

import sys

import falcon
from waitress import create_server

from pumas.config import MAX_BODY_BYTES, SERVER_THREADS


class _Constant:
    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def on_post(self, _: falcon.Request, resp: falcon.Response) -> None:
        resp.data = self._answer


def main() -> None:
    app = falcon.App()
    app.add_route("/rpc", _Constant(sys.argv[1].encode()))
    # As in `pumas/rpc/server.py`.
    server = create_server(
        app,
        host="127.0.0.1",
        port=0,
        threads=SERVER_THREADS,
        connection_limit=2000,
        backlog=1024,
        asyncore_use_poll=True,
        channel_timeout=20,
        cleanup_interval=5,
        max_request_body_size=MAX_BODY_BYTES,
        max_request_header_size=64 * 1024,
        ident=None,
        clear_untrusted_proxy_headers=True,
    )
    print(f"RPC_PORT={server.effective_port}", flush=True)
    server.run()


if __name__ == "__main__":
    main()
