"""The WSGI application: `POST /rpc`, `GET /health`, and refusals as JSON."""

from __future__ import annotations

from typing import Any

import falcon
import msgspec

from pumas.rpc.dispatch import handle
from pumas.rpc.guard import Guard
from pumas.rpc.pieced import PiecedText
from pumas.rpc.session import Session

_HEALTH = b'{"status": "ok"}'


class _Rpc:
    def __init__(self, session: Session) -> None:
        self._session = session

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer = handle(req.bounded_stream.read(), self._session)
        if answer is None:
            resp.status = falcon.HTTP_NO_CONTENT
        elif isinstance(answer, PiecedText):
            resp.stream = answer
        else:
            resp.data = answer


class _Health:
    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        resp.data = _HEALTH


class _GuardMiddleware:
    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        refusal = self._guard.check(req.env)
        if refusal is not None:
            raise falcon.HTTPError(refusal.status, title=refusal.message)
        if req.method == "OPTIONS":
            resp.set_header("Allow", "GET, OPTIONS, POST")
            resp.complete = True


class _CorsMiddleware:
    """Answers for exactly the origins that the configuration names; without any it is not installed."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def process_response(self, req: falcon.Request, resp: falcon.Response, _: object, __: bool) -> None:  # noqa: FBT001
        origin = req.get_header("Origin")
        resp.append_header("Vary", "Origin")
        if origin in self._guard.allowed_origins:
            resp.set_header("Access-Control-Allow-Origin", origin)
            if req.method == "OPTIONS":
                resp.set_header("Access-Control-Allow-Methods", "POST, GET, OPTIONS")
                resp.set_header("Access-Control-Allow-Headers", "Content-Type, Authorization")


def _as_json(_: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode({"error": error.title})


def create_app(session: Session, guard: Guard) -> falcon.App:  # type: ignore[type-arg] # no custom request class
    """Make the application of one server."""
    middleware: list[Any] = [_GuardMiddleware(guard)]
    if guard.allowed_origins:
        middleware.append(_CorsMiddleware(guard))
    app = falcon.App(middleware=middleware)
    app.set_error_serializer(_as_json)
    app.add_route("/rpc", _Rpc(session))
    app.add_route("/health", _Health())
    return app
