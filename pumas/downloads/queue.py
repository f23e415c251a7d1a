"""The queue of downloads on disk: one folder and one document each.

    {lib}/.downloads/<id>/      40 hexadecimal digits, as those of the original
        download.json           what is wanted, and how far it is; replaced as a whole
        lease.json              who is at it (`lease`)
        files/<path>            files that are whole and verified
        files/<path>.part       one on its way, with `<path>.part.journal` beside it (`pumas_native.transfer`)

The order is that of priority and time, so that nothing has to be written when a download joins or leaves. The original
leaves folders without a document behind; they are left alone.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from pumas.downloading import Download, DownloadFile, DownloadRequest
from pumas.errors import Damaged, DownloadNotFound, PumasError, Unavailable, system_errors
from pumas.store.documents import make_folders, read_document, sync_folder, update_document, write_document
from pumas.store.paths import Layout
from pumas.store.times import TimeForm, format_time

logger = logging.getLogger(__name__)

DOCUMENT: Final = "download.json"
FILES: Final = "files"
_ID = re.compile(r"[0-9a-f]{40}")
_GONE: Final = ".gone"


def queue_of(library: Path) -> Path:
    """The folder of all downloads.

    Raises:
        Unavailable: It is a link: what is deleted in it must never be deleted elsewhere.
    """
    queue = library / ".downloads"
    if queue.is_symlink():
        raise Unavailable(f"{queue} is a link; move it away: downloads must lie in the library")
    return queue


def folder_of(library: Path, download_id: str) -> Path:
    """The folder of one download.

    Raises:
        DownloadNotFound: The id is none, or there is no such download.
    """
    folder = queue_of(library) / download_id if _ID.fullmatch(download_id) else None
    if folder is None or folder.is_symlink() or not (folder / DOCUMENT).is_file():
        raise DownloadNotFound(download_id)
    return folder


def add(layout: Layout, request: DownloadRequest, *, commit: str | None, files: Sequence[DownloadFile]) -> Download:
    """Queue a download; it is on disk when this returns.

    Raises:
        NoSpace, Unavailable: It could not be written.
    """
    download = Download(
        download_id=secrets.token_hex(20),
        request=request,
        commit=commit,
        files=tuple(files),
        created_at=format_time(datetime.now(UTC), TimeForm.ZULU),
    )
    folder = queue_of(layout.library) / download.download_id
    with system_errors("Making the folder of a download"):
        make_folders(folder / FILES)
        sync_folder(folder)
    write_document(folder / DOCUMENT, _document_of(download), has_backup=False)
    return download


def listed(library: Path) -> tuple[Download, ...]:
    """All downloads, in the order in which they are to begin; of one whose document is damaged only what went wrong."""
    return tuple(sorted(_all(library), key=lambda download: (-download.priority, download.created_at)))


def _all(library: Path) -> Iterator[Download]:
    with system_errors("Listing the downloads"):
        try:
            names = [entry.name for entry in os.scandir(queue_of(library)) if _ID.fullmatch(entry.name)]
        except FileNotFoundError:
            return
    for name in names:
        try:
            yield find(library, name)
        except DownloadNotFound:
            continue  # it ended meanwhile, or is the original's
        except PumasError as exc:
            logger.warning("the download %s can't be used: %s", name, exc)
            yield Download(
                download_id=name,
                request=DownloadRequest(repo_id=""),
                created_at="",
                status="error",
                reason=str(exc),
            )


def find(library: Path, download_id: str) -> Download:
    """One download.

    Raises:
        DownloadNotFound: There is none of that id.
        Damaged: Its document can't be used.
    """
    path = folder_of(library, download_id) / DOCUMENT
    value = read_document(path)
    if value is None:
        raise DownloadNotFound(download_id)
    return _download_of(path, value)


def update(layout: Layout, download_id: str, change: Callable[[Download], Download]) -> Download:
    """Change one download in one locked step.

    Args:
        layout: The launcher root.
        download_id: Which one.
        change: Gets it as it is and returns it as it is to be; if it raises, nothing is written.

    Raises:
        DownloadNotFound: There is none of that id.
        Damaged, NoSpace, Unavailable: The document can't be used or written; it stays as it was.
    """
    path = folder_of(layout.library, download_id) / DOCUMENT
    changed: list[Download] = []

    def step(value: dict[str, object] | None) -> dict[str, object]:
        if value is None:
            raise DownloadNotFound(download_id)
        changed.append(change(_download_of(path, value)))
        return _document_of(changed[0])

    name = path.relative_to(layout.library).as_posix()
    update_document(path, step, locks=layout.library_locks, lock_name=name, has_backup=False)
    return changed[0]


def discard(library: Path, download_id: str) -> None:
    """Take a download with all that was fetched for it out of the queue for good.

    Raises:
        DownloadNotFound: There is none of that id.
        Unavailable: It could not be taken away; it stays.
    """
    folder = folder_of(library, download_id)
    gone = folder.with_name(f"{folder.name}{_GONE}")
    with system_errors("Removing a download"):
        folder.rename(gone)  # in one step: half of it is never taken for a download
        sync_folder(folder.parent)
    _delete(gone)


def sweep(library: Path) -> None:
    """Delete what `discard` could not finish before its process ended."""
    with suppress(OSError, Unavailable):
        for path in queue_of(library).iterdir():
            if path.name.endswith(_GONE) and _ID.fullmatch(path.name.removesuffix(_GONE)) and not path.is_symlink():
                _delete(path)


def _delete(folder: Path) -> None:
    try:
        shutil.rmtree(folder)  # follows no links
    except OSError as exc:
        logger.warning("the rest of a download stays in %s: %s", folder, exc.strerror)


def _document_of(download: Download) -> dict[str, object]:
    value: dict[str, object] = msgspec.to_builtins(download)
    del value["download_id"]  # the folder's name says it
    return value


def _download_of(path: Path, value: dict[str, object]) -> Download:
    try:
        return msgspec.convert({**value, "download_id": path.parent.name}, Download)
    except msgspec.ValidationError as exc:
        raise Damaged(f"It can't be used: {exc}", path=path) from exc
