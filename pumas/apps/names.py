"""Names that come from outside and go into paths, commands and addresses of apps (`library.md` §14)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_VERSION_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_PACKAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def version_tag(value: object) -> str | None:
    """The tag of a version, without the white space around it; None for what is none."""
    return _matching(_VERSION_TAG, value)


def package_name(value: object) -> str | None:
    """The name of a package or a custom node, without the white space around it; None for what is none."""
    return _matching(_PACKAGE_NAME, value)


def web_address(value: object) -> str | None:
    """An address that begins with http or https and names a host, trimmed; None for what is none."""
    if not isinstance(value, str):
        return None
    address = value.strip()
    try:
        parts = urlsplit(address)
    except ValueError:  # half an IPv6 address
        return None
    return address if parts.scheme in ("http", "https") and parts.netloc else None


def _matching(pattern: re.Pattern[str], value: object) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return text if pattern.fullmatch(text) else None
