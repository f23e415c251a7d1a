"""Names of models, families and files as the library writes them, and where a model goes (`library.md` §2).

    {library}/<model type>/<family>/<name>[-N]/<file>

Different names may become one: `v1.5` and `v15`, all that have no Latin letter (L-7). The ids are those of the desktop
app; what tells such models apart is `official_name`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path, PurePosixPath

from pumas.errors import InvalidInput, shown
from pumas.store.names import split_suffix

LONGEST = 128
_LONGEST_BYTES = 255  # of a name, in what file systems take
_DROPPED = re.compile(r"[^A-Za-z0-9_-]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
# Hidden, several folders, or what is ours there.
_NO_FOLDER = re.compile(r"(?s)\..*|.*[/\\:\x00-\x1f\x7f].*|(?i:models|link_registry)\.db.*")


def normalize_name(name: str, *, longest: int = LONGEST, fallback: str = "model") -> str:
    """Drop everything but ASCII letters, digits, `_` and `-`; nothing left gives `fallback`."""
    return (_DROPPED.sub("", name.strip()) or fallback)[:longest]


def normalize_filename(name: str, *, longest: int = LONGEST) -> str:
    """Normalise the last part of a path up to its suffix, which stays as it is; nothing left gives `file`.

    Bytes of a suffix that are no UTF-8 are dropped: no document could name the file.
    """
    stem, suffix = split_suffix(PurePosixPath(name).name)
    suffix = _SURROGATES.sub("", suffix)
    return normalize_name(stem, longest=max(1, longest - len(suffix)) if longest else 0, fallback="file") + suffix


def numbered_paths(path: Path) -> Iterator[Path]:
    """The path, then `<stem>-2<suffix>`, `<stem>-3<suffix>`, …, without end."""
    yield path
    stem, suffix = split_suffix(path.name)
    for number in count(2):
        ending = f"-{number}{suffix}"
        yield path.with_name(_cut(stem, _LONGEST_BYTES - len(os.fsencode(ending))) + ending)


def free_path(path: Path) -> Path:
    """The first of its numbered paths that nothing lies at.

    A link that leads nowhere is something too: who wrote there would write to where it points. Another process may
    take the path before it is used; whoever uses it must not replace what lies there.

    Raises:
        OSError: It can't be told what lies there.
    """
    return next(one for one in numbered_paths(path) if not os.path.lexists(one))


def _cut(stem: str, longest_bytes: int) -> str:
    while len(os.fsencode(stem)) > longest_bytes and len(stem) > 1:
        stem = stem[:-1]
    return stem


def model_folder(library: Path, model_type: str, family: str, name: str) -> Path:
    """Where a model of that type, family and name goes; something may lie there already (`free_path`).

    Args:
        library: The folder of models.
        model_type: One name, used as it is.
        family: Is normalised.
        name: Is normalised.

    Raises:
        InvalidInput: `model_type` is no plain name of a folder: it would lead out of the library, be hidden (L-8), or
            stand where a database belongs.
    """
    if _NO_FOLDER.fullmatch(model_type):
        message = f"The model type {shown(model_type)!r} can't be a folder; use a plain name such as `llm`"
        raise InvalidInput(message, parameter="model_type")
    if len(model_type) > LONGEST or _SURROGATES.search(model_type):
        message = "The model type is too long or no valid text; use a plain name such as `llm`"
        raise InvalidInput(message, parameter="model_type")
    return library / model_type / normalize_name(family) / normalize_name(name)
