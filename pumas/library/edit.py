"""What a user says of a model, written into its document, and what identification may change after that.

Fields that were set by hand are named in `edited_fields`, a key of ours that the original keeps and does not read.
`match_source = manual` protects all of them, and from look-ups of the original too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from pumas.errors import Damaged, InvalidInput, ModelNotFound, NotFound, shown
from pumas.library.places import existing_place
from pumas.library.records import tags_of
from pumas.organised import EDITABLE_FIELDS, ModelEdit
from pumas.store.library_documents import Metadata
from pumas.store.metadata import Document, update
from pumas.store.paths import Layout, has_file, resolve_inside
from pumas.store.times import TimeForm, format_time

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROLS_OF_TEXTS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")  # models are put into folders of that name (L-8)
_TEXTS = ("notes", "description")
_LONGEST_NAME, _LONGEST_TEXT = 500, 100_000  # characters: every list of models holds the one, every search the other
_MOST_TAGS = 1000


def edit_model(layout: Layout, model_id: str, edit: ModelEdit) -> Metadata:
    """Write what a user says of a model into its document, and remember which fields that were.

    Returns:
        The document as it is now.

    Raises:
        ModelNotFound: There is no such model.
        InvalidInput: A value has a wrong form, or nothing is to be changed; nothing was written.
        Damaged: Neither the document nor its backup can be read.
        Unavailable, NoSpace: It can't be written; the old one stays.
    """
    document = existing_place(layout, model_id)
    given = _checked_fields(document.path.parent, edit)
    names = [*given, *(("tags",) if edit.add_tags or edit.remove_tags else ())]
    _check_names(edit.released)
    if not names and not edit.released:
        raise InvalidInput("Nothing is to be changed; name at least one field")

    def change(value: dict[str, object]) -> dict[str, object]:
        changed = {**value, **given}
        if edit.add_tags or edit.remove_tags:
            kept = [tag for tag in tags_of(changed.get("tags")) if tag not in edit.remove_tags]
            changed["tags"] = _checked_tags((*kept, *edit.add_tags))
        edited = [name for name in (*_edited(value), *names) if name not in edit.released]
        changed["edited_fields"] = [name for name in EDITABLE_FIELDS if name in edited]
        if not edited:
            del changed["edited_fields"]
        if "model_type" in given:
            changed.pop("needs_review", None)
        return changed

    return change_document(document, model_id, change)


def mark_as_manual(layout: Layout, model_id: str) -> Metadata:
    """Protect all of a model's fields from look-ups and from identification.

    Raises:
        ModelNotFound: There is no such model.
        Damaged, Unavailable, NoSpace: As `edit_model`.
    """
    return change_document(
        existing_place(layout, model_id), model_id, lambda value: {**value, "match_source": "manual"}
    )


def change_document(
    document: Document[Metadata], model_id: str, change: Callable[[dict[str, object]], dict[str, object]]
) -> Metadata:
    """Change the document of a model that is there, in one locked step; its `updated_date` becomes now."""

    def changed(value: Metadata) -> Metadata:
        if not value:  # what it held would be lost with the first change
            raise Damaged("The model's document can't be read; see `pumas doctor`", path=document.path)
        now = format_time(datetime.now(UTC), TimeForm.ZULU)
        return cast("Metadata", {**change({**value}), "updated_date": now})

    try:
        return update(document, changed, must_exist=True)
    except NotFound as exc:
        raise ModelNotFound(model_id) from exc


def protected_fields(document: Mapping[str, object]) -> frozenset[str]:
    """The fields that nobody but the user changes."""
    if document.get("match_source") == "manual":
        return frozenset(EDITABLE_FIELDS)
    return frozenset(_edited(document))


def _edited(document: Mapping[str, object]) -> list[str]:
    named = document.get("edited_fields")
    return [name for name in named if name in EDITABLE_FIELDS] if isinstance(named, list) else []


def _checked_fields(folder: Path, edit: ModelEdit) -> dict[str, object]:
    """The fields that are given, as they are to be written.

    Raises:
        InvalidInput: One has a wrong form; it is named.
    """
    given = {name: getattr(edit, name) for name in EDITABLE_FIELDS if getattr(edit, name) is not None}
    for name, value in given.items():
        if name == "tags":
            given[name] = _checked_tags(value)
        else:
            given[name] = _checked_text(name, value)
    for name in ("official_name", "model_type"):
        if given.get(name) == "":
            raise InvalidInput(f"`{name}` must not be empty", parameter=name)
    for name in ("model_type", "subtype"):
        if given.get(name) and not _TYPE.fullmatch(str(given[name])):
            message = f"`{name}` must be a word such as llm or loras: letters, digits, dots, `-` and `_`"
            raise InvalidInput(message, parameter=name)
    if given.get("preview_image"):
        _check_preview(folder, str(given["preview_image"]))
    return given


def _check_preview(folder: Path, name: str) -> None:
    if not has_file(resolve_inside(folder, name, parameter="preview_image")):
        raise InvalidInput(
            "`preview_image` must be the name of a file in the model's folder", parameter="preview_image"
        )


def _check_names(names: Sequence[str]) -> None:
    unknown = next((name for name in names if name not in EDITABLE_FIELDS), None)
    if unknown is not None:
        message = f"`released` can name {', '.join(EDITABLE_FIELDS)}, but not {shown(unknown)}"
        raise InvalidInput(message, parameter="released")


def _checked_text(name: str, value: str) -> str:
    value = value.strip()
    is_long = name in _TEXTS
    longest = _LONGEST_TEXT if is_long else _LONGEST_NAME
    if len(value) > longest:
        raise InvalidInput(f"`{name}` must have at most {longest} characters", parameter=name)
    if (_CONTROLS_OF_TEXTS if is_long else _CONTROLS).search(value):
        raise InvalidInput(f"`{name}` must not hold control characters", parameter=name)
    return value


def _checked_tags(tags: Sequence[str]) -> list[str]:
    checked = list(dict.fromkeys(_checked_text("tags", tag) for tag in tags))
    if len(checked) > _MOST_TAGS or "" in checked:
        raise InvalidInput(f"`tags` must be at most {_MOST_TAGS} texts, none of them empty", parameter="tags")
    return checked
