from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pumas.store.times import TimeForm, format_time, parse_time

_MOMENT = datetime(2026, 1, 15, 12, 34, 56, 789012, UTC)


@pytest.mark.parametrize(
    ("moment", "form", "text"),
    [
        (_MOMENT, TimeForm.ZULU, "2026-01-15T12:34:56.789012Z"),
        (_MOMENT.replace(microsecond=0), TimeForm.ZULU, "2026-01-15T12:34:56Z"),
        (_MOMENT, TimeForm.OFFSET, "2026-01-15T12:34:56.789012+00:00"),
        (_MOMENT.astimezone(timezone(timedelta(hours=2))), TimeForm.ZULU, "2026-01-15T12:34:56.789012Z"),
        (_MOMENT.astimezone(timezone(timedelta(hours=2))), TimeForm.OFFSET, "2026-01-15T12:34:56.789012+00:00"),
    ],
)
def test_times_are_written_and_read(moment, form, text):
    assert format_time(moment, form) == text
    for any_form in TimeForm:
        assert parse_time(text, any_form) == moment


def test_local_times_have_the_zone_of_the_machine():
    text = format_time(_MOMENT, TimeForm.LOCAL)
    assert text == _MOMENT.astimezone().strftime("%Y-%m-%dT%H:%M:%S.%f")
    assert parse_time(text, TimeForm.LOCAL) == _MOMENT


@pytest.mark.parametrize("value", [None, 5, "", "Z", "yesterday", "2026-13-01T00:00:00Z", ["2026-01-15"], "\ud800"])
def test_what_is_no_time(value):
    for form in TimeForm:
        assert parse_time(value, form) is None


def test_the_ends_of_time_are_no_reason_to_stop():
    for text in ("0001-01-01T00:00:00", "9999-12-31T23:59:59.999999", "0001-01-01T00:00:00+23:59"):
        for form in TimeForm:
            parse_time(text, form)
