"""Values as people read them. Names come from model documents that anyone may have written, so nothing is trusted."""

from __future__ import annotations

import unicodedata

# Characters that reorder what stands around them: an id could be made to look like another one.
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNWANTED = frozenset({"Cc", "Cs"})  # ESC and its like; halves of surrogate pairs, which no output can encode
_SPACES = frozenset("\t\n\v\f\r\x85\u2028\u2029")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_POWERS = ("", " K", " M", " B", " T")
UNKNOWN = "-"


def clean(text: str, *, keep: str = "") -> str:
    """Make a text harmless for a terminal: one line, no control characters.

    Args:
        text: Anything.
        keep: Control characters that stay.
    """
    if text.isprintable():
        return text
    return "".join(_clean_character(one) if one not in keep else one for one in text)


def _clean_character(character: str) -> str:
    if character in _SPACES:
        return " "
    if character in _BIDI_CONTROLS or unicodedata.category(character) in _UNWANTED:
        return ""
    return character


def shorten(text: str, most: int) -> str:
    """Clean a text and cut it to `most` characters."""
    text = clean(text[: most * 4])
    return text if len(text) <= most else f"{text[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def size_text(size_bytes: int | None) -> str:
    """A size in binary units, `1.5 GiB`; `-` when it is unknown or none that a file can have."""
    if size_bytes is None or not 0 <= size_bytes < 1 << 63:
        return UNKNOWN
    unit = max(0, size_bytes.bit_length() - 1) // 10
    return f"{size_bytes} B" if unit == 0 else f"{size_bytes / (1 << 10 * unit):.1f} {_UNITS[unit]}"


def number_text(count: int | None) -> str:
    """A count as model makers write it: `7.2 B`."""
    if count is None:
        return UNKNOWN
    power = min((len(str(count)) - 1) // 3, len(_POWERS) - 1)
    return str(count) if power == 0 else f"{count / 1000**power:.1f}{_POWERS[power]}"


def date_text(moment: str | None) -> str:
    """The day of an ISO 8601 time as written in a document."""
    return clean(moment[:10]) if moment else UNKNOWN


def count_text(count: int, noun: str) -> str:
    """`1 model`, `2 models`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
