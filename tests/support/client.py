"""An HTTP client that shows answers as they came."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A plain HTTP client; one connection a request unless told otherwise."""

    def __init__(self, port: int) -> None:
        self.port = port

    def send(self, verb: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(verb, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def post(self, body: bytes | str, **headers: str) -> Answer:
        data = body.encode() if isinstance(body, str) else body
        return self.send("POST", "/rpc", data, {"Content-Type": "application/json", **headers})

    def envelope(self, method: str, params: object = None, identifier: object = 1) -> Any:
        request = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": {} if params is None else params}
        answer = self.post(json.dumps(request))
        assert answer.status == 200, answer
        return answer.json

    def call(self, method: str, params: object = None) -> Any:
        envelope = self.envelope(method, params)
        assert "result" in envelope, envelope
        return envelope["result"]

    def error(self, method: str, params: object = None) -> Any:
        envelope = self.envelope(method, params)
        assert "error" in envelope, envelope
        return envelope["error"]
