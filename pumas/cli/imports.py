"""`pumas import`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, cast

import typer

from pumas.cli.classify import print_candidates
from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import note, put
from pumas.cli.session import opened
from pumas.cli.text import clean, count_text, size_text
from pumas.errors import InvalidInput
from pumas.models import ImportMode, ImportReport, ImportRequest

group = typer.Typer()


@group.command("import", epilog="Example: pumas import ~/Downloads/model.gguf --mode move")
def import_models(
    *,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Files and folders; each becomes one model, the shards of a set together."),
    ],
    mode: Annotated[
        str,
        typer.Option(
            metavar="MODE",
            help="copy; move; hardlink, another name of the same file; reflink, a file that shares its content.",
        ),
    ] = "copy",
    family: Annotated[str, typer.Option(metavar="NAME", help="Family, where the content does not say it.")] = "unknown",
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the model; of one PATH only.")] = None,
    model_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Model type; by default the content says it.")
    ] = None,
    subtype: Annotated[str | None, typer.Option(metavar="TYPE", help="Subtype, with --type.")] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="May be given again.")] = None,
    repo_id: Annotated[
        str | None, typer.Option("--repo", metavar="OWNER/NAME", help="Where it comes from on the hub.")
    ] = None,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Import what is in the library already once more.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what an import would make of each PATH.")
    ] = False,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Import files and folders into the library.

    A mode that the file system can't do is an error, never another one. Whatever fails, and whenever it ends, every
    file is whole at its place or in the library; the next start finishes or undoes what was begun. A folder that lies
    in the library already becomes a model where it is. Exit code 1 when something was not imported.
    """
    from pumas.library.import_sets import join_shards  # noqa: PLC0415 - `pumas --help` does without the library

    given = [
        ImportRequest(
            path=str(path),
            family=family,
            official_name=name,
            repo_id=repo_id,
            model_type=model_type,
            subtype=subtype,
            tags=tuple(tags or ()),
        )
        for path in paths
    ]
    requests, _ = join_shards(given)  # one line a model
    if name is not None and len(requests) > 1:
        raise InvalidInput("--name is for one model only; leave it out, or import them one by one", parameter="name")
    with opened(root, is_debug=debug) as api:
        from pumas.cli.progress import wait_for  # noqa: PLC0415 - `pumas --help` does without jobs

        if dry_run:
            look = api.classify_model_import_paths(
                paths, family=family, official_name=name, model_type=model_type, subtype=subtype
            )
            candidates = wait_for(look, is_quiet=as_json)
            if not print_candidates(candidates, as_json=as_json):
                raise typer.Exit(1)
            return
        job = api.import_batch(
            requests, mode=cast("ImportMode", mode), allows_duplicates=duplicates, waits_for_digests=True
        )
        report = wait_for(job, is_quiet=as_json, is_bytes=True)
        put(report, lambda: "\n".join(_lines(report)), as_json=as_json)
        for line in _failures(report):
            note(line)
    if report.failed:
        raise typer.Exit(1)


def _lines(report: ImportReport) -> Iterator[str]:
    done = [result for result in report.results if result.error is None]
    for result in done:
        yield clean(f"{result.model_id}: {count_text(result.file_count, 'file')}, {size_text(result.size_bytes)}")
        yield from _told(result.notes)
        if result.duplicate_of:
            yield clean(f"  the same as {', '.join(result.duplicate_of[:3])}")
    yield f"{count_text(len(done), 'model')} imported"


def _told(notes: Sequence[str]) -> Iterator[str]:
    for text in notes:
        yield clean(f"  {text}")


def _failures(report: ImportReport) -> Iterator[str]:
    for result in report.results:
        if result.error is not None:
            yield clean(f"pumas: {result.path}: {result.error}")
            yield from _told(result.notes)
