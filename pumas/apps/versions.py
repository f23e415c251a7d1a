"""Which versions of an app are installed and which one is active, as their document says (`versions.md` §12)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pumas.store.metadata import VERSIONS, load, locate
from pumas.store.paths import Layout, has_file

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,127}")


def active_version(layout: Layout, app_id: str) -> str | None:
    """The chosen version, else the last selected one, else the newest; None when none is installed."""
    document = _document(layout, app_id)
    installed = _complete_tags(layout, app_id, document)
    for key in ("defaultVersion", "lastSelectedVersion"):
        tag = document.get(key)
        if tag in installed:
            return str(tag)
    return max(installed, key=version_key, default=None)


def version_key(tag: str) -> tuple[tuple[int, int, str], ...]:
    """Order tags as versions: numbers by value (`v0.10` after `v0.9`), a release after its candidates (D-21)."""
    parts = re.findall(r"\d+|[A-Za-z]+", tag.lstrip("vV"))
    return (*((2, int(part), "") if part.isdigit() else (0, 0, part) for part in parts), (1, 0, ""))


def _complete_tags(layout: Layout, app_id: str, document: Mapping[str, object]) -> list[str]:
    installed = document.get("installed")
    if not isinstance(installed, Mapping):
        return []
    return [tag for tag in installed if _TAG.fullmatch(tag) and _is_complete(layout, app_id, tag)]


def _is_complete(layout: Layout, app_id: str, tag: str) -> bool:
    # A folder that may not be looked into counts as incomplete.
    folder = layout.versions_folder(app_id) / tag
    if app_id == "ollama":
        return has_file(folder / "ollama")
    return has_file(folder / "main.py") and has_file(folder / "venv" / "bin" / "python")


def _document(layout: Layout, app_id: str) -> Mapping[str, object]:
    return load(locate(layout, VERSIONS, app_id))
