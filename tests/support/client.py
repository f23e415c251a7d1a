"""An HTTP client that shows answers as they came."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

_CONTRACT = Path(__file__).parents[1] / "contract" / "data"
_SCHEMA = json.loads((_CONTRACT / "types.schema.json").read_text("utf-8"))
_TYPES = {row["method"]: row["typescript"] for row in json.loads((_CONTRACT / "methods.json").read_text("utf-8"))}


def _check_form(method: str, result: object) -> None:
    """Every successful answer has the form that the desktop app's types ask for."""
    name = _TYPES.get(method)
    if name and isinstance(result, dict) and result.get("success") is not False:
        _validator(name).validate(result)


@cache
def _validator(name: str) -> Any:
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": _SCHEMA["$defs"]})


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
        envelope = answer.json
        _check_form(method, envelope.get("result"))
        return envelope

    def call(self, method: str, params: object = None) -> Any:
        envelope = self.envelope(method, params)
        assert "result" in envelope, envelope
        return envelope["result"]

    def error(self, method: str, params: object = None) -> Any:
        envelope = self.envelope(method, params)
        assert "error" in envelope, envelope
        return envelope["error"]
