"""`pumas hub …`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column

from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import note, put, table
from pumas.cli.session import bring_in_line, opened
from pumas.cli.text import UNKNOWN, clean, count_text, date_text, shorten, size_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pumas.repos import HubModel, HubSearch, RepoFiles

group = typer.Typer(help="Look for models on the hub, huggingface.co or its mirror named by HF_ENDPOINT.")

_KIND_CHARACTERS = 30
_STALE = "The hub can't be asked now; this is what it answered before"
_OPTIONS_SHOWN = 6  # of one repo; some offer thirty

Limit = Annotated[int, typer.Option(metavar="N", help="Show at most so many, up to 1000.")]


@group.command("search", epilog="Example: pumas hub search llama 3 gguf --limit 10")
def search_hub(
    *,
    query: Annotated[
        list[str], typer.Argument(metavar="QUERY", help='What to look for in the names of repos; "" finds all.')
    ],
    kind: Annotated[
        str | None, typer.Option(metavar="TAG", help="Only models with this tag, such as text-to-image.")
    ] = None,
    limit: Limit = 25,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Find models on the hub, with the quantizations they offer and their sizes.

    Answers are kept for an hour; when the hub can't be asked, older ones are shown, and said to be so.
    """
    with opened(root, is_debug=debug, told=("pumas.net.hub",)) as api:
        _show(api.search_hf_models(" ".join(query), kind=kind, limit=limit), as_json=as_json)


@group.command("related", epilog="Example: pumas hub related llm/llama/Llama-3.1-8B-Instruct")
def related_on_hub(
    *,
    model_id: Annotated[str, typer.Argument(metavar="MODEL_ID", help="An id as `pumas list` shows it.")],
    limit: Limit = 25,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Find models on the hub of the same owner and family as a model of the library."""
    with opened(root, is_debug=debug, told=("pumas.net.hub",)) as api:
        bring_in_line(api, only_if_empty=True, is_quiet=as_json)
        api.get_model(model_id)
        _show(api.get_related_models(model_id, limit=limit), as_json=as_json)


@group.command("files", epilog="Example: pumas hub files bartowski/Llama-3.2-1B-Instruct-GGUF")
def files_on_hub(
    *,
    repo_id: Annotated[str, typer.Argument(metavar="REPO", help="A repo as `pumas hub search` shows it.")],
    revision: Annotated[str, typer.Option(metavar="REVISION", help="A branch, a tag or a commit.")] = "main",
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the files of a repo on the hub, with their sizes and the SHA-256 that it declares."""
    with opened(root, is_debug=debug) as api:
        found = api.list_hf_files(repo_id, revision=revision)
        put(found, lambda: _files(found), as_json=as_json)
        if found.is_stale:
            note(_STALE)
        if not as_json:
            total = sum(file.size_bytes or 0 for file in found.files)
            note(f"{count_text(len(found.files), 'file')}, {size_text(total)}, commit {found.commit}")


def _files(found: RepoFiles) -> str | RenderableType:
    columns = (
        Column("FILE", overflow="fold"),
        Column("SIZE", no_wrap=True, justify="right"),
        Column("SHA256", overflow="fold"),
    )
    rows = [(clean(file.path), size_text(file.size_bytes), file.sha256 or UNKNOWN) for file in found.files]
    return table(columns, rows)


def _show(found: HubSearch, *, as_json: bool) -> None:
    put(found, lambda: _table(found), as_json=as_json)
    if found.is_stale:
        note(_STALE)
    if not as_json:
        note(count_text(len(found.models), "hit"))


def _table(found: HubSearch) -> str | RenderableType:
    columns = (
        Column("REPO", overflow="fold"),
        Column("KIND"),
        Column("SIZE", no_wrap=True, justify="right"),
        Column("CHANGED", no_wrap=True),
        Column("QUANTIZATIONS", overflow="fold"),
    )
    return table(columns, [_cells(model) for model in found.models])


def _cells(model: HubModel) -> tuple[str, ...]:
    return (
        clean(model.repo_id),
        shorten(model.kind, _KIND_CHARACTERS),
        size_text(model.total_size_bytes),
        date_text(model.changed_at),
        _options(model) or UNKNOWN,
    )


def _options(model: HubModel) -> str:
    shown = [
        one.quantization if one.size_bytes is None else f"{one.quantization} {size_text(one.size_bytes)}"
        for one in model.options[:_OPTIONS_SHOWN]
    ]
    rest = len(model.options) - len(shown)
    return ", ".join([*shown, f"{rest} more"] if rest else shown)
