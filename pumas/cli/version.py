"""`pumas version`."""

from __future__ import annotations

import platform
import sqlite3

import typer

from pumas import __version__
from pumas.cli.logs import logged
from pumas.cli.options import AsJson, Debug, Root
from pumas.cli.output import facts, put
from pumas.models import Record

group = typer.Typer()


class Versions(Record, frozen=True, kw_only=True):
    """What a report of a fault should name."""

    pumas: str
    pumas_native: str
    build_profile: str
    """Of the native code: `release`, or `debug`, which is many times slower."""
    python: str
    sqlite: str
    platform: str


@group.command("version", epilog="Example: pumas version --json")
def version(*, root: Root = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show the versions in use.

    They belong into every report of a fault. No launcher root is opened.
    """
    del root  # taken, so that a script may give it to every command
    with logged(is_debug=debug):
        import pumas_native  # noqa: PLC0415 - `pumas --help` does without native code

        versions = Versions(
            pumas=__version__,
            pumas_native=pumas_native.__version__,
            build_profile=pumas_native.build_profile,
            python=platform.python_version(),
            sqlite=sqlite3.sqlite_version,
            platform=platform.platform(),
        )
    put(versions, lambda: facts(_pairs(versions)), as_json=as_json)


def _pairs(versions: Versions) -> list[tuple[str, str]]:
    return [
        ("pumas", versions.pumas),
        ("pumas-native", f"{versions.pumas_native} ({versions.build_profile} build)"),
        ("Python", versions.python),
        ("SQLite", versions.sqlite),
        ("Platform", versions.platform),
    ]
