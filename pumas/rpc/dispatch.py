"""One HTTP body → one answer: JSON-RPC 2.0 (jsonrpc.org/specification), with the error texts of `http.md`."""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from math import ceil
from time import monotonic
from typing import Any

import msgspec

from pumas.config import MAX_BATCH
from pumas.errors import InvalidInput, PumasError, RateLimited, shown
from pumas.rpc.later import LATER
from pumas.rpc.methods import METHODS, Method, Session, StillRunning
from pumas.rpc.params import NoParams, read_params
from pumas.rpc.pieced import PiecedText
from pumas.rpc.responses import Running

logger = logging.getLogger(__name__)

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603

_encoder = msgspec.json.Encoder()
_NOT_YET = frozenset(name for part in LATER.values() for name in part)
_NO_PARAMS = NoParams()


class ProtocolError(Exception):
    """The request itself is wrong; nothing was called."""

    def __init__(self, code: int, message: str, kind: str) -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind


def handle(body: bytes, session: Session) -> bytes | PiecedText | None:
    """Answer one body; None when it held notifications only."""
    try:
        request = _parse(body)
        if isinstance(request, list):
            return _handle_batch(request, session)
    except ProtocolError as exc:
        return _encoder.encode(_error(None, exc.code, str(exc), exc.kind))
    answer = _handle_one(request, session)
    return None if answer is None else _text(answer)


def _text(answer: dict[str, object]) -> bytes | PiecedText:
    result = answer.get("result")
    if not isinstance(result, PiecedText):
        return _encoder.encode(answer)
    return PiecedText([b'{"jsonrpc":"2.0","result":', *result.pieces, b',"id":', _encoder.encode(answer["id"]), b"}"])


def _parse(body: bytes) -> object:
    if not body:
        raise ProtocolError(PARSE_ERROR, "Parse error: Empty request body", "parse_error")
    try:
        return msgspec.json.decode(body)
    except RecursionError as exc:
        raise ProtocolError(PARSE_ERROR, "Parse error: The body is nested too deep", "parse_error") from exc
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as exc:
        raise ProtocolError(PARSE_ERROR, "Parse error: The body is not valid JSON", "parse_error") from exc


def _handle_batch(requests: list[object], session: Session) -> PiecedText | None:
    if not requests:
        raise ProtocolError(INVALID_REQUEST, "Invalid Request: An empty batch", "invalid_request")
    if len(requests) > MAX_BATCH:
        message = f"Invalid Request: A batch may hold at most {MAX_BATCH} requests"
        raise ProtocolError(INVALID_REQUEST, message, "invalid_request")
    session = replace(session, wait_until=monotonic() + session.job_wait_s)
    answers = [answer for request in requests if (answer := _handle_one(request, session)) is not None]
    if not answers:
        return None
    pieces: list[bytes] = []
    for answer in answers:
        text = _text(answer)
        pieces.append(b"," if pieces else b"[")
        pieces += text.pieces if isinstance(text, PiecedText) else [text]
    return PiecedText([*pieces, b"]"])


def _handle_one(request: object, session: Session) -> dict[str, object] | None:
    if not isinstance(request, dict):
        return _error(None, INVALID_REQUEST, "Invalid Request: Expected object", "invalid_request")
    identifier = request.get("id")
    if isinstance(identifier, bool) or not isinstance(identifier, (str, int, float, type(None))):
        return _error(None, INVALID_REQUEST, "Invalid Request: `id` must be text, a number or null", "invalid_request")
    try:
        method = _method(request)
        answer: dict[str, object] = {"jsonrpc": "2.0", "result": _call(method, request, session), "id": identifier}
    except ProtocolError as exc:
        answer = _error(identifier, exc.code, str(exc), exc.kind)
    except InvalidInput as exc:
        answer = _error(identifier, exc.code, f"Invalid params: {exc}", exc.kind, parameter=exc.parameter)
    except Exception as exc:
        answer = _internal_error(identifier, exc)
    # A notification is carried out like any other request, but nobody waits for what came of it.
    return answer if "id" in request or _is_invalid_request(answer) else None


def _is_invalid_request(answer: dict[str, Any]) -> bool:
    return "error" in answer and answer["error"]["code"] == INVALID_REQUEST


def _method(request: dict[str, object]) -> Method:
    if request.get("jsonrpc", "2.0") != "2.0":
        raise ProtocolError(INVALID_REQUEST, 'Invalid Request: `jsonrpc` must be "2.0"', "invalid_request")
    name = request.get("method")
    if name is None or name == "":
        raise ProtocolError(INVALID_REQUEST, "Invalid Request: Missing method", "invalid_request")
    if not isinstance(name, str):
        raise ProtocolError(INVALID_REQUEST, "Invalid Request: `method` must be text", "invalid_request")
    method = METHODS.get(name) or (_discover_method() if name == "rpc.discover" else None)
    if method is not None:
        return method
    if name in _NOT_YET:
        raise ProtocolError(METHOD_NOT_FOUND, f"Method not available yet: {shown(name)}", "method_not_available")
    raise ProtocolError(METHOD_NOT_FOUND, f"Method not found: {shown(name)}", "method_not_found")


def _discover_method() -> Method:
    from pumas.rpc.discover import DISCOVER  # noqa: PLC0415 - schemas are only made when asked for

    return DISCOVER


def _call(method: Method, request: dict[str, object], session: Session) -> object:
    given = request.get("params", {})
    # PERF: the empty call skips the checks (bench_http).
    params = _NO_PARAMS if given == {} and method.params is NoParams else read_params(method.params, given)
    try:
        return method.call(session, params)
    except InvalidInput:
        raise
    except StillRunning as exc:
        return Running(job_id=exc.job.job_id)
    except PumasError as exc:
        logger.info("%s failed: %s", method.name, exc)
        return {"success": False, "error": str(exc), **method.failure, **_limit_of(exc)}


def _limit_of(error: PumasError) -> dict[str, object]:
    """What the desktop app reads besides `error` when a server was asked too often (`versions.md` §3.2)."""
    if not isinstance(error, RateLimited):
        return {}
    if error.retry_after_s is None:
        return {"rate_limited": True}
    return {"rate_limited": True, "retry_after_secs": ceil(error.retry_after_s)}


def _error(identifier: object, code: int, message: str, kind: str, **data: object) -> dict[str, object]:
    known = {name: value for name, value in data.items() if value is not None}
    return {
        "jsonrpc": "2.0",
        "error": {"code": code, "message": message, "data": {"kind": kind, **known}},
        "id": identifier,
    }


def _internal_error(identifier: object, error: Exception) -> dict[str, object]:
    error_id = uuid.uuid4().hex[:12]
    logger.error("internal error %s", error_id, exc_info=error)
    message = f"Internal error: Something went wrong inside Pumas; the log tells more under {error_id}"
    return _error(identifier, INTERNAL_ERROR, message, "internal_error", error_id=error_id)
