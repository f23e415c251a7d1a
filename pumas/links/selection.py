"""Which models and which of their files a mapping rule takes (`library.md` §9.2-9.4)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

_KEYS = {"model_type": ("model_type", "model_types"), "subtype": ("subtypes", "subtype"), "family": ("families",)}
"""By field of the document the keys of filters that name it, the first that is given counts."""

FILTER_KEYS = frozenset({*(key for keys in _KEYS.values() for key in keys), "tags", "exclude_tags"})


@dataclass(frozen=True, slots=True)
class MappedModel:
    """What the rules ask of a model; a field that its document has in another form counts as empty."""

    model_id: str
    name: str
    fields: Mapping[str, str]
    """`model_type`, `subtype`, `family`."""
    tags: frozenset[str] = frozenset()


def mapped_model(model_id: str, document: Mapping[str, object]) -> MappedModel:
    """What the rules ask of a model, from its document."""
    fields = {key: one for key in _KEYS if isinstance(one := document.get(key), str)}
    tags = document.get("tags")
    name = document.get("official_name")
    return MappedModel(
        model_id=model_id,
        name=name if isinstance(name, str) and name else model_id.rpartition("/")[2],
        fields=fields,
        tags=frozenset(one for one in tags if isinstance(one, str)) if isinstance(tags, list) else frozenset(),
    )


@dataclass(frozen=True, slots=True)
class Filters:
    """What a rule asks of models; all must hold."""

    fields: tuple[tuple[str, frozenset[str]], ...] = ()
    tags: frozenset[str] = frozenset()
    excluded_tags: frozenset[str] = frozenset()

    def take(self, model: MappedModel) -> bool:
        """Whether a model has all that is asked for; texts are compared exactly."""
        if any(model.fields.get(field) not in wanted for field, wanted in self.fields):
            return False
        if self.excluded_tags and not self.excluded_tags.isdisjoint(model.tags):
            return False
        return not self.tags or not self.tags.isdisjoint(model.tags)


def filters_of(given: Mapping[str, Sequence[str] | str | None]) -> Filters:
    """The filters of a rule; a text counts as a list of one, empty as not given, other keys are ignored."""
    fields = []
    for field, keys in _KEYS.items():
        wanted = next((one for one in (_texts(given.get(key)) for key in keys) if one), None)
        if wanted:
            fields.append((field, wanted))
    return Filters(tuple(fields), _texts(given.get("tags")), _texts(given.get("exclude_tags")))


def _texts(value: Sequence[str] | str | None) -> frozenset[str]:
    return frozenset(one for one in ([value] if isinstance(value, str) else value or ()) if one)


@lru_cache(maxsize=1024)
def version_allowed(specifier: object, app_version: str) -> bool:
    """Whether a model is for a version of an app; a range or a version that can't be read allows all."""
    if not isinstance(specifier, str) or not specifier or not app_version:
        return True
    try:
        wanted = SpecifierSet(specifier)
        # Not left to the library: its default has changed between its versions.
        return wanted.contains(Version(app_version), prereleases=bool(wanted.prereleases))
    except (InvalidSpecifier, InvalidVersion):
        return True


def range_for(overrides: Mapping[str, object], app_id: str) -> object:
    """What `overrides.json` says of the versions of an app that a model is for; None for nothing."""
    ranges = overrides.get("version_ranges")
    if not isinstance(ranges, Mapping):
        return None
    return next((value for key, value in ranges.items() if str(key).lower() == app_id.lower()), None)


@lru_cache(maxsize=1024)
def file_pattern(pattern: str) -> Callable[[str], bool]:
    """A test of paths below a model's folder, `/` between parts: what `pathlib.Path.glob` finds there.

    Raises:
        ValueError: It is empty or absolute, or `..` or a misplaced `**` is in it; the message says what is wrong.
    """
    parts = pattern.split("/")
    if not pattern or "" in parts or "\0" in pattern:
        raise ValueError("it is empty, absolute, or has an empty part")
    if ".." in parts or "." in parts:
        raise ValueError("`.` and `..` can't be in it: files are looked for in the model's folder")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError("`**` must stand alone between slashes")
    tests = [None if part == "**" else re.compile(fnmatch.translate(part)).match for part in parts]
    if tests == [None]:
        return lambda _: False  # folders only
    if len(tests) == 1 and tests[0] is not None:
        only = tests[0]
        return lambda path: "/" not in path and only(path) is not None
    return lambda path: _fits(tests, path.split("/"))


def _fits(tests: Sequence[Callable[[str], object] | None], parts: Sequence[str]) -> bool:
    if not tests:
        return not parts
    if tests[0] is None:
        return any(_fits(tests[1:], parts[start:]) for start in range(len(parts)))
    return bool(parts) and tests[0](parts[0]) is not None and _fits(tests[1:], parts[1:])
