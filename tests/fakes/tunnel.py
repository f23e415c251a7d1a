"""A proxy that does nothing but tunnel (`CONNECT`): every host leads to the same port of this machine."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class FakeTunnel:
    """Tunnels to a port until it is closed; a context manager. `targets` are the hosts that were asked for."""

    def __init__(self, port: int) -> None:
        self.targets: list[str] = []
        self._to = port
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def close(self) -> None:
        for one in (self._listener, *self._open):
            with suppress(OSError):  # gone already
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in (self._listener, *self._open):
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, work, *arguments) -> None:
        thread = threading.Thread(target=work, args=arguments, name="fake tunnel")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                inner = self._listener.accept()[0]
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += inner.recv(1)
                self.targets.append(head.split()[1].decode())
                outer = socket.create_connection(("127.0.0.1", self._to))
                self._open += [inner, outer]
                inner.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                self._start(_pump, inner, outer)
                self._start(_pump, outer, inner)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # closed
        while received := source.recv(65536):
            target.sendall(received)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
