"""Names of files: their suffix, and which NTFS and Windows take (`library.md` §2.1); other drives take nearly all."""

from __future__ import annotations

_RESERVED_CHARACTERS = frozenset('<>:"/\\|?*')
_RESERVED_STEMS = frozenset(
    {"CON", "PRN", "AUX", "NUL", *(f"{device}{number}" for device in ("COM", "LPT") for number in range(1, 10))}
)


def split_suffix(name: str) -> tuple[str, str]:
    """Stem and suffix of a name: a dot at the beginning or the end starts none (pathlib before Python 3.14)."""
    at = name.rfind(".")
    return (name[:at], name[at:]) if 0 < at < len(name) - 1 else (name, "")


def is_ntfs_name(name: str) -> bool:
    """Whether a file of that name can exist on an NTFS drive."""
    if not name or name.endswith((".", " ")) or not _RESERVED_CHARACTERS.isdisjoint(name):
        return False
    return split_suffix(name)[0].upper() not in _RESERVED_STEMS


def ntfs_name(name: str, *, replacement: str = "_") -> str:
    """The nearest name that can: reserved characters replaced, dots and spaces at the end dropped."""
    name = "".join(replacement if one in _RESERVED_CHARACTERS else one for one in name).rstrip(". ")
    stem, suffix = split_suffix(name)
    if not stem:
        return f"file{suffix}"
    return f"_{name}" if stem.upper() in _RESERVED_STEMS else name
