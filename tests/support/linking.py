"""Roots with links for tests, as the recorded cases describe them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pumas.jobs import Job, Progress
from pumas.library.naming import normalize_filename
from pumas.library.overrides import read_overrides
from pumas.links.selection import MappedModel, mapped_model
from pumas.links.wanted import AppVersion
from pumas.store.paths import open_layout


def progress() -> Progress:
    """Of a job that nobody runs."""
    return Job("test", lambda _: None)._progress


def document_of(given: dict[str, Any]) -> dict[str, Any]:
    """What the importer would have written of a model, and what the case adds."""
    model_type, family, name = given["id"].split("/")
    derived = {"model_id": name, "model_type": model_type, "family": family, "official_name": name, "tags": []}
    return {**derived, **given.get("metadata", {})}


class LinkRoot:
    """A root with models, rules, and a version of an app with whatever lies in its models folder.

    In the recorded cases the models folder lies beside the library: texts of links are put right for that.

    Args:
        folder: Holds the root.
        given: What is to be written there; nothing when it was.
        version: Of the app.
    """

    def __init__(self, folder: Path, given: dict[str, Any] | None = None, *, version: str = "0.6.0") -> None:
        self.layout, _ = open_layout(folder / "root")
        self.library = self.layout.library
        self.models_folder = self.layout.versions_folder("comfyui") / f"v{version}" / "models"
        self.documents: dict[str, dict[str, Any]] = {}
        if given is not None:
            self.models_folder.mkdir(parents=True)
            self._write(given)
        for path in self.library.glob("*/*/*/metadata.json"):
            self.documents[path.parent.relative_to(self.library).as_posix()] = json.loads(path.read_text("utf-8"))
        self.app = AppVersion(
            app_id="comfyui",
            version=version,
            library=self.library,
            models=self.models_folder,
            rules=self.layout.data / "config" / "model-library-translation",
            link_name=normalize_filename,
            overrides=lambda model_id: read_overrides(self.library, model_id),
        )

    def _write(self, given: dict[str, Any]) -> None:
        self.documents = {one["id"]: document_of(one) for one in given.get("models", [])}
        for one in given.get("models", []):
            if not one.get("gone"):
                self._write_model(one)
        rules = self.layout.data / "config" / "model-library-translation"
        for name, rule in given.get("configs", {}).items():
            (rules / name).write_text(rule if isinstance(rule, str) else json.dumps(rule), encoding="utf-8")
        for path, what in given.get("app", {}).items():
            self._put(self.models_folder / path, what)

    @property
    def models(self) -> list[MappedModel]:
        return [mapped_model(model_id, document) for model_id, document in sorted(self.documents.items())]

    def _write_model(self, given: dict[str, Any]) -> None:
        folder = self.library / given["id"]
        for name in given["files"]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(given["id"], encoding="utf-8")
        (folder / "metadata.json").write_text(json.dumps(self.documents[given["id"]]), encoding="utf-8")
        (folder / "overrides.json").write_text(json.dumps(given.get("overrides", {})), encoding="utf-8")

    def _put(self, path: Path, what: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if what == "folder":
            path.mkdir()
        elif what.startswith("-> "):
            text = what[3:].replace("{library}", str(self.library))
            path.symlink_to(text.replace("../models", "../../shared-resources/models"))
        elif what.startswith("hard: "):
            path.hardlink_to(self.library / what[6:])
        else:
            path.write_text(what, encoding="utf-8")

    def named(self, value: Any) -> Any:
        """The paths of an answer as the recorded cases name them."""
        text = json.dumps(value).replace(str(self.models_folder), "{app}").replace(str(self.library), "{library}")
        text = text.replace("../shared-resources/models", "models")
        return json.loads(text)

    def content(self) -> dict[str, str]:
        """What lies in the models folder."""
        return dict(self.named(content_of(self.models_folder)))


def content_of(folder: Path) -> dict[str, str]:
    """Links, files and empty folders, by path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file():
            found[name] = f"file: {path.read_text(encoding='utf-8')}"
        elif not any(path.iterdir()):
            found[f"{name}/"] = "empty folder"
    return found
