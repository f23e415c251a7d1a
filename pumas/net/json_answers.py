"""JSON that came from a server, read within bounds."""

from __future__ import annotations

import msgspec

from pumas.config import MAX_DOCUMENT_DEPTH
from pumas.errors import BadAnswer
from pumas.net.messages import Reply, host_of


def json_of(reply: Reply) -> object:
    """The value that an answer holds.

    Raises:
        BadAnswer: It is not JSON, or nested deeper than 100 levels.
    """
    host = host_of(reply.url)
    try:
        value: object = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        kind = reply.headers.get("content-type", "something").partition(";")[0].strip()
        raise BadAnswer(
            host, f"sends {kind[:50]} that can't be read as JSON; is there a sign-in page in between?"
        ) from exc
    if _is_deeper(value, MAX_DOCUMENT_DEPTH):
        raise BadAnswer(host, f"sends JSON of more than {MAX_DOCUMENT_DEPTH} levels")
    return value


def _is_deeper(value: object, levels: int) -> bool:
    level = [value]
    for _ in range(levels):
        below: list[object] = []
        for one in level:
            if isinstance(one, dict):
                below.extend(one.values())
            elif isinstance(one, list):
                below.extend(one)
        level = below
    return any(isinstance(one, dict | list) for one in level)
