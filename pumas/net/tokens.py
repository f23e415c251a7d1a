"""What can be a token, and where one may be sent. A token is never logged and never written."""

from __future__ import annotations

import logging
import re
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)

_TOKEN = re.compile(r"[!-~]{1,1000}")  # what may stand in a header
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def may_be_sent(base: str) -> bool:
    """Whether a server may get a token: over an open connection only one on this machine."""
    try:
        parts = urlsplit(base)
    except ValueError:  # half an IPv6 address
        return False
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


def checked_token(token: str | None, *, name: str) -> str | None:
    """The token, if it can be one; `name` is how a warning calls it."""
    if token is not None and not _TOKEN.fullmatch(token):
        logger.warning("%s is not used: it holds characters that no token has", name)
        return None
    return token
