"""A port of the loopback address, with a thread for each connection that comes; all of them end with it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Listening:
    """Calls `serve(connection)` in a thread of its own for each connection, until it is closed."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self.ended = threading.Event()
        self._serve = serve
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="fake listener")]
        self._threads[0].start()

    def close(self) -> None:
        """Shut all connections and wait for their threads."""
        self.ended.set()
        with suppress(OSError):  # not every system shuts what only listens
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # gone already
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
            thread = threading.Thread(target=self._run, args=(connection,), name="fake connection")
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()
