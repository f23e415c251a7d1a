"""The health of a launcher root: what is wrong with it, and the repairs that are provably safe.

Opening a root repairs things by itself (folders, a damaged index, a cache of another format). So what is to be told
is looked for on the files, by `examine_root`, which opens nothing and writes nothing; a read-only root will do.

    kind                  repaired by
    folder_missing        making it
    document_damaged      its backup, if that parses; the damaged bytes go to the quarantine
    leftover              moving it to the quarantine, if its process is gone
    cache_damaged         moving it to the quarantine; it fills again
    index_damaged         moving it to the quarantine, and writing the index again
    registry_damaged      its backup, if that is whole; the damaged bytes go to the quarantine
    index_missing, index_behind, index_search, index_foreign    writing the index again

Everything else is only told: what a user made is theirs to judge. Model files are never touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pumas.config import Config
from pumas.errors import PumasError, Unavailable, UnusableRoot, system_errors
from pumas.library.import_recovery import examine_imports
from pumas.library.survey import DOCUMENT, Survey, changed_in_library, read_rows
from pumas.library.trash_settle import examine_trash
from pumas.links.registry import LinkRegistry
from pumas.links.steps import has_left
from pumas.models import DocumentRow, Finding
from pumas.search.health import examine_index
from pumas.store.cache_health import examine_cache
from pumas.store.findings import note
from pumas.store.health import (
    examine_document,
    examine_folders,
    examine_launcher_documents,
    examine_registry,
    examine_space,
    hindered,
)
from pumas.store.leftovers import examine_scratch, examine_tree
from pumas.store.paths import Layout
from pumas.store.reading import Hindered


def examine_root(layout: Layout, config: Config) -> tuple[Finding, ...]:
    """Examine a root that need not be open; nothing is written.

    Raises:
        UnusableRoot: There is no such folder.
        Unavailable: It can't be told whether there is one.
    """
    with system_errors("Looking for the launcher root"):
        is_there = layout.root.is_dir()
    if not is_there:
        raise UnusableRoot(f"There is no launcher root {layout.root}; choose another folder", parameter="launcher_root")
    findings = [
        *examine_folders(layout),
        *examine_space(layout),
        *examine_launcher_documents(layout),
        *_examine_models(layout),
        *examine_registry(layout.library / "link_registry.db"),
        *_examine_intents(layout),
        *examine_cache(layout, config),
        *examine_tree(layout),
        *examine_trash(layout.library),
        *examine_imports(layout),
        *examine_scratch(),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.severity == "note"))


def _examine_intents(layout: Layout) -> Iterator[Finding]:
    registry = LinkRegistry(layout.library)
    with suppress(PumasError):  # told by `examine_registry`
        if has_left(registry):
            yield note(
                "links_interrupted",
                registry.path,
                what="links are being changed, or a process that changed them was killed",
                remedy="Opening the launcher root puts them right, if that process has ended.",
            )


class _Documents:
    """The documents of all models: each is read once, for itself and for the index."""

    def __init__(self, library: Path) -> None:
        self._library = library
        self.survey: Survey | None = None

    def batches(self) -> Iterator[list[DocumentRow]]:
        self.survey = None
        survey = changed_in_library(self._library, b"").survey
        yield from read_rows(survey)
        self.survey = survey


def _examine_models(layout: Layout) -> Iterator[Finding]:
    documents = _Documents(layout.library)
    try:
        try:
            yield from examine_index(layout.models_db, documents.batches)
        except Hindered as exc:
            yield hindered("index", layout.models_db, exc)
        if documents.survey is None:  # the index did not come so far
            for _ in documents.batches():
                pass
    except Unavailable:
        return  # the library can't be listed, which `examine_folders` has told
    for problem in documents.survey.problems if documents.survey else ():
        path = layout.library / problem.path
        if path.name == DOCUMENT:
            yield from examine_document(path, has_backup=True, otherwise=problem.reason)
