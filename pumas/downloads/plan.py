"""What a download takes: the files of a repo at one commit, or one file at a plain address."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from pumas.downloading import DownloadFile, DownloadRequest
from pumas.downloads.choice import check_paths, choose_files
from pumas.errors import InvalidInput, NotFound, shown
from pumas.repos import RepoFiles

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def plan_repo(
    listing: RepoFiles, request: DownloadRequest, *, address: Callable[[str, str, str], str]
) -> tuple[DownloadFile, ...]:
    """The files of a repo that were asked for.

    Args:
        listing: All its files at a commit.
        request: What is wanted of them.
        address: Where a file is, by repo, commit and path.

    Raises:
        NotFound: Nothing fits; "No files available to download." is what the desktop app shows.
        InvalidInput: A file that fits has a name that can't be written.
    """
    known = {file.path: file for file in listing.files}
    chosen = choose_files(
        list(known), quantization=request.quantization, include=request.include, exclude=request.exclude
    )
    if not chosen:
        raise NotFound("No files available to download.")
    check_paths(chosen)
    return tuple(
        DownloadFile(
            path=path,
            url=address(listing.repo_id, listing.commit, path),
            size_bytes=known[path].size_bytes,
            sha256=known[path].sha256,
        )
        for path in chosen
    )


def plan_address(url: str, *, sha256: str | None = None, name: str | None = None) -> DownloadFile:
    """One file at a plain address.

    Args:
        url: `http` or `https`; a user name or password in it is refused, since it would be kept on disk.
        sha256: What its content is to have, 64 hexadecimal digits in any case.
        name: Of the file; else the last part of the address.

    Raises:
        InvalidInput: The address, the digest or the name can't be used.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise InvalidInput(
            f"{shown(url)} is no address; give one that begins with http:// or https://", parameter="url"
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("The address holds a user name or password; leave it out", parameter="url")
    digest = None if sha256 is None else sha256.strip().lower()
    if digest is not None and not _SHA256.fullmatch(digest):
        raise InvalidInput(f"{shown(sha256 or '')} is no SHA-256: that has 64 hexadecimal digits", parameter="sha256")
    path = name or unquote(PurePosixPath(parts.path).name)
    if "/" in path or not path:
        raise InvalidInput("The address ends with no usable name of a file; give one with --name", parameter="name")
    check_paths([path])
    return DownloadFile(path=path, url=url, sha256=digest)
