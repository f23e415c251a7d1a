"""`pumas identify`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Column

from pumas.cli.files import library_cache
from pumas.cli.logs import logged
from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import note, put, table
from pumas.cli.text import UNKNOWN, clean, number_text, shorten, size_text
from pumas.models import Checkpoint, Identity

group = typer.Typer()

_SHORT_CHARACTERS = 30
_SHOWN_IMPORTS = 5


@group.command("identify", epilog="Example: pumas identify model.gguf lora.safetensors")
def identify(
    *,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files, wherever they lie.")],
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Tell what model files are, by their content.

    GGUF and safetensors headers, the risk of loading a pickle (it is looked through, never loaded), the index of a
    sharded model or a pipeline. Exit code 1 when a file is damaged, dangerous or can't be read.
    """
    with logged(is_debug=debug):
        found = _identified(paths, root, is_quiet=as_json)
        put(found, lambda: _table(found), as_json=as_json)
        for one in found:
            for told in _warnings(one):
                note(f"pumas: {one.path}: {told}")
    if not all(one.is_sound for one in found):
        raise typer.Exit(1)


def _identified(paths: Sequence[Path], root: Path | None, *, is_quiet: bool) -> tuple[Identity, ...]:
    """What the files are, by way of the cache for those of a library that is there; no root is opened, none is made."""
    from pumas.cli.progress import wait_for  # noqa: PLC0415 - `pumas --help` does without native code
    from pumas.jobs import JobPool, Progress  # noqa: PLC0415
    from pumas.library.identify import identify_files  # noqa: PLC0415

    with library_cache(paths, root) as (library, cache):

        def work(progress: Progress) -> tuple[Identity, ...]:
            return identify_files(
                paths,
                library=library,
                cache=cache,
                progress=lambda done: progress.report(done, len(paths), "reading headers"),
                cancel=progress.cancel_token,
            )

        return wait_for(JobPool(1).submit("identify", work), is_quiet=is_quiet)


def _table(found: Sequence[Identity]) -> str | RenderableType:
    columns = (
        Column("PATH", overflow="fold"),
        Column("FORMAT", no_wrap=True),
        Column("ARCHITECTURE"),
        Column("QUANTIZATION"),
        Column("PARAMETERS", no_wrap=True, justify="right"),
        Column("TENSORS", no_wrap=True, justify="right"),
        Column("SIZE", no_wrap=True, justify="right"),
        Column("RISK", no_wrap=True),
    )
    return table(columns, [_cells(one) for one in found])


def _cells(one: Identity) -> tuple[str, ...]:
    header, index = one.header, one.shard_index
    tensors = header.tensor_count if header else index.tensor_count if index else None
    return (
        clean(one.path),
        one.format.replace("_", " "),
        shorten(_architecture(one), _SHORT_CHARACTERS) or UNKNOWN,
        shorten((header.quantization if header else None) or "", _SHORT_CHARACTERS) or UNKNOWN,
        number_text(header.parameter_count if header else None),
        UNKNOWN if tensors is None else str(tensors),
        size_text(header.size_bytes if header else index.total_size_bytes if index else None),
        one.checkpoint.risk if one.checkpoint else UNKNOWN,
    )


def _architecture(one: Identity) -> str:
    if one.pipeline is not None:
        return one.pipeline.class_name
    if one.header is None:
        return ""
    # Safetensors files have it in their metadata, if their maker follows the Stability AI Model Metadata Standard.
    named = one.header.architecture or one.header.metadata.get("modelspec.architecture")
    return named if isinstance(named, str) else ""


def _warnings(one: Identity) -> Iterator[str]:
    if one.problem is not None:
        yield one.problem
    if one.checkpoint is not None:
        yield from _risks(one.checkpoint)
    missing = one.shard_index.missing if one.shard_index else one.pipeline.missing if one.pipeline else ()
    if missing:
        yield f"{len(missing)} of the files or folders it names are missing: {_few(missing)}"


def _risks(checkpoint: Checkpoint) -> Iterator[str]:
    if checkpoint.risk == "dangerous":
        yield f"loading it can do harm, it would call {_few(checkpoint.imports)}; do not load it"
    elif checkpoint.risk == "suspicious":
        yield f"loading it calls {_few(checkpoint.imports)}; load it only if you trust where it comes from"
    elif checkpoint.risk == "unknown":
        yield f"what loading it does can't be told: {checkpoint.reason}; load it only if you trust where it comes from"


def _few(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_IMPORTS
    shown = ", ".join(shorten(name, 60) for name in names[:_SHOWN_IMPORTS])
    return f"{shown} and {more} more" if more > 0 else shown
