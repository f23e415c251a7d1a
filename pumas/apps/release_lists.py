"""Release lists: answered from the cache at once, fetched in the background (`versions.md` §3.2 to §3.4).

A list call never waits for the network. What is old is fetched anew meanwhile, for every app (D-13); a fetch that
fails, or brings something that is no list or an empty one, leaves the cache as it is (D-10, D-11).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from pumas.apps.releases import CachedReleases, cached_releases, now
from pumas.config import APPS, MAX_DOCUMENT_BYTES, Config
from pumas.constants import GITHUB_RELEASES_TTL_SEC
from pumas.errors import BadAnswer, Cancelled, NetworkError, NotFound, PumasError, RateLimited
from pumas.jobs import Job, JobPool, Progress
from pumas.net.github import Page, fetch_releases
from pumas.net.http import HttpClient, host_of
from pumas.store.launcher_documents import ReleasePages
from pumas.store.metadata import RELEASE_PAGES, RELEASES, load, locate, save, update
from pumas.store.paths import Layout
from pumas.store.times import TimeForm, format_time
from pumas.upstream import ReleaseCacheStatus, ReleaseList

logger = logging.getLogger(__name__)

_RETRY_S: Final = 60.0  # between two fetches in the background of which the first failed
# Indentation makes a list of releases up to half as large again.
_MOST_BYTES: Final = MAX_DOCUMENT_BYTES // 2


class ReleaseLists:
    """The release lists of one root; safe for threads.

    Args:
        layout: Where the caches lie.
        config: Which server, and the token.
        http: Asks it.
        jobs: Runs the fetches.
        clock: The time of day.
    """

    def __init__(
        self, layout: Layout, config: Config, http: HttpClient, jobs: JobPool, *, clock: Callable[[], datetime] = now
    ) -> None:
        self._layout = layout
        self._config = config
        self._http = http
        self._jobs = jobs
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[str, Job[ReleaseList]] = {}
        self._not_before: dict[str, float] = {}
        self._unsaved: dict[str, CachedReleases] = {}
        self._has_fetched = False

    def listed(self, app_id: str) -> ReleaseList:
        """The cached list, at once; one that is due is fetched anew in the background.

        Raises:
            NotFound: There is no such app.
        """
        repo = _repo(app_id)
        cached = self._cached(repo)
        if cached.is_due(self._clock()):
            self._refresh(app_id)
        return self._answer(cached)

    def fetch(self, app_id: str) -> Job[ReleaseList]:
        """Ask for the list now; one fetch that is under way already is joined.

        Returns:
            The job. When there is no answer that can be used, its result is the cached list with the reason in
            `error`; without a cache the job fails with that reason.

        Raises:
            NotFound: There is no such app.
        """
        repo = _repo(app_id)
        with self._lock:
            running = self._running.get(repo)
            if running is not None and not running.is_ended:
                return running
            job = self._jobs.submit("fetch_releases", lambda progress: self._fetched(repo, progress), is_remote=True)
            self._running[repo] = job
            return job

    def refresh_due(self) -> None:
        """Fetch in the background what is due, of every app; for the start of a server."""
        for app_id, repo in APPS.items():
            if self._cached(repo).is_due(self._clock()):
                self._refresh(app_id)

    def status(self, app_id: str) -> ReleaseCacheStatus:
        """How old the cached list is; nothing is known of an app that does not exist."""
        repo = APPS.get(app_id)
        if repo is None:
            return ReleaseCacheStatus()
        cached = self._cached(repo)
        with self._lock:
            running = self._running.get(repo)
        is_fetching = running is not None and not running.is_ended
        if not cached.releases:
            return ReleaseCacheStatus(is_fetching=is_fetching)
        return ReleaseCacheStatus(
            has_cache=True,
            is_valid=cached.is_valid(self._clock()),
            age_s=cached.age_s(self._clock()),
            last_fetched=cached.last_fetched,
            release_count=len(cached.releases),
            is_fetching=is_fetching,
        )

    @property
    def has_fetched(self) -> bool:
        """Whether a list really came from the server since `forget_fetched`, or since the start."""
        return self._has_fetched

    def forget_fetched(self) -> None:
        """Begin to wait for the next list."""
        self._has_fetched = False

    def _refresh(self, app_id: str) -> None:
        if self._config.offline or time.monotonic() < self._not_before.get(_repo(app_id), 0.0):
            return
        try:
            self.fetch(app_id)
        except Cancelled:  # Pumas is shutting down
            return

    def _fetched(self, repo: str, progress: Progress) -> ReleaseList:
        cached = self._cached(repo)
        try:
            pages = fetch_releases(
                self._http, self._config, repo, self._known(repo, cached), cancel=progress.cancel_token
            )
            releases = [dict(one) for page in pages for one in page.releases]
            if not releases and cached.releases:
                raise BadAnswer(
                    host_of(self._config.github_api_base), "lists no releases any more; the old list is kept"
                )
        except Cancelled:
            raise
        except PumasError as exc:
            retry_after_s = exc.retry_after_s if isinstance(exc, NetworkError) else None
            self._not_before[repo] = time.monotonic() + max(_RETRY_S, retry_after_s or 0.0)
            if not cached.releases:
                raise
            logger.warning("the release list of %s is the cached one: %s", repo, exc)
            return self._answer(cached, exc)
        self._keep(repo, releases, pages)
        self._has_fetched = True
        return self._answer(self._cached(repo))

    def _keep(self, repo: str, releases: Sequence[dict[str, Any]], pages: Sequence[Page]) -> None:
        fetched = format_time(self._clock(), TimeForm.ZULU)
        kept = _fitting(releases)
        if len(kept) < len(releases):
            logger.warning("only the newest %d of %d releases of %s are kept", len(kept), len(releases), repo)
        try:
            save(
                locate(self._layout, RELEASES, repo),
                {"lastFetched": fetched, "ttl": GITHUB_RELEASES_TTL_SEC, "releases": kept},
            )
            marks: ReleasePages = {
                "lastFetched": fetched,
                "pages": [{"etag": page.etag, "count": len(page.releases), "isFull": page.is_full} for page in pages],
            }
            update(locate(self._layout, RELEASE_PAGES), lambda value: {**value, repo: marks})
            self._unsaved.pop(repo, None)
        except PumasError as exc:
            logger.warning("the release list of %s is kept for this run only: %s", repo, exc)
            self._unsaved[repo] = CachedReleases(tuple(kept), fetched, float(GITHUB_RELEASES_TTL_SEC))

    def _cached(self, repo: str) -> CachedReleases:
        return self._unsaved.get(repo) or cached_releases(self._layout, repo)

    def _known(self, repo: str, cached: CachedReleases) -> list[Page]:
        """The pages of the cached list, as far as their marks belong to it."""
        try:
            marks: object = load(locate(self._layout, RELEASE_PAGES)).get(repo)
            pages = msgspec.convert(marks, _Marks)
        except (PumasError, msgspec.ValidationError):
            return []
        if pages.last_fetched != cached.last_fetched or sum(one.count for one in pages.pages) != len(cached.releases):
            return []
        known: list[Page] = []
        begin = 0
        for one in pages.pages:
            known.append(Page(cached.releases[begin : begin + one.count], one.etag, one.is_full))
            begin += one.count
        return known

    def _answer(self, cached: CachedReleases, error: PumasError | None = None) -> ReleaseList:
        return ReleaseList(
            releases=cached.releases,
            last_fetched=cached.last_fetched,
            age_s=cached.age_s(self._clock()),
            is_stale=error is not None or not cached.is_valid(self._clock()),
            error=None if error is None else str(error),
            is_rate_limited=isinstance(error, RateLimited),
            retry_after_s=error.retry_after_s if isinstance(error, NetworkError) else None,
        )


class _Mark(msgspec.Struct, rename="camel"):
    etag: str | None
    count: Annotated[int, msgspec.Meta(ge=0)]
    is_full: bool


class _Marks(msgspec.Struct, rename="camel"):
    last_fetched: str
    pages: list[_Mark]


def _repo(app_id: str) -> str:
    repo = APPS.get(app_id)
    if repo is None:
        raise NotFound(f"There is no app {app_id[:50]!r}; there are {', '.join(APPS)}")
    return repo


def _fitting(releases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many of the newest as a document can hold."""
    size = 0
    for n, release in enumerate(releases):
        size += len(msgspec.json.encode(release))
        if size > _MOST_BYTES:
            return list(releases[:n])
    return list(releases)
