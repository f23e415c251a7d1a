"""`overrides.json`: the user's own settings of one model (`storage.md` §4.3)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from pumas.errors import Damaged, InvalidInput, ModelNotFound, Unavailable
from pumas.library.survey import DOCUMENT
from pumas.store.documents import read_document, write_document
from pumas.store.locks import document_lock
from pumas.store.paths import has_file, resolve_inside

logger = logging.getLogger(__name__)

_NAME = "overrides.json"


def read_overrides(library: Path, model_id: str) -> dict[str, object]:
    """The overrides of a model; empty when it has none, they can't be read, or there is no such model."""
    try:
        # SECURITY: resolved with the name, so that a link in its place is not read either.
        path = resolve_inside(library, f"{model_id}/{_NAME}", parameter="rel_path")
        value = read_document(path)
    except (InvalidInput, Damaged, Unavailable) as exc:
        logger.debug("no overrides of %r: %s", model_id, exc)
        return {}
    return value if isinstance(value, dict) else {}


def write_overrides(library: Path, model_id: str, overrides: Mapping[str, object], *, locks: Path) -> None:
    """Store the overrides of a model.

    Raises:
        ModelNotFound: There is no such model, or the id leads out of the library.
        InvalidInput: A known field has a wrong form; it is named and nothing is written.
        Unavailable, NoSpace: It can't be written; the old overrides stay.
    """
    check_overrides(overrides)
    folder = _model_folder(library, model_id)
    # One lock for one file, however the id was written.
    with document_lock(locks, f"{folder.relative_to(library.resolve()).as_posix()}/{_NAME}"):
        write_document(folder / _NAME, dict(overrides))


def _model_folder(library: Path, model_id: str) -> Path:
    try:
        folder = resolve_inside(library, model_id, parameter="rel_path")
    except InvalidInput as exc:
        raise ModelNotFound(model_id) from exc
    below = folder.relative_to(library.resolve())
    # The same folders that a survey leaves out are no models here either.
    if not below.parts or any(part.startswith(".") for part in below.parts) or not has_file(folder / DOCUMENT):
        raise ModelNotFound(model_id)
    return folder


def check_overrides(overrides: Mapping[str, object]) -> None:
    """Check the known fields; others are kept as they are.

    Raises:
        InvalidInput: `version_ranges` is not an object of app id → version specifier text.
    """
    ranges = overrides.get("version_ranges")
    if ranges is None and "version_ranges" not in overrides:
        return
    if not isinstance(ranges, Mapping):
        raise InvalidInput(
            "`overrides.version_ranges` must be an object of app id and version range", parameter="overrides"
        )
    for app_id, specifier in ranges.items():
        if not isinstance(specifier, str):
            shown = app_id if len(app_id) <= 100 else f"{app_id[:100]}…"
            message = f'`overrides.version_ranges.{shown}` must be a text such as ">=0.6.0,<1"'
            raise InvalidInput(message, parameter="overrides")
