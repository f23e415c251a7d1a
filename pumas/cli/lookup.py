"""`pumas lookup`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType

from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import facts, note, put
from pumas.cli.session import bring_in_line, opened
from pumas.cli.text import UNKNOWN, clean
from pumas.errors import InvalidInput
from pumas.matched import HubMatch, Lookup, ModelLookup

if TYPE_CHECKING:
    from pumas.api import PumasApi

group = typer.Typer()


@group.command("lookup", epilog="Example: pumas lookup llm/llama/Chat --write")
def look_up(
    *,
    target: Annotated[
        str, typer.Argument(metavar="FILE|MODEL", help="A file, wherever it lies, or an id as `pumas list` shows it.")
    ],
    writes: Annotated[bool, typer.Option("--write", help="Write what the hub says into the model's document.")] = False,
    repo_id: Annotated[
        str | None, typer.Option("--repo", metavar="REPO", help="The repo that the model came from, if you know it.")
    ] = None,
    asks_again: Annotated[
        bool, typer.Option("--again", help="Ask the hub even if it knew nothing a short time ago.")
    ] = False,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Find the repo of the hub that a file or a model came from.

    By content where the hub has a file of the same size, else by name. What is written fills empty fields: what you
    set, or what stood there before, stays. Exit code 1 when no repo fits.
    """
    with opened(root, is_debug=debug, told=("pumas.net.hub",)) as api:
        from pumas.store.paths import has_file  # noqa: PLC0415 - `pumas --help` does without it

        if has_file(Path(target)):
            if writes or repo_id is not None:
                raise InvalidInput("`--write` and `--repo` need the id of a model; import the file first")
            found: Lookup | ModelLookup = _look_up_file(api, Path(target), asks_again=asks_again, as_json=as_json)
        else:
            found = _look_up_model(api, target, repo_id, writes=writes, asks_again=asks_again, as_json=as_json)
        if found.is_stale:
            note("pumas: the hub could not be asked now; this is what it answered before")
    if found.match is None:
        raise typer.Exit(1)


def _look_up_file(api: PumasApi, path: Path, *, asks_again: bool, as_json: bool) -> Lookup:
    from pumas.cli.progress import wait_for  # noqa: PLC0415 - `pumas --help` does without jobs

    job = api.lookup_hf_metadata_for_file(path.name, path, asks_again=asks_again)
    found = wait_for(job, is_quiet=as_json, is_bytes=True)
    put(found, lambda: _nothing(found) if found.match is None else facts(_facts(found.match)), as_json=as_json)
    return found


def _look_up_model(
    api: PumasApi, model_id: str, repo_id: str | None, *, writes: bool, asks_again: bool, as_json: bool
) -> ModelLookup:
    from pumas.cli.progress import wait_for  # noqa: PLC0415 - as above

    bring_in_line(api, only_if_empty=True, is_quiet=as_json)
    job = api.refetch_model_metadata_from_hf(model_id, repo_id, writes=writes, asks_again=asks_again)
    found = wait_for(job, is_quiet=as_json, is_bytes=True)
    put(found, lambda: _nothing(found) if found.match is None else _sheet(found, found.match), as_json=as_json)
    if found.told:
        note(f"pumas: {found.told}")
    return found


def _nothing(found: Lookup | ModelLookup) -> str:
    since = f" (asked on {clean(found.asked_at[:10])})" if found.asked_at else ""
    return f"No repo of the hub fits{since}"


def _sheet(found: ModelLookup, match: HubMatch) -> RenderableType:
    verb = "is now" if found.is_written else "would be"
    changes = [
        f"{name.replace('_', ' ')}: {before or UNKNOWN} {verb} {after or UNKNOWN}"
        for name, (before, after) in found.changes.items()
    ]
    kept = [f"kept: {', '.join(name.replace('_', ' ') for name in found.kept)}"] if found.kept else []
    return Group(facts(_facts(match)), "", *(clean(line) for line in (*changes, *kept)))


def _facts(match: HubMatch) -> Iterator[tuple[str, str]]:
    yield "Repo", match.repo_id
    yield "Found by", _how(match)
    yield "Name", match.official_name
    yield "Family", match.family
    yield "Type", match.model_type
    yield "Tags", ", ".join(match.tags) or UNKNOWN
    yield "Made from", match.base_model or UNKNOWN
    yield "Page", match.download_url
    if match.matched_file:
        yield "Its file", f"{match.matched_file}{', which has another content' if match.has_other_content else ''}"
        yield "Its SHA-256", match.expected_sha256


def _how(match: HubMatch) -> str:
    if not match.method:
        return "its name: the model is said to come from there"
    if match.method == "hash":
        return "content: it has a file of the same SHA-256"
    likeness = f"name, {match.confidence:.0%} alike"
    return f"{likeness}; look whether it is this one" if match.requires_confirmation else likeness
