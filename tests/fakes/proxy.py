"""An HTTP proxy on a free port: it passes requests on and makes tunnels, and keeps their first lines and headers."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """A proxy that leads every name to 127.0.0.1; a context manager."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept, name="proxy")]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), name="proxy connection")
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
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
        while not self._ended.is_set():
            for source in select.select([client, server], [], [], 0.1)[0]:
                data = source.recv(65536)
                if not data:
                    return
                (server if source is client else client).sendall(data)
