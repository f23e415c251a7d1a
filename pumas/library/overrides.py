"""`overrides.json`: the user's own settings of one model (`storage.md` §4.3)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from pumas.errors import InvalidInput, ModelNotFound, PumasError, shown
from pumas.store.library_documents import Overrides
from pumas.store.metadata import METADATA, OVERRIDES, Document, load, locate_in_model, save
from pumas.store.paths import has_file, resolve_inside

logger = logging.getLogger(__name__)

_NO_LOCKS = Path()  # reading takes none


def read_overrides(library: Path, model_id: str) -> dict[str, object]:
    """The overrides of a model; empty when it has none, they can't be read, or there is no such model.

    Damaged ones are read from their backup.
    """
    try:
        document = locate_in_model(library, OVERRIDES, model_id, locks=_NO_LOCKS)
        # SECURITY: resolved with the name, so that a link in its place is not read either.
        resolve_inside(library, f"{model_id}/{OVERRIDES.file}", parameter="rel_path")
        return dict(load(document))
    except PumasError as exc:
        logger.debug("no overrides of %r: %s", model_id, exc)
        return {}


def write_overrides(library: Path, model_id: str, overrides: Mapping[str, object], *, locks: Path) -> None:
    """Store the overrides of a model.

    Raises:
        ModelNotFound: There is no such model, or the id leads out of the library.
        InvalidInput: A known field has a wrong form; it is named and nothing is written.
        Unavailable, NoSpace: It can't be written; the old overrides stay.
    """
    check_overrides(overrides)
    document = _of_model(library, model_id, locks)
    save(document, cast("Overrides", dict(overrides)))


def _of_model(library: Path, model_id: str, locks: Path) -> Document[Overrides]:
    try:
        document = locate_in_model(library, OVERRIDES, model_id, locks=locks)
    except InvalidInput as exc:
        raise ModelNotFound(model_id) from exc
    if not has_file(document.path.with_name(METADATA.file)):
        raise ModelNotFound(model_id)
    return document


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
            message = f'`overrides.version_ranges.{shown(app_id)}` must be a text such as ">=0.6.0,<1"'
            raise InvalidInput(message, parameter="overrides")
