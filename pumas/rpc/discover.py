"""`rpc.discover`: the method table as an OpenRPC document (spec.open-rpc.org, 1.3.2)."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from pumas import __version__
from pumas.rpc.later import LATER
from pumas.rpc.methods import METHODS
from pumas.rpc.params import NoParams
from pumas.rpc.session import Method, Session


class OpenRpc(Struct, frozen=True, kw_only=True):
    """The document."""

    openrpc: str
    info: dict[str, str]
    methods: list[dict[str, Any]]
    components: dict[str, Any]


@cache
def document() -> OpenRpc:
    """Make the document; methods that are not built yet are listed with `x-available: false`."""
    rows = [*METHODS.values(), DISCOVER]
    kinds = [*dict.fromkeys(kind for row in rows for kind in (row.params, row.result))]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    by_kind = dict(zip(kinds, schemas, strict=True))
    methods = [_entry(row, components, by_kind) for row in rows]
    for part, names in LATER.items():
        methods.extend(
            {"name": name, "summary": summary, "params": [], "x-available": False, "x-part": part}
            for name, summary in names.items()
        )
    return OpenRpc(
        openrpc="1.3.2",
        info={"title": "Pumas", "version": __version__},
        methods=methods,
        components={"schemas": components},
    )


def _entry(row: Method, components: dict[str, Any], by_kind: dict[type[Struct], dict[str, Any]]) -> dict[str, Any]:
    schema = components[row.params.__name__]
    required = schema.get("required", [])
    return {
        "name": row.name,
        "summary": row.summary,
        "paramStructure": "either",
        "params": [
            {"name": name, "required": name in required, "schema": shape}
            for name, shape in schema["properties"].items()
        ],
        "result": {"name": row.result.__name__, "schema": by_kind[row.result]},
        "x-available": True,
    }


def _discover(_: Session, __: NoParams) -> Struct:
    return document()


DISCOVER = Method("rpc.discover", _discover, "Describes every method (OpenRPC).", OpenRpc)
