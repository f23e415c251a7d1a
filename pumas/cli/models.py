"""`pumas list`, `pumas show`, `pumas search`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Column
from rich.text import Text

from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import facts, note, put, table
from pumas.cli.session import bring_in_line, opened
from pumas.cli.text import UNKNOWN, clean, count_text, date_text, shorten, size_text
from pumas.errors import PumasError
from pumas.models import Model, SearchHit, ShardSet

if TYPE_CHECKING:
    from pumas.api import PumasApi

group = typer.Typer()

_NAME_CHARACTERS = 60  # one endless name must not push the other columns out of sight
_SHORT_CHARACTERS = 30
_NUMBERS_SHOWN = 20  # of missing shards

Types = Annotated[
    list[str] | None, typer.Option("--type", metavar="TYPE", help="Only models of this type; may be given again.")
]


@group.command("list", epilog="Example: pumas list --type llm --limit 20")
def list_models(
    *,
    types: Types = None,
    limit: Annotated[int | None, typer.Option(min=0, metavar="N", help="Show at most so many.")] = None,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the models of the library."""
    with opened(root, is_debug=debug) as api:
        bring_in_line(api, only_if_empty=False, is_quiet=as_json)
        models = [model for model in api.list_models() if not types or model.model_type in types]
        shown = models[:limit]
        put(shown, lambda: _table(shown), as_json=as_json)
        if not as_json and len(shown) < len(models):
            note(f"{len(shown)} of {count_text(len(models), 'model')}")
        elif not as_json and not models:
            of_types = f" of type {' or '.join(types)}" if types else ""
            note(f"No model{of_types} was found in {api.library}")


@group.command("show", epilog="Example: pumas show llm/llama/Llama-3.1-8B-Instruct")
def show_model(
    *,
    model_id: Annotated[str, typer.Argument(metavar="MODEL_ID", help="An id as `pumas list` shows it.")],
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show all that is known of one model, and its document."""
    with opened(root, is_debug=debug) as api:
        bring_in_line(api, only_if_empty=True, is_quiet=as_json)
        hit = api.get_model(model_id)
        put(hit, lambda: _sheet(hit, api.library, _shards(api, model_id)), as_json=as_json)


@group.command("search", epilog="Example: pumas search llama instruct --type llm --tag chat")
def search_models(
    *,
    query: Annotated[
        list[str],
        typer.Argument(
            metavar="QUERY", help='Beginnings of words, any may match; column:word looks in one; "" finds all.'
        ),
    ],
    types: Types = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Only models with this tag; may be given again.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", help="Show at most so many, up to 10000.")] = 20,
    offset: Annotated[int, typer.Option(metavar="N", help="Leave out so many before.")] = 0,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Find models; the best hits first.

    Looks at names, types, tags, families and descriptions.
    """
    with opened(root, is_debug=debug) as api:
        bring_in_line(api, only_if_empty=True, is_quiet=as_json)
        page = api.search_models_fts(" ".join(query), limit=limit, offset=offset, model_type=types, tags=tags)
        put(page, lambda: _table(hit.model for hit in page.hits), as_json=as_json)
        if not as_json:
            note(f"{len(page.hits)} of {count_text(page.total_count, 'hit')}")


def _table(models: Iterable[Model]) -> str | RenderableType:
    columns = (
        Column("ID", overflow="fold"),
        Column("NAME"),
        Column("TYPE"),
        Column("FAMILY"),
        Column("SIZE", no_wrap=True, justify="right"),
        Column("ADDED", no_wrap=True),
    )
    return table(columns, [_cells(model) for model in models])


def _cells(model: Model) -> tuple[str, ...]:
    return (
        clean(model.model_id),
        shorten(model.official_name or model.cleaned_name, _NAME_CHARACTERS),
        shorten(type_text(model), _SHORT_CHARACTERS),
        shorten(model.family, _SHORT_CHARACTERS) or UNKNOWN,
        size_text(model.size_bytes),
        date_text(model.added_at),
    )


def type_text(model: Model) -> str:
    """Type and subtype of a model."""
    return "/".join(part for part in (model.model_type, model.subtype) if part) or UNKNOWN


def _shards(api: PumasApi, model_id: str) -> list[str]:
    """What is to be said of each set of shards; nothing when the folder can't be looked at."""
    try:
        found = api.shards_of_model(model_id)
    except PumasError:
        return []
    return [f"{one.name}: {one.found_count} of {one.expected_count}{_missing(one)}" for one in found]


def _missing(one: ShardSet) -> str:
    if one.error:
        return f"; {one.error}"
    if not one.missing_count:
        return ", complete"
    numbers = ", ".join(map(str, one.missing[:_NUMBERS_SHOWN]))
    return f"; missing: {numbers}{', …' if one.missing_count > _NUMBERS_SHOWN else ''}"


def _sheet(hit: SearchHit, library: Path, shards: Sequence[str]) -> RenderableType:
    model = hit.model
    folder = library / model.model_id
    document = json.dumps(json.loads(hit.metadata_json), ensure_ascii=False, indent=2)
    pairs = (
        ("Id", model.model_id),
        ("Name", model.official_name),
        ("Cleaned name", model.cleaned_name),
        ("Type", type_text(model)),
        ("Family", model.family),
        ("Description", model.description),
        ("Tags", ", ".join(model.tags)),
        ("Size", size_text(model.size_bytes)),
        ("Added", model.added_at or ""),
        ("Folder", str(folder)),
        ("Largest file", model.primary_file or ""),
        *(("Shards", line) for line in shards),
        ("Related models", "can be looked up" if model.is_related_available else "unknown"),
        ("Indexed", hit.updated_at),
    )
    return Group(facts((name, value or UNKNOWN) for name, value in pairs), "", Text(clean(document, keep="\n")))
