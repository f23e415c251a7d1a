"""What an import would make of paths, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Column

from pumas.cli.output import note, put, table
from pumas.cli.text import UNKNOWN, clean, count_text, shorten, size_text
from pumas.models import ImportCandidate

_SHORT_CHARACTERS = 60


def print_candidates(candidates: Sequence[ImportCandidate], *, as_json: bool) -> bool:
    """Write candidates; notes and refusals go to standard error.

    Returns:
        Whether all of them can be imported.
    """
    columns = (
        Column("PATH", overflow="fold"),
        Column("MODEL", overflow="fold"),
        Column("TYPE", no_wrap=True),
        Column("FILES", no_wrap=True, justify="right"),
        Column("SIZE", no_wrap=True, justify="right"),
        Column("CONFIDENCE", no_wrap=True, justify="right"),
        Column("EVIDENCE"),
    )
    put(candidates, lambda: table(columns, [_cells(one) for one in candidates]), as_json=as_json)
    for one in candidates:
        for told in _told(one):
            note(f"pumas: {_path(one)}: {told}")
    return all(one.refusal is None for one in candidates)


def _path(one: ImportCandidate) -> str:
    more = len(one.paths) - 1
    return f"{one.paths[0]} and {count_text(more, 'more file')}" if more else one.paths[0]


def _cells(one: ImportCandidate) -> tuple[str, ...]:
    if one.refusal is not None:
        return (clean(_path(one)), "refused", *[UNKNOWN] * 5)
    kinds = f"{one.model_type}/{one.subtype}" if one.subtype else one.model_type
    return (
        clean(_path(one)),
        clean(one.model_id or UNKNOWN),
        clean(kinds),
        str(len(one.files)),
        size_text(one.size_bytes),
        f"{one.confidence:.0%}",
        shorten(one.evidence[0], _SHORT_CHARACTERS) if one.evidence else UNKNOWN,
    )


def _told(one: ImportCandidate) -> Iterator[str]:
    if one.refusal is not None:
        yield one.refusal
    if one.duplicate_of:
        yield f"it is in the library already: {', '.join(one.duplicate_of[:3])}"
    if one.needs_review and one.refusal is None:
        yield "only its name says what it is; look whether that is right"
    yield from one.notes
