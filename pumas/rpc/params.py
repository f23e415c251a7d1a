"""Parameters of methods: one record each, checked one by one so that a refusal can name what is wrong.

`null` for an optional parameter means "not given". Positional parameters follow the order of the fields.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import NODEFAULT, Struct

from pumas.errors import InvalidInput, shown


class NoParams(Struct, frozen=True):
    """The method takes no parameters."""


class SearchParams(Struct, frozen=True, kw_only=True):
    """Parameters of `search_models_fts`."""

    query: str
    limit: int = 100
    offset: int = 0
    model_type: str | list[str] | None = None
    tags: list[str] | None = None


class HubSearchParams(Struct, frozen=True, kw_only=True):
    """Parameters of `search_hf_models`."""

    query: str
    kind: str | None = None
    limit: int = 25


class RelatedParams(Struct, frozen=True, kw_only=True):
    """Parameters of `get_related_models`."""

    model_id: str
    limit: int = 25


class OverridesParams(Struct, frozen=True, kw_only=True):
    """Parameters of `get_model_overrides`."""

    rel_path: str


class NewOverridesParams(Struct, frozen=True, kw_only=True):
    """Parameters of `update_model_overrides`."""

    rel_path: str
    overrides: dict[str, Any]


class ModelParams(Struct, frozen=True, kw_only=True):
    """Parameters of methods on one model."""

    model_id: str


class EditModelParams(Struct, frozen=True, kw_only=True):
    """Parameters of `edit_model`: what is not given stays as it is."""

    model_id: str
    official_name: str | None = None
    family: str | None = None
    model_type: str | None = None
    subtype: str | None = None
    tags: list[str] | None = None
    preview_image: str | None = None
    notes: str | None = None
    description: str | None = None
    add_tags: list[str] | None = None
    remove_tags: list[str] | None = None
    released: list[str] | None = None


class ModelsParams(Struct, frozen=True, kw_only=True):
    """Parameters of methods on several models, or all."""

    model_ids: list[str] | None = None


class TrashEntryParams(Struct, frozen=True, kw_only=True):
    """Parameters of `restore_from_trash`."""

    entry_id: str


class TrashEntriesParams(Struct, frozen=True, kw_only=True):
    """Parameters of `empty_trash`: the entries that were seen, so that nothing else is deleted."""

    entry_ids: list[str]


class FileParams(Struct, frozen=True, kw_only=True):
    """Parameters of what looks at one file."""

    file_path: str


class LookupParams(Struct, frozen=True, kw_only=True):
    """Parameters of `lookup_hf_metadata_for_file`."""

    filename: str
    file_path: str | None = None


class RefetchParams(Struct, frozen=True, kw_only=True):
    """Parameters of `refetch_model_metadata_from_hf`."""

    model_id: str
    repo_id: str | None = None


class DetailsParams(Struct, frozen=True, kw_only=True):
    """Parameters of `get_hf_download_details`."""

    repo_id: str
    quant: str | None = None
    context: int | None = None


class PathsParams(Struct, frozen=True, kw_only=True):
    """Parameters of `classify_model_import_paths`."""

    paths: list[str]


class FilesParams(Struct, frozen=True, kw_only=True):
    """Parameters of what looks at files."""

    file_paths: list[str]


class JobParams(Struct, frozen=True, kw_only=True):
    """Parameters of `get_job` and `cancel_job`."""

    job_id: str


class ImportParams(Struct, frozen=True, kw_only=True):
    """Parameters of `import_model`."""

    local_path: str
    family: str
    official_name: str
    repo_id: str | None = None


class BatchParams(Struct, frozen=True, kw_only=True):
    """Parameters of `import_batch`."""

    import_specs: list[dict[str, Any]]


class ImportSpec(Struct, frozen=True, kw_only=True):
    """One element of `import_specs`; what else it holds is for other versions of the app."""

    path: str | None = None
    family: str | None = None
    official_name: str | None = None
    repo_id: str | None = None
    model_type: str | None = None
    subtype: str | None = None
    tags: list[str] | None = None


P = TypeVar("P", bound=Struct)

_EXPECTED: dict[object, str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    type(None): "null",
    dict: "an object",
    list: "a list of text",
}
_CAME: dict[type, str] = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def read_params(kind: type[P], given: object) -> P:
    """Check parameters as they came.

    Args:
        kind: The method's record.
        given: A list, an object, or nothing (an empty object).

    Raises:
        InvalidInput: They have another form, one is unknown, missing, or of a wrong type; it is named.
    """
    fields = _fields(kind)
    if isinstance(given, list):
        if len(given) > len(fields):
            raise InvalidInput(f"at most {len(fields)} parameters are expected, but {len(given)} came")
        given = dict(zip(fields, given, strict=False))
    if not isinstance(given, Mapping):
        raise InvalidInput("Expected object")
    unknown = next((name for name in given if name not in fields), None)
    if unknown is not None:
        raise InvalidInput(f"unexpected parameter `{shown(unknown)}`", parameter=shown(unknown))
    values = {}
    for name, (annotation, is_required) in fields.items():
        value = given.get(name)
        if value is None and not is_required:
            continue
        if name not in given:
            raise InvalidInput(f"missing parameter `{name}` ({_expected(annotation)})", parameter=name)
        values[name] = _convert(name, value, annotation, is_required=is_required)
    return kind(**values)


def read_specs(specs: list[dict[str, Any]]) -> list[ImportSpec]:
    """Check the elements of `import_specs`.

    Raises:
        InvalidInput: A field has a wrong type; it is named as `import_specs[n].field`.
    """
    fields = _fields(ImportSpec)
    found = []
    for number, spec in enumerate(specs):
        values: dict[str, Any] = {
            field: _convert(f"import_specs[{number}].{field}", spec[field], annotation, is_required=True)
            for field, (annotation, _) in fields.items()
            if spec.get(field) is not None
        }
        found.append(ImportSpec(**values))
    return found


def _convert(name: str, value: object, annotation: Any, *, is_required: bool) -> object:
    try:
        return msgspec.convert(value, annotation, strict=True)
    except msgspec.ValidationError as exc:
        expected = _expected(annotation) if is_required else _expected(annotation | None)
        came = _CAME.get(type(value), "something else")
        if isinstance(value, float) and int in (annotation, *typing.get_args(annotation)):
            came = "a number with a fraction"
        if isinstance(value, list) and "list" in expected:
            came = "a list with something else in it"
        raise InvalidInput(f"`{name}` must be {expected}, but {came} came", parameter=name) from exc


@cache
def _fields(kind: type[Struct]) -> dict[str, tuple[Any, bool]]:
    is_required = {
        field.name: field.default is NODEFAULT and field.default_factory is NODEFAULT
        for field in msgspec.structs.fields(kind)
    }
    hints = typing.get_type_hints(kind)
    return {name: (hints[name], is_required[name]) for name in is_required}


def _expected(annotation: object) -> str:
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        names = [_expected(one) for one in typing.get_args(annotation)]
        return f"{', '.join(names[:-1])} or {names[-1]}"
    if any(typing.get_origin(one) is dict for one in typing.get_args(annotation)):
        return "a list of objects"
    return _EXPECTED[typing.get_origin(annotation) or annotation]
