"""The folder of a model by its id, as strictly as whoever moves or changes a model needs it."""

from __future__ import annotations

from pathlib import Path

from pumas.errors import InvalidInput, ModelNotFound, PumasError
from pumas.store.documents import read_document
from pumas.store.library_documents import Metadata
from pumas.store.metadata import METADATA, Document, locate
from pumas.store.paths import Layout, has_file


def place_of(layout: Layout, model_id: str) -> Document[Metadata]:
    """The place of a model's document, whether there is one or not; its folder is the model's.

    Raises:
        ModelNotFound: No model can have this id: it leads out of the library, through a link, or into a dot folder.
    """
    try:
        model_id.encode("utf-8")
        document = locate(layout, METADATA, model_id)
    except (InvalidInput, UnicodeEncodeError) as exc:
        raise ModelNotFound(model_id) from exc
    # One model, one id: registers are asked by it. What lies behind a link has another path, and is no model here.
    if document.path.parent.relative_to(layout.library.resolve()).as_posix() != model_id:
        raise ModelNotFound(model_id)
    return document


def existing_place(layout: Layout, model_id: str) -> Document[Metadata]:
    """The place of the document of a model that is there.

    Raises:
        ModelNotFound: There is none.
    """
    document = place_of(layout, model_id)
    if not has_file(document.path) or is_inside_model(layout.library, document.path.parent):
        raise ModelNotFound(model_id)
    return document


def is_inside_model(library: Path, folder: Path) -> bool:
    """Whether a folder is a part of a model: what lies in it makes none of its own (`storage.md` §4.1)."""
    top = library.resolve()
    above = (parent for parent in folder.parents if parent != top and parent.is_relative_to(top))
    return any(makes_model(parent) for parent in above)


def makes_model(folder: Path) -> bool:
    """Whether a folder holds a document that makes it a model."""
    try:
        return bool(read_document(folder / METADATA.file))
    except PumasError:
        return False  # a document that can't be used hides nothing
