"""Files that are parts of one model, told by their names (`library.md` §6.3).

    BASE-NN-of-MM.EXT     safetensors, PyTorch, GGUF: shards; MM says how many there are
    BASE.EXT.partNN       a file that was cut into pieces
    BASE_NNNNN.EXT        numbered, exactly five digits

A set is all files of one folder, pattern, base and extension. Shards that disagree about their number are one set that
says so, except that a number whose shards are all there makes a set of its own (L-27: a repo may hold a model twice,
cut into more and into fewer files).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, count, islice

from pumas.models import ShardSet

# The original takes any number of digits, and its lists grow with the number.
_OF = re.compile(r"(.+)-([0-9]{1,9})-of-([0-9]{1,9})\.([^.]+)")
_PART = re.compile(r"(.+)\.([^.]+)\.part([0-9]+)")
_NUMBERED = re.compile(r"(.+)_([0-9]{5})\.([^.]+)")
# How the original looks for a shard's number, wherever it stands in the name.
_NUMBER = re.compile(r"-([0-9]{1,9})-of-([0-9]{1,9})\.")
_MAX_MISSING = 100_000  # numbers in one answer: half a megabyte of JSON


@dataclass(slots=True)
class _Set:
    """Files that belong together."""

    name: str
    files: list[str] = field(default_factory=list)


def find_shards(paths: Sequence[str]) -> tuple[ShardSet, ...]:
    """Put files into sets; first those of several files, then the files that stand alone, each in order of appearance.

    Args:
        paths: Of files, which need not exist: only their names are looked at. A path that stands twice counts once.
    """
    groups: dict[tuple[str, ...], _Set] = {}
    for path in dict.fromkeys(paths):
        folder, name = _parts(path)
        pattern, whole = _pattern(name)
        groups.setdefault((folder, pattern, whole), _Set(whole)).files.append(path)
    sets = [part for group in groups.values() for part in _by_total(group)]
    several = [one for one in sets if len(one.files) > 1]
    alone = [_Set(_parts(one.files[0])[1], one.files) for one in sets if len(one.files) == 1]
    return tuple(_described([*several, *alone]))


def counted_sets(names: Sequence[str]) -> tuple[ShardSet, ...]:
    """The sets among files whose names say how many files they have."""
    return tuple(one for one in find_shards(names) if one.expected_count > 1 or one.error)


def shard_notes(names: Sequence[str]) -> tuple[str, ...]:
    """What is wrong with the sets among the files of a model."""
    if not any("-of-" in name for name in names):
        return ()  # PERF: only such a name can tell of others (bench_import)
    return tuple(
        f"{one.name}: {one.error or f'{one.missing_count} of {one.expected_count} parts are missing'}"
        for one in counted_sets(names)
        if not one.is_complete
    )


def _parts(path: str) -> tuple[str, str]:
    folder, _, name = path.replace(os.sep, "/").rstrip("/").rpartition("/")
    return folder, name


def _pattern(name: str) -> tuple[str, str]:
    """Which pattern a name has, and the name that the whole would have."""
    if match := _OF.fullmatch(name):
        return "of", f"{match[1]}.{match[4]}"
    if match := _PART.fullmatch(name):
        return "part", f"{match[1]}.{match[2]}"
    if match := _NUMBERED.fullmatch(name):
        return "numbered", f"{match[1]}.{match[3]}"
    return "", name


def _numbers(files: Sequence[str]) -> list[tuple[int, int]]:
    """Number and total that names hold."""
    found = (_NUMBER.search(_parts(file)[1]) for file in files)
    return [(int(match[1]), int(match[2])) for match in found if match]


def _by_total(group: _Set) -> list[_Set]:
    """The sets of a group that are whole, and one of what is left."""
    totals: dict[int, list[str]] = {}
    for file in group.files:
        for _, total in _numbers([file]):
            totals.setdefault(total, []).append(file)
    if len(totals) < 2:
        return [group]
    whole = {total: files for total, files in totals.items() if total and not _missing(_numbers(files), total)[1]}
    left = [file for total, files in totals.items() if total not in whole for file in files]
    return [*(_Set(group.name, files) for files in whole.values()), *([_Set(group.name, left)] if left else [])]


def _missing(numbers: Sequence[tuple[int, int]], total: int) -> tuple[Iterator[int], int]:
    """Numbers from 1 that are not there, and how many they are."""
    found = {number for number, _ in numbers}
    return (
        (number for number in range(1, total + 1) if number not in found),
        total - sum(1 <= number <= total for number in found),
    )


def _described(sets: Sequence[_Set]) -> Iterator[ShardSet]:
    names: set[str] = set()
    left = _MAX_MISSING
    for one in sets:
        name = _free_name(one, names)
        names.add(name)
        described = _validated(name, sorted(one.files, key=lambda file: (_parts(file)[1], file)), left)
        left -= len(described.missing)
        yield described


def _free_name(one: _Set, taken: set[str]) -> str:
    """The name of a set, else its path, else the same with a number."""
    path = f"{_parts(one.files[0])[0]}/{one.name}".removeprefix("/")
    candidates = chain((one.name, path), (f"{path} ({number})" for number in count(2)))
    return next(name for name in candidates if name not in taken)


def _validated(name: str, files: Sequence[str], max_missing: int) -> ShardSet:
    numbers = _numbers(files)
    totals = {total for _, total in numbers}
    error = ""
    missing: Iterator[int] = iter(())
    missing_count = 0
    expected = found = len(files)
    if len(totals) > 1:
        # As in the original, which tells the first.
        expected, error = numbers[0][1], "Inconsistent shard counts in filenames"
    elif totals:
        (expected,) = totals
        found = len({number for number, _ in numbers})
        missing, missing_count = _missing(numbers, expected)
        if expected == 0:
            error = "The names of the files say that there are 0 of them"
    return ShardSet(
        name=name,
        files=tuple(files),
        is_complete=not error and not missing_count,
        missing=tuple(islice(missing, max_missing)),
        missing_count=missing_count,
        expected_count=expected,
        found_count=found,
        error=error,
    )
