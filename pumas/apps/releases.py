"""Releases of an app as they were last fetched (`versions.md` §3.2); nothing here asks the network."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache

from pumas.config import APPS
from pumas.errors import PumasError
from pumas.store.launcher_documents import ReleaseCache
from pumas.store.metadata import RELEASES, Document, load, locate
from pumas.store.paths import Layout

logger = logging.getLogger(__name__)


def latest_cached_release(layout: Layout, app_id: str) -> str | None:
    """Tag of the newest release in the cache; None without a cache, or with one that can't be read (D-38)."""
    repo = APPS.get(app_id)
    if repo is None:
        return None
    document = locate(layout, RELEASES, repo)
    try:
        status = document.path.stat()
    except OSError:
        return None
    return _latest_tag(document, status.st_mtime_ns, status.st_size, status.st_ino)


@lru_cache(maxsize=8)
def _latest_tag(document: Document[ReleaseCache], *_: int) -> str | None:
    # PERF: the app asks twice a second, and a list of a thousand releases is megabytes: read again when it has changed.
    try:
        releases: object = load(document).get("releases")
    except PumasError as exc:
        logger.info("the cached release list is not used: %s", exc)
        return None
    first = releases[0] if isinstance(releases, list) and releases else None
    tag = first.get("tag_name") if isinstance(first, Mapping) else None
    return tag if isinstance(tag, str) else None
