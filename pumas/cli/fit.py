"""`pumas hub fit`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Column

from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import facts, note, put, table
from pumas.cli.session import opened
from pumas.cli.text import UNKNOWN, clean, number_text, shorten, size_text
from pumas.fitting import Choice, DownloadDetails, Place

group = typer.Typer()

_SHORT_CHARACTERS = 40
_PLACES: dict[Place, str] = {
    "gpu": "one GPU",
    "gpus": "several GPUs",
    "split": "GPU and memory",
    "memory": "memory",
    "nowhere": "nothing here",
}


@group.command(
    "fit", epilog="Example: pumas hub fit bartowski/Llama-3.2-1B-Instruct-GGUF --quant q4_k_m --context 8192"
)
def fit(
    *,
    repo_id: Annotated[str, typer.Argument(metavar="REPO", help="A repo of the hub, owner/name.")],
    quantization: Annotated[
        str | None, typer.Option("--quant", metavar="NAME", help="Only this quantization, such as q4_k_m.")
    ] = None,
    context: Annotated[
        int | None,
        typer.Option("--context", metavar="TOKENS", help="Context to run it with; by default all it was made for."),
    ] = None,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Tell whether a model of the hub fits on the drive and into the memory, before it is downloaded.

    The bytes of each choice are exact. The memory is estimated from the header of one file, of which the first KiB are
    fetched: weights, the keys and values of the context, and what a runtime takes.
    """
    with opened(root, is_debug=debug, told=("pumas.net.hub",)) as api:
        from pumas.cli.progress import wait_for  # noqa: PLC0415 - `pumas --help` does without jobs

        job = api.get_hf_download_details(repo_id, quantization, context=context)
        details = wait_for(job, is_quiet=as_json)
        put(details, lambda: _sheet(details), as_json=as_json)
        if details.problem is not None:
            note(f"pumas: the memory is estimated without its header: {details.problem}")
        if details.is_stale:
            note("pumas: the hub could not be asked now; this is what it answered before")


def _sheet(details: DownloadDetails) -> RenderableType:
    choices = table(_COLUMNS, [_cells(choice) for choice in details.choices])
    return Group(facts(_facts(details)), "", choices)


_COLUMNS = (
    Column("QUANTIZATION", no_wrap=True),
    Column("DOWNLOAD", no_wrap=True, justify="right"),
    Column("FILES", no_wrap=True, justify="right"),
    Column("DRIVE", no_wrap=True),
    Column("MEMORY", no_wrap=True, justify="right"),
    Column("CONTEXT", no_wrap=True, justify="right"),
    Column("RUNS ON", no_wrap=True),
    Column("LONGEST ON GPU", no_wrap=True, justify="right"),
    Column("LONGEST", no_wrap=True, justify="right"),
)


def _facts(details: DownloadDetails) -> Iterator[tuple[str, str]]:
    yield "Repo", details.repo_id
    yield "Commit", details.commit
    yield "Architecture", shorten(details.architecture or UNKNOWN, _SHORT_CHARACTERS)
    yield "Parameters", number_text(details.parameter_count)
    yield "Quantization", f"{details.quantization} ({details.header_of})" if details.quantization else UNKNOWN
    yield "Context", UNKNOWN if details.context_length is None else f"{details.context_length} tokens"
    yield "Free drive", size_text(details.machine.drive_free_bytes)
    yield "Free memory", size_text(details.machine.memory_free_bytes)
    yield "Free on GPUs", ", ".join(map(size_text, details.machine.gpu_free_bytes)) or "there is none"


def _cells(choice: Choice) -> tuple[str, ...]:
    size = size_text(choice.size_bytes)
    return (
        clean(choice.quantization or "all files"),
        size if choice.is_exact else f"over {size}",
        str(len(choice.files)),
        "fits" if choice.fits_drive else "too large",
        size_text(choice.need.total_bytes),
        _tokens(choice.need.context),
        _PLACES[choice.place],
        _tokens(choice.gpu_context),
        _tokens(choice.longest_context),
    )


def _tokens(count: int | None) -> str:
    return UNKNOWN if count is None else str(count)
