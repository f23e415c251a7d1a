"""Which links the rules want in the models folder of a version, whatever lies there now."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pumas_native

from pumas.errors import shown
from pumas.linked import PlannedLink
from pumas.links.mapping import Rule, name_problem
from pumas.links.places import LinkFolder, Places
from pumas.links.selection import MappedModel, range_for, version_allowed
from pumas.links.walk import LINK, WalkedTree

_NEVER = frozenset({"metadata.json", "overrides.json"})
_LONGEST_PATH = 4000  # of the 4096 that a system takes: the link has a longer name while it is made
_FEW = 64  # models whose folders are walked one by one


@dataclass(frozen=True, slots=True)
class AppVersion:
    """One version of an app that gets links, and what is needed of the other parts to plan them."""

    app_id: str
    version: str
    """Without the `v` of its tag."""
    library: Path
    models: Path
    """Its models folder; it need not exist."""
    rules: Path
    """The folder of mapping documents."""
    link_name: Callable[[str], str]
    """The name that the library gives a file."""
    overrides: Callable[[str], Mapping[str, object]]
    """What `overrides.json` of a model says."""
    sandbox_warning: str | None = None

    def short(self, target: str) -> str:
        """A target for a message: its path below the models folder."""
        return shown(os.path.relpath(target, self.models))

    @property
    def key(self) -> tuple[str, str]:
        """How the register names it."""
        return self.app_id, self.version


class ModelFiles:
    """The files in the folders of models, found by one walk of the library, or of the folders when they are few."""

    def __init__(self, library: Path, models: Sequence[MappedModel], cancel: pumas_native.CancelToken | None) -> None:
        self._library = library
        self._files: dict[str, list[str]] = {}
        ids = [model.model_id for model in models]
        if len(ids) > _FEW:
            self._take(WalkedTree(library, cancel=cancel), ids)
            return
        for model_id in ids:
            if is_plain_folder(library / model_id, library):
                tree = WalkedTree(library / model_id, cancel=cancel)
                self._files[model_id] = list(self._wanted(model_id, tree, tree.files()))

    def _take(self, tree: WalkedTree, ids: Sequence[str]) -> None:
        for model_id, files in tree.files_by_folder(ids).items():
            self._files[model_id] = list(self._wanted(model_id, tree, files))

    def of(self, model_id: str) -> list[str]:
        """Paths of a model's files below its folder; none when it has no folder."""
        return self._files.get(model_id, [])

    def _wanted(self, model_id: str, tree: WalkedTree, files: Iterable[tuple[str, int]]) -> Iterator[str]:
        for path, entry in files:
            if path.rpartition("/")[2] in _NEVER:
                continue
            if tree.kinds[entry] != LINK or os.path.isfile(f"{self._library}/{model_id}/{path}"):
                yield path


def is_plain_folder(folder: Path, library: Path) -> bool:
    """Whether a model's folder is there and no link stands on the way to it."""
    real = os.path.join(os.path.realpath(library), os.path.relpath(folder, library))
    return folder.is_dir() and os.path.realpath(folder) == real


@dataclass
class Wanting:
    """Collects what rules want; one link a target."""

    app: AppVersion
    places: Places
    files: ModelFiles
    errors: list[str] = field(default_factory=list)
    """Rules that can't be followed here."""
    warnings: list[str] = field(default_factory=list)
    """Files that get no link."""

    def __post_init__(self) -> None:
        self._wanted: dict[str, PlannedLink] = {}
        self._allowed: dict[str, bool] = {}

    def links(self, rules: Sequence[Rule], models: Sequence[MappedModel]) -> list[PlannedLink]:
        """The links that rules want for models, in the order of rules, models and names."""
        for rule in rules:
            folder = self.places.folder(rule.folder)
            if isinstance(folder, str):
                self.errors.append(f"{rule.origin}, field `target_subdir`: {folder}")
                continue
            for model in models:
                if rule.filters.take(model):
                    self._follow(rule, folder, model)
        return self._without_folders()

    def _follow(self, rule: Rule, folder: LinkFolder, model: MappedModel) -> None:
        paths = [path for path in self.files.of(model.model_id) if rule.takes_file(path)]
        if not paths or not self._is_allowed(model.model_id):
            return
        for path in paths:
            below = f"{model.model_id}/{path}"
            name = rule.names.get(below) or self.app.link_name(path.rpartition("/")[2])
            target = f"{folder.path}/{name}"
            wrong = name_problem(name)
            if wrong is None and len(os.fsencode(target)) > _LONGEST_PATH:
                wrong = "its path would be too long"
            if wrong is not None:
                self.warnings.append(f"{shown(below)} gets no link in {shown(rule.folder)}: {wrong}")
                continue
            link = PlannedLink(
                model_id=model.model_id,
                model_name=model.name,
                source_path=f"{self.app.library}/{below}",
                target_path=target,
                link_type=folder.link_type,
                link_text=f"{folder.prefix}/{below}",
                is_external=folder.is_external,
            )
            self._add(folder.key(name), link)

    def _is_allowed(self, model_id: str) -> bool:
        allowed = self._allowed.get(model_id)
        if allowed is None and not self._has_overrides(model_id):
            allowed = self._allowed[model_id] = True
        if allowed is None:
            specifier = range_for(self.app.overrides(model_id), self.app.app_id)
            allowed = self._allowed[model_id] = version_allowed(specifier, self.app.version)
        return allowed

    def _has_overrides(self, model_id: str) -> bool:
        """Whether a model has any: the importer writes `{}`, and reading each would take most of the time."""
        try:
            return os.stat(f"{self.app.library}/{model_id}/overrides.json").st_size != len("{}")
        except OSError:
            return False

    def _add(self, key: str, link: PlannedLink) -> None:
        other = self._wanted.pop(key, None)
        if other is not None and other.source_path != link.source_path:
            takes, leaves = (shown(os.path.relpath(one.source_path, self.app.library)) for one in (link, other))
            self.warnings.append(
                f"Two files want {self.app.short(link.target_path)}: {takes} gets the link, {leaves} gets none; "
                "give one another name in the rule's `names`"
            )
        self._wanted[key] = link

    def _without_folders(self) -> list[PlannedLink]:
        """Leave out links whose place other links need as a folder."""
        above: set[str] = set()
        for holding in {os.path.dirname(one.target_path) for one in self._wanted.values()}:
            folder = holding
            while folder not in above and len(folder) > len(str(self.app.models)):
                above.add(folder)
                folder = os.path.dirname(folder)
        kept = []
        for one in self._wanted.values():
            if one.target_path in above:
                self.warnings.append(f"{self.app.short(one.target_path)} gets no link: other links need a folder there")
            else:
                kept.append(one)
        return kept
