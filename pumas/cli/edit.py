"""`pumas edit`, `pumas review`, `pumas reidentify`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Column

from pumas.cli.models import type_text
from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import note, put, table
from pumas.cli.session import bring_in_line, opened
from pumas.cli.text import UNKNOWN, clean, count_text, shorten
from pumas.models import Model
from pumas.organised import EDITABLE_FIELDS, ModelEdit, Reidentified, ReviewItem

group = typer.Typer()

_NAME_CHARACTERS = 60

ModelId = Annotated[str, typer.Argument(metavar="MODEL", help="An id as `pumas list` shows it.")]


@group.command("edit", epilog='Example: pumas edit llm/llama/Chat --name "Llama Chat" --add-tag favourite')
def edit_model(
    *,
    model_id: ModelId,
    official_name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Its name.")] = None,
    family: Annotated[str | None, typer.Option("--family", metavar="TEXT", help="Such as llama or sdxl.")] = None,
    model_type: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Such as llm or diffusion.")] = None,
    subtype: Annotated[str | None, typer.Option("--subtype", metavar="TYPE", help="Such as loras or vae.")] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="These tags and no others.")] = None,
    add_tags: Annotated[list[str] | None, typer.Option("--add-tag", metavar="TAG", help="One tag more.")] = None,
    remove_tags: Annotated[list[str] | None, typer.Option("--remove-tag", metavar="TAG", help="One less.")] = None,
    notes: Annotated[str | None, typer.Option("--notes", metavar="TEXT", help="Whatever you want to keep.")] = None,
    description: Annotated[
        str | None, typer.Option("--description", metavar="TEXT", help="What it is; searches look at it.")
    ] = None,
    preview_image: Annotated[
        str | None, typer.Option("--preview", metavar="FILE", help='A file in its folder; "" for none.')
    ] = None,
    released: Annotated[
        list[str] | None,
        typer.Option(
            "--release", metavar="FIELD", help=f"Let identification decide again about {', '.join(EDITABLE_FIELDS)}."
        ),
    ] = None,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Change what is said of a model.

    What is set here stays when the model is identified again or looked up. Its id and its folder stay as they are.
    """
    edit = ModelEdit(
        official_name=official_name,
        family=family,
        model_type=model_type,
        subtype=subtype,
        tags=None if tags is None else tuple(tags),
        preview_image=preview_image,
        notes=notes,
        description=description,
        add_tags=tuple(add_tags or ()),
        remove_tags=tuple(remove_tags or ()),
        released=tuple(released or ()),
    )
    with opened(root, is_debug=debug) as api:
        from pumas.cli.progress import wait_for  # noqa: PLC0415 - `pumas --help` does without jobs

        model = wait_for(api.edit_model(model_id, edit), is_quiet=as_json)
        put(model, lambda: _line(model), as_json=as_json)


@group.command("review", epilog="Example: pumas review")
def review(*, root: Root = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """List the models of which nothing certain says what they are; `pumas edit` settles it."""
    with opened(root, is_debug=debug) as api:
        bring_in_line(api, only_if_empty=False, is_quiet=as_json)
        items = api.list_models_needing_review()
        put(items, lambda: _table(items), as_json=as_json)
        if not as_json:
            note(count_text(len(items), "model"))


@group.command("reidentify", epilog="Example: pumas reidentify llm/llama/Chat")
def reidentify(
    *,
    model_ids: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL", help="Ids as `pumas list` shows them; all by default.")
    ] = None,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Find out again from their files what models are.

    Type, subtype and family change where the files say so; what was set by hand stays. Exit code 1 when a model could
    not be identified.
    """
    with opened(root, is_debug=debug) as api:
        bring_in_line(api, only_if_empty=False, is_quiet=as_json)
        from pumas.cli.progress import wait_for  # noqa: PLC0415 - as above

        done = wait_for(api.reidentify_models(model_ids or None), is_quiet=as_json)
        put(done, lambda: "\n".join(_changes(done)), as_json=as_json)
    if any(one.problem is not None for one in done):
        raise typer.Exit(1)


def _line(model: Model) -> str:
    named = f"{model.official_name}, {type_text(model)}, {model.family or UNKNOWN}"
    return clean(f"{model.model_id}: {named}; {', '.join(model.tags) or 'no tags'}")


def _table(items: Sequence[ReviewItem]) -> str | RenderableType:
    columns = (Column("ID", overflow="fold"), Column("NAME"), Column("TYPE"), Column("WHY"))
    return table(columns, [_cells(item) for item in items])


def _cells(item: ReviewItem) -> tuple[str, ...]:
    model = item.model
    name = shorten(model.official_name or model.cleaned_name, _NAME_CHARACTERS)
    return clean(model.model_id), name, clean(type_text(model)), item.reason


def _changes(done: Sequence[Reidentified]) -> Iterator[str]:
    for one in done:
        if one.problem is not None:
            yield clean(f"{one.model_id}: {one.problem}")
        for name, (before, after) in one.changes.items():
            yield clean(f"{one.model_id}: {name.replace('_', ' ')}: {before or UNKNOWN} is now {after or UNKNOWN}")
    changed = sum(bool(one.changes) for one in done)
    yield f"{count_text(len(done), 'model')}, {changed} changed"
