"""Which of the listed releases are shown, and which is meant (`versions.md` §3.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from packaging.version import InvalidVersion, Version

R = TypeVar("R", bound=Mapping[str, Any])


def collapse(releases: Sequence[R], *, with_prereleases: bool = True) -> list[R]:
    """Keep the highest of each `major.minor`, in the order of the list.

    A tag is read as a version without the letters `v` before it; one that is none is left out. Of equal versions the
    first one stays.
    """
    best: dict[tuple[int, int], tuple[Version, int]] = {}
    for place, release in enumerate(releases):
        version = _version(release.get("tag_name"))
        if version is None or (release.get("prerelease") and not with_prereleases):
            continue
        series = (version.major, version.minor)
        if series not in best or version > best[series][0]:
            best[series] = (version, place)
    return [releases[place] for place in sorted(place for _, place in best.values())]


def newest(releases: Sequence[R]) -> R | None:
    """The first that is no pre-release, else the first; None of none."""
    return next((one for one in releases if not one.get("prerelease")), releases[0] if releases else None)


def tagged(releases: Sequence[R], tag: str) -> R | None:
    """The release of exactly this tag."""
    return next((one for one in releases if one.get("tag_name") == tag), None)


def _version(tag: object) -> Version | None:
    try:
        return Version(tag.lstrip("vV")) if isinstance(tag, str) and len(tag) < 200 else None
    except InvalidVersion:
        return None
