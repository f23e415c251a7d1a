"""What is asked of the hub, as addresses.

    GET {base}/api/models?search=TEXT&author=OWNER&filter=TAG&limit=N&full=True   a listing, in the hub's own order
    GET {base}/api/models/REPO/revision/REVISION                                  one repo
    GET {base}/api/models/REPO/tree/COMMIT?recursive=True&expand=False            its files
    GET {base}/REPO/resolve/COMMIT/FILE                                           one file

A list that goes on names its next page in a `Link` header. Mirrors name the original hub there, so only the `cursor` is
taken from it: the next page is asked of the same server, and a token goes nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qs, quote, urlencode, urlsplit

_NEXT = re.compile(r'<([^<>]{1,8192})>\s*;[^,<>]*\brel="?next"?', re.IGNORECASE)


def listing_url(base: str, text: str, *, author: str | None, tag: str | None, limit: int, cursor: str | None) -> str:
    """Address of one page of a search; an empty text finds all."""
    query = {"search": text, "author": author, "filter": tag, "limit": str(limit), "full": "True", "cursor": cursor}
    return f"{base}/api/models?{_query(query)}"


def repo_url(base: str, repo_id: str, revision: str) -> str:
    """Address of what is said of one repo."""
    return f"{base}/api/models/{repo_id}/revision/{quote(revision, safe='')}"


def tree_url(base: str, repo_id: str, revision: str, cursor: str | None) -> str:
    """Address of one page of a repo's files."""
    query = _query({"recursive": "True", "expand": "False", "cursor": cursor})
    return f"{base}/api/models/{repo_id}/tree/{quote(revision, safe='')}?{query}"


def file_url(base: str, repo_id: str, revision: str, path: str) -> str:
    """Address of one file."""
    return f"{base}/{repo_id}/resolve/{quote(revision, safe='')}/{quote(path)}"


def next_cursor(headers: Mapping[str, str]) -> str | None:
    """What names the next page; None on the last one. Header names are in lower case."""
    match = _NEXT.search(headers.get("link", ""))
    if match is None:
        return None
    try:
        cursors = parse_qs(urlsplit(match[1]).query).get("cursor")
    except ValueError:
        return None
    return cursors[0] if cursors else None


def _query(fields: Mapping[str, str | None]) -> str:
    return urlencode({name: value for name, value in fields.items() if value})
