"""`pumas hash`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, cast

import typer

from pumas.cli.files import library_cache
from pumas.cli.logs import logged
from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import note, put
from pumas.cli.text import clean
from pumas.models import Algorithm, FileDigests

group = typer.Typer()

_TAGS: dict[Algorithm, str] = {"sha256": "SHA256", "blake3": "BLAKE3", "xxh3_128": "XXH3_128"}


@group.command("hash", epilog="Example: pumas hash model.gguf --algorithm sha256 --algorithm blake3")
def hash_files(
    *,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files, wherever they lie.")],
    algorithms: Annotated[
        list[str] | None,
        typer.Option(
            "--algorithm", metavar="NAME", help="sha256 (the default), blake3 or xxh3_128; may be given again."
        ),
    ] = None,
    root: Root = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show the digests of files.

    Lines are those of `sha256sum`; of several algorithms, those of `sha256sum --tag`. Files of the library that did not
    change since are not read again. Exit code 1 when a file has no digest.
    """
    with logged(is_debug=debug):
        wanted = cast("list[Algorithm]", list(dict.fromkeys(algorithms or ["sha256"])))
        found = _digested(paths, wanted, root, is_quiet=as_json)
        failed = [one for one in found if one.error is not None]
        if as_json or len(failed) < len(found):
            put(found, lambda: "\n".join(_lines(found, wanted)), as_json=as_json)
        for one in failed:
            note(f"pumas: {one.path}: {one.error}")
    if failed:
        raise typer.Exit(1)


def _digested(
    paths: Sequence[Path], algorithms: Sequence[Algorithm], root: Path | None, *, is_quiet: bool
) -> tuple[FileDigests, ...]:
    """The digests, by way of the cache for files of a library that is there; no root is opened, and none is made."""
    from pumas.cli.progress import wait_for  # noqa: PLC0415 - `pumas --help` does without native code
    from pumas.jobs import JobPool, Progress  # noqa: PLC0415
    from pumas.library.digests import check_algorithms, digest_files  # noqa: PLC0415

    check_algorithms(algorithms)
    with library_cache(paths, root) as (library, cache):

        def work(progress: Progress) -> tuple[FileDigests, ...]:
            return digest_files(
                paths,
                algorithms,
                library=library,
                cache=cache,
                progress=lambda done, total: progress.report(done, total, "reading files"),
                cancel=progress.cancel_token,
            )

        return wait_for(JobPool(1).submit("hash_files", work), is_quiet=is_quiet, is_bytes=True)


def _lines(found: Sequence[FileDigests], algorithms: Sequence[Algorithm]) -> Iterator[str]:
    for one in found:
        if one.error is not None:
            continue
        # As coreutils: a name that would break the line is escaped, and the line begins with a backslash.
        name = one.path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        mark = "\\" if name != one.path else ""
        for algorithm in algorithms:
            digest = getattr(one, algorithm)
            line = f"{digest}  {name}" if len(algorithms) == 1 else f"{_TAGS[algorithm]} ({name}) = {digest}"
            yield clean(mark + line)
