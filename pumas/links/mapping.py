"""Mapping rules: which files of models get links where in the models folder of an app.

    {data}/config/model-library-translation/<app>_<version>_<variant>.json     `storage.md` §4.5

    {"mappings": [{"name": "Main Checkpoints", "target_subdir": "checkpoints", "patterns": ["*.safetensors"],
      "filters": {"model_type": "diffusion"}, "enabled": true, "priority": 10, "method": "symlink",
      "names": {"diffusion/f/A/a.safetensors": "pinned.safetensors"}}]}

`version` is one version or `*`. The rules of all documents that fit are put in one row: those of an exact version
before those of `*`, of a variant before `default`, by file name else; then by `priority`, the lowest first. `names`,
which only we read, gives a file the name that its link has. What is wrong with a rule is told, and hinders no other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pumas.errors import Damaged, PumasError, Unavailable, shown
from pumas.links.selection import FILTER_KEYS, Filters, file_pattern, filters_of
from pumas.store.documents import read_document

_LONGEST_NAME = 255  # bytes, in what file systems take
_NOT_ON_WINDOWS = re.compile(r'[<>:"|?*\x00-\x1f]|[ .]$|^(con|prn|aux|nul|com[1-9]|lpt[1-9])(\.|$)', re.IGNORECASE)
_FIELD = re.compile(r"`\$\.?(\w+)")
_IGNORED = ("name", "description", "link_type")


class MappingRule(msgspec.Struct, kw_only=True):
    """One rule as a document gives it."""

    target_subdir: str | None = None
    """Folder below the app's models folder."""
    name: str | None = None
    description: str | None = None
    link_type: str | None = None
    method: str | None = "symlink"
    """Any other: the rule is skipped."""
    patterns: list[str] | str | None = None
    """Which files, as globs below the model's folder; all that lie directly in it when not given."""
    filters: dict[str, Any] | None = None
    enabled: bool | None = True
    priority: float | None = 0
    names: dict[str, str] | None = None
    """By path below the library the name of the link."""


class MappingDocument(msgspec.Struct, kw_only=True):
    """One document of rules; only `mappings` is read."""

    mappings: list[MappingRule]
    app: str | None = None
    version: str | None = None
    variant: str | None = None
    description: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that can be followed."""

    origin: str
    """Its document, number and name, for messages."""
    folder: str
    """Below the app's models folder, `/` between parts."""
    patterns: tuple[Callable[[str], bool], ...]
    filters: Filters
    names: Mapping[str, str]
    priority: float

    def takes_file(self, path: str) -> bool:
        """Whether a file of a model is wanted, by its path below the model's folder."""
        return any(pattern(path) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules for one version of an app, in the order in which they are followed."""

    rules: tuple[Rule, ...]
    problems: tuple[str, ...]
    """What is wrong, each with document, rule and field."""
    is_found: bool
    """Whether there is any document for the version."""


def mapping_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a mapping document."""
    return msgspec.json.schema(MappingDocument)


def read_rules(folder: Path, app_id: str, app_version: str) -> RuleSet:
    """Read the rules for one version of an app.

    Args:
        folder: Holds the documents.
        app_id: Compared without case.
        app_version: Without the `v` of its tag.

    Raises:
        Unavailable: The folder can't be listed.
    """
    rules: list[Rule] = []
    problems: list[str] = []
    documents = _documents(folder, app_id, app_version)
    for path in documents:
        try:
            rules += _rules_of(path, problems)
        except PumasError as exc:
            problems.append(str(exc))
    return RuleSet(tuple(sorted(rules, key=lambda rule: rule.priority)), tuple(problems), bool(documents))


def specificity(version: str, variant: str) -> int:
    """How closely a document is for one version; the highest comes first."""
    return (0 if version == "*" else 100) + (0 if variant == "default" else 10)


def _documents(folder: Path, app_id: str, app_version: str) -> list[Path]:
    found = []
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise Unavailable(f"The folder of mapping rules can't be listed: {exc.strerror}") from exc
    for name in names:
        if not name.endswith(".json"):
            continue
        app, version, variant = (*name.removesuffix(".json").split("_", maxsplit=2), "", "")[:3]
        has_all = name.count("_") > 1
        if has_all and app.lower() == app_id.lower() and version in ("*", app_version):
            found.append((-specificity(version, variant), folder / name))
    return [path for _, path in sorted(found, key=lambda one: one[0])]


def _rules_of(path: Path, problems: list[str]) -> Iterator[Rule]:
    document = read_document(path) or {}
    given = document.get("mappings", [])
    if not isinstance(given, list):
        raise Damaged(f"{shown(path.name)}, field `mappings`: it must be a list of rules", path=path)
    for number, one in enumerate(given, 1):
        label = one.get("name") if isinstance(one, Mapping) else None
        origin = f"{shown(path.name)}, rule {number}" + (f" ({shown(label)})" if isinstance(label, str) else "")
        try:
            rule = _rule_of(origin, _without_ignored(one))
        except ValueError as exc:
            problems.append(f"{origin}, {exc}")
        else:
            if rule is not None:
                yield rule


def _without_ignored(given: object) -> object:
    """A rule without what is only for people: in whatever form that is, the rule can be followed."""
    return {key: one for key, one in given.items() if key not in _IGNORED} if isinstance(given, Mapping) else given


def _rule_of(origin: str, given: object) -> Rule | None:
    """A rule that can be followed; None for one that is switched off, or asks for what we don't do."""
    try:
        rule = msgspec.convert(given, MappingRule)
    except msgspec.ValidationError as exc:
        found = _FIELD.search(str(exc))
        what = str(exc).partition(" - at ")[0]
        raise ValueError(f"field `{found[1]}`: {what}" if found else f"it is no rule: {what}") from exc
    if rule.enabled is False or (rule.method or "symlink") != "symlink":
        return None
    patterns = [rule.patterns] if isinstance(rule.patterns, str) else rule.patterns or ["*"]
    return Rule(
        origin=origin,
        folder=_folder(rule.target_subdir),
        patterns=tuple(_pattern(one) for one in patterns),
        filters=filters_of(_checked_filters(rule.filters or {})),
        names={path: _name(name) for path, name in (rule.names or {}).items()},
        priority=rule.priority or 0,
    )


def _folder(value: str | None) -> str:
    if not value:
        raise ValueError("field `target_subdir`: it is missing; name a folder below the app's models folder")
    parts = value.replace("\\", "/").split("/")
    # SECURITY: a target never leaves the app's models folder (L-9).
    if value.startswith(("/", "\\")) or ".." in parts or (os.name == "nt" and ":" in value):
        raise ValueError("field `target_subdir`: it leads out of the app's models folder")
    parts = [part for part in parts if part not in ("", ".")]
    if not parts:
        raise ValueError("field `target_subdir`: it names no folder")
    for part in parts:
        if (wrong := name_problem(part)) is not None:
            raise ValueError(f"field `target_subdir`: {wrong}")
    return "/".join(parts)


def name_problem(name: str, *, on_windows: bool = os.name == "nt") -> str | None:
    """Why a file or folder can't have a name; None when it can."""
    if "\0" in name or "/" in name:
        return f"{shown(name)!r} can't be a name"
    if len(name.encode("utf-8", "surrogateescape")) > _LONGEST_NAME:
        return f"{shown(name)!r} is longer than {_LONGEST_NAME} bytes"
    if on_windows and _NOT_ON_WINDOWS.search(name):
        return f"{shown(name)!r} can't be a name on Windows"
    return None


def _pattern(value: str) -> Callable[[str], bool]:
    try:
        return file_pattern(value)
    except ValueError as exc:
        raise ValueError(f"field `patterns`, {shown(value)!r}: {exc}") from exc


def _checked_filters(given: Mapping[str, Any]) -> Mapping[str, Any]:
    for key in FILTER_KEYS.intersection(given):
        value = given[key]
        is_list = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if value is not None and not isinstance(value, str) and not is_list:
            raise ValueError(f"field `filters.{key}`: it must be a text or a list of texts")
    return given


def _name(value: str) -> str:
    wrong = "it must be a file name" if value in ("", ".", "..") else name_problem(value)
    if wrong is not None:
        raise ValueError(f"field `names`: {wrong}")
    return value
