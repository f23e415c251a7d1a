"""Which requests of one import are for the shards of one model: their names say so (`shards`)."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from pumas.library.shards import find_shards
from pumas.models import ImportRequest
from pumas.store.names import split_suffix


def join_shards(requests: Sequence[ImportRequest]) -> tuple[list[ImportRequest], list[int]]:
    """Make one request of those whose files are one set, if they agree in all that was asked for.

    The model has the name that was given for all, else that of the set. Whose shards have names of their own, beyond
    the stems of their files, wants several models.

    Returns:
        The requests, a set at the place of its first shard, and for each that was given which of them it is in.
    """
    heads: dict[int, int] = {}  # request -> the one that stands for its set
    sets: dict[int, ImportRequest] = {}
    for alike in _alike(requests):
        at: dict[str, list[int]] = defaultdict(list)
        for number in alike:
            at[requests[number].path].append(number)
        for found in find_shards(list(at)):
            if len(found.files) == 1:
                continue
            members = sorted(number for path in found.files for number in at[path])
            heads.update(dict.fromkeys(members, members[0]))
            first = requests[members[0]]
            name = _own_name(first) or split_suffix(found.name)[0]
            sets[members[0]] = replace(first, path=found.files[0], others=found.files[1:], official_name=name)
    joined: list[ImportRequest] = []
    places: list[int] = []
    for number, request in enumerate(requests):
        head = heads.get(number, number)
        if head == number:
            joined.append(sets.get(number, request))
        places.append(len(joined) - 1 if head == number else places[head])
    return joined, places


def _alike(requests: Sequence[ImportRequest]) -> Iterator[list[int]]:
    """Requests for single paths that differ in nothing but their paths, in groups."""
    groups: dict[object, list[int]] = defaultdict(list)
    for number, request in enumerate(requests):
        if not request.others:
            key = (request.family, request.repo_id, request.model_type, request.subtype, request.tags)
            groups[(*key, _own_name(request))].append(number)
    return (group for group in groups.values() if len(group) > 1)


def _own_name(request: ImportRequest) -> str | None:
    """The name that was given, if it is not just that of the file."""
    name = request.official_name
    # PERF: paths are texts here
    return None if name is None or name == split_suffix(os.path.basename(request.path))[0] else name  # noqa: PTH119
