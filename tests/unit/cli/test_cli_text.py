from __future__ import annotations

import pytest

from pumas.cli.text import clean, count_text, date_text, shorten, size_text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "-"),
        (-1, "-"),
        (10**400, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**3 - 1, "1024.0 MiB"),
        (1024**3, "1.0 GiB"),
        (2**62, "4.0 EiB"),
    ],
)
def test_sizes_are_in_binary_units(size_bytes, text):
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ("plain", "plain"),
        ("模型 Möbel 👩\u200d🔬", "模型 Möbel 👩\u200d🔬"),
        ("a\x1b[2Jb", "a[2Jb"),
        ("a\nb\r\nc\td", "a b  c d"),
        ("a\x07\x00\x7f\x9bb", "ab"),
        ("a\u202eb\u2066c", "abc"),
        ("a\ud800b", "ab"),
        ("a\u2028b", "a b"),
    ],
)
def test_cleaned_text_is_one_harmless_line(given, cleaned):
    assert clean(given) == cleaned


def test_cleaning_keeps_what_it_is_told_to():
    assert clean("a\n\x1bb\t", keep="\n") == "a\nb "


def test_long_text_is_cut_visibly():
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"


def test_a_date_is_the_day_as_written():
    assert date_text("2024-07-23T10:00:00Z") == "2024-07-23"
    assert date_text(None) == "-"


def test_one_is_not_a_plural():
    assert [count_text(number, "hit") for number in (0, 1, 2)] == ["0 hits", "1 hit", "2 hits"]
