"""All commands, put together."""

from __future__ import annotations

from collections.abc import Sequence

import typer
import typer.main

from pumas.cli import (
    cache,
    digests,
    doctor,
    edit,
    fit,
    hub,
    identify,
    imports,
    index,
    lookup,
    models,
    remove,
    serve,
    status,
    verify,
    version,
)

app = typer.Typer(
    help="One library for all AI models on a machine.",
    add_completion=False,
    # Plain help can be piped and read by a screen reader.
    rich_markup_mode=None,
)
for group in (serve.group, models.group, imports.group, lookup.group, edit.group, remove.group):
    app.add_typer(group)
app.add_typer(remove.trash, name="trash")
app.add_typer(index.group, name="index")
app.add_typer(cache.group, name="cache")
hub.group.add_typer(fit.group)
app.add_typer(hub.group, name="hub")
for group in (digests.group, verify.group, identify.group, status.group, doctor.group, version.group):
    app.add_typer(group)


def run(arguments: Sequence[str]) -> int:
    """Run one command; without arguments, show the help.

    Returns:
        The exit code of a command that came to its end.

    Raises:
        Exception: Whatever the command raised, for `failures.report`; also the usage errors of typer.
    """
    command = typer.main.get_command(app)
    try:
        # Not `command.main`, which has answers of its own to Ctrl-C and to a closed pipe.
        with command.make_context("pumas", list(arguments) or ["--help"]) as context:
            command.invoke(context)
    except typer.Exit as exc:
        return exc.exit_code
    return 0
