"""Removing a model: what would go, who refers to it, and the move to the trash."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from pumas.errors import Conflict, PumasError, shown, system_errors
from pumas.library.folder_files import files_of_model
from pumas.library.places import existing_place, makes_model
from pumas.library.trash import put_in_trash
from pumas.library.trash_entries import HIDDEN, refuse_mounts
from pumas.organised import ModelLink, RemovalPlan, TrashedModel
from pumas.store.documents import read_document
from pumas.store.link_registry import links_to
from pumas.store.locks import document_lock
from pumas.store.metadata import METADATA
from pumas.store.paths import Layout, readable

_LINKS_NAMED = 3  # of those in a refusal; the plan has all


def plan_removal(layout: Layout, model_id: str) -> RemovalPlan:
    """Tell what removing a model would do; nothing is written.

    Raises:
        ModelNotFound: There is no such model.
        Unavailable: Its folder, or the register of links, can't be read.
    """
    folder = existing_place(layout, model_id).path.parent
    files = files_of_model(layout, model_id)
    links = links_to(layout.library / "link_registry.db", model_id, layout.library / model_id)
    with system_errors(f"Looking through {shown(model_id)}"):
        refusal = _refusal(layout.library, model_id, folder)
    return RemovalPlan(
        model_id=model_id,
        folder=folder,
        files=files,
        size_bytes=sum(file.size_bytes for file in files),
        links=links,
        refusal=refusal,
    )


def remove_model(
    layout: Layout, model_id: str, *, without_links: AbstractContextManager[None] | None = None
) -> TrashedModel:
    """Move a model to the trash.

    Args:
        layout: The root.
        model_id: The model.
        without_links: Removes the links of apps to it, and what is registered of them, and brings them back when the
            model stays. When not given, a model that links lead to is refused.

    Raises:
        ModelNotFound: There is no such model.
        Conflict: It can't be removed now; the message says why.
        Unavailable, NoSpace: It can't be moved; it lies where it was.
    """
    document = existing_place(layout, model_id)
    with document_lock(document.locks, document.lock_name):
        plan = plan_removal(layout, model_id)  # with the lock held: another process may have removed it meanwhile
        if plan.refusal is not None:
            raise Conflict(plan.refusal)
        if plan.links and without_links is None:
            raise Conflict(_in_use(model_id, plan.links))
        trashed = TrashedModel(
            entry_id="",
            model_id=model_id,
            official_name=_name(plan.folder),
            removed_at="",
            size_bytes=plan.size_bytes,
            file_count=len(plan.files),
        )
        with without_links or nullcontext():
            return put_in_trash(layout.library, plan.folder, trashed)


def _in_use(model_id: str, links: tuple[ModelLink, ...]) -> str:
    named = ", ".join(link.target_path for link in links[:_LINKS_NAMED])
    more = f" and {len(links) - _LINKS_NAMED} more" if len(links) > _LINKS_NAMED else ""
    return f"Apps use {shown(model_id)} through links: {named}{more}; remove these links first"


def _refusal(library: Path, model_id: str, folder: Path) -> str | None:
    name = shown(model_id)
    try:
        refuse_mounts(folder)
    except Conflict as exc:
        return str(exc)
    if folder.lstat().st_dev != library.stat().st_dev:
        return f"{name} lies on another drive than the library, whose trash can't take it; delete its folder by hand"
    return _refusal_by_names(name, folder)


def _refusal_by_names(name: str, folder: Path) -> str | None:
    is_model = makes_model(folder)
    for where, folders, files in os.walk(folder):
        if HIDDEN in (*folders, *files):
            return f"There is a {HIDDEN} in {readable(Path(where))}, a name that the trash needs; rename it"
        if METADATA.file in files and not is_model and Path(where) != folder:
            return f"The document of {name} is damaged, and another model lies in its folder; see `pumas doctor`"
    return None


def _name(folder: Path) -> str:
    try:
        name = (read_document(folder / METADATA.file) or {}).get("official_name")
    except PumasError:
        name = None
    return name if isinstance(name, str) and name else folder.name
