"""An HTTP proxy on a free port: it passes requests on and makes tunnels, and keeps their first lines and headers."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from fakes.listening import Listening


class Proxy:
    """A proxy that leads every name to 127.0.0.1; a context manager."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self._listening = Listening(self._serve)
        self.url = f"http://127.0.0.1:{self._listening.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                if not (more := client.recv(65536)):
                    return
                data += more
            head = data.decode("latin-1")
            self.heads.append(head)
            method, target, _ = head.split(" ", 2)
            is_tunnel = method == "CONNECT"
            port = int(target.rpartition(":")[2]) if is_tunnel else (urlsplit(target).port or 80)
            with socket.create_connection(("127.0.0.1", port)) as server:
                if is_tunnel:
                    client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                else:
                    server.sendall(data)
                self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        while not self._listening.ended.is_set():
            for source in select.select([client, server], [], [], 0.1)[0]:
                data = source.recv(65536)
                if not data:
                    return
                (server if source is client else client).sendall(data)
