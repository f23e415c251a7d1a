"""The three forms that documents write a time in (`storage.md` §3.3).

    ZULU     2026-01-15T12:34:56.789012Z         UTC; `.789012` is left out when it is zero, in all forms
    OFFSET   2026-01-15T12:34:56.789012+00:00    UTC
    LOCAL    2026-01-15T13:34:56.789012          the time zone of the machine, which is not said

Inside Pumas a time is an aware UTC `datetime`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum


class TimeForm(Enum):
    """How a document writes its times."""

    ZULU = "zulu"
    OFFSET = "offset"
    LOCAL = "local"


def format_time(moment: datetime, form: TimeForm) -> str:
    """Write an aware time in one of the forms."""
    if form is TimeForm.LOCAL:
        return moment.astimezone().replace(tzinfo=None).isoformat()
    text = moment.astimezone(UTC).isoformat()
    return text.removesuffix("+00:00") + "Z" if form is TimeForm.ZULU else text


def dated() -> str:
    """The present moment for the name of a file: `20260115T123456789012Z`, UTC, to the microsecond."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")


def parse_time(value: object, form: TimeForm = TimeForm.ZULU) -> datetime | None:
    """Read a time in any of the forms: one final `Z` is stripped, then it is ISO 8601.

    Args:
        value: What the document holds.
        form: With `LOCAL` a time without a zone is the machine's, else UTC.

    Returns:
        The time in UTC; None for what is no time.
    """
    if not isinstance(value, str):
        return None
    is_utc = value.endswith("Z")
    try:
        moment = datetime.fromisoformat(value.removesuffix("Z"))
        if moment.tzinfo is None and (is_utc or form is not TimeForm.LOCAL):
            return moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):  # no time, or none that the machine's zone can shift
        return None
