"""Identifying models of the library again: what their files say goes into their documents, but for what a user set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pumas.errors import PumasError
from pumas.jobs import Progress
from pumas.library.edit import change_document, protected_fields
from pumas.library.places import existing_place
from pumas.models import ModelKind
from pumas.organised import Reidentified
from pumas.store.metadata import load
from pumas.store.paths import Layout


def reidentify_models(
    layout: Layout, model_ids: Sequence[str], identify: Callable[[Path], ModelKind], progress: Progress
) -> tuple[Reidentified, ...]:
    """Identify models by their files, and take up in their documents what is found.

    Args:
        layout: The root.
        model_ids: The models; one that can't be identified says so, and hinders no other.
        identify: Tells the kind of a model's folder.
        progress: Counts models.

    Raises:
        Cancelled: The job is to end; what was written stays.
    """
    done = []
    for number, model_id in enumerate(model_ids):
        progress.report(number, len(model_ids), "identifying models")
        done.append(_reidentify(layout, model_id, identify))
    return tuple(done)


def _reidentify(layout: Layout, model_id: str, identify: Callable[[Path], ModelKind]) -> Reidentified:
    try:
        document = existing_place(layout, model_id)
        kind = identify(document.path.parent)
        before = dict(load(document))
        changes = changes_by(kind, before)
        if changes:
            # Judged again with the lock held: a user may be editing it.
            change_document(document, model_id, lambda value: _applied(value, changes_by(kind, value)))
    except PumasError as exc:
        return Reidentified(model_id=model_id, problem=str(exc))
    except OSError as exc:
        return Reidentified(model_id=model_id, problem=f"its files can't be read: {exc.strerror or type(exc).__name__}")
    return Reidentified(
        model_id=model_id,
        kind=kind,
        changes={name: (_text(before.get(name)), _text(value)) for name, value in changes.items()},
        kept=tuple(sorted(protected_fields(before))),
    )


def changes_by(kind: ModelKind, document: dict[str, object]) -> dict[str, object]:
    """The fields of a document that a kind changes; None stands for one that goes.

    A kind that only the name of a file speaks for fills what is empty, and replaces nothing.
    """
    kept = protected_fields(document)
    found: dict[str, object] = {}
    if kind.model_type and "model_type" not in kept and (not kind.needs_review or not document.get("model_type")):
        found["model_type"] = kind.model_type
    model_type = found.get("model_type", document.get("model_type"))
    if "model_type" in found and "subtype" not in kept:
        found["subtype"] = kind.subtype
    if kind.family and model_type == kind.model_type and not kind.needs_review and "family" not in kept:
        found["family"] = kind.family
    is_open = kind.needs_review and "model_type" not in kept
    found["needs_review"] = True if is_open else None
    return {name: value for name, value in found.items() if (document.get(name) or None) != (value or None)}


def _applied(document: dict[str, object], changes: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in {**document, **changes}.items() if value is not None or name not in changes}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
