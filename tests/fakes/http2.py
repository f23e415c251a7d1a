"""A server that speaks HTTP/2 over TLS and nothing else: every answer is the path that was asked for, as JSON."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from contextlib import suppress
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.exceptions import ProtocolError


class FakeHttp2Server:
    """Answers until it is closed; a context manager."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        tls.set_alpn_protocols(["h2"])
        self.connections = 0
        self._tls = tls
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="fake http2")]
        self._threads[0].start()

    def close(self) -> None:
        for one in (self._listener, *self._open):
            with suppress(OSError):  # gone already
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection = self._listener.accept()[0]
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(connection,), name="fake http2 connection")
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ProtocolError), self._tls.wrap_socket(connection, server_side=True) as stream:
            self._open.append(stream)
            http = H2Connection(H2Configuration(client_side=False))
            http.initiate_connection()
            stream.sendall(http.data_to_send())
            while received := stream.recv(65536):
                for event in http.receive_data(received):
                    if isinstance(event, RequestReceived):
                        self._answer(http, event)
                stream.sendall(http.data_to_send())

    @staticmethod
    def _answer(http: H2Connection, event: RequestReceived) -> None:
        asked = {bytes(name): bytes(value) for name, value in event.headers or ()}
        assert event.stream_id is not None
        body = json.dumps({"path": asked[b":path"].decode()}).encode()
        http.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/json")])
        http.send_data(event.stream_id, body, end_stream=True)
