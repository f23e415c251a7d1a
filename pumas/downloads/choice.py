"""Which files of a repo a download takes (`library.md` §8.3), and which names of files are refused.

A repo's list of files is what strangers wrote: each name is checked before anything is made of it. Names stay as they
are in the repo, folders too (L-34), so what can't be a file everywhere is refused, not renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

from pumas.errors import InvalidInput, shown
from pumas.net.quantizations import has_token, normalized
from pumas.net.quantizations import quantization as quantization_of
from pumas.store.metadata import IN_MODEL
from pumas.store.names import is_ntfs_name

LONGEST_NAME_BYTES: Final = 255
LONGEST_PATH_BYTES: Final = 1024  # below the folder of the model; Linux takes 4,096 for the whole
DEEPEST: Final = 32

_LEFT_OUT = (".md", ".txt", ".gitattributes")
# Tokenizers and configurations go along with each quantization; the original forgets those after the dash (L-32).
_SHARED = (".json", ".yml", ".yaml", ".vocab", ".merges", *(".model", "vocab.txt", "merges.txt"))
_PROJECTOR = "mmproj"  # what a vision model of llama.cpp needs beside its weights
_BEST_PROJECTORS = ("f16", "fp16", "bf16", "q8_0", "f32", "fp32")
_WORK = (".part", ".part.journal")


def choose_files(
    paths: Sequence[str], *, quantization: str | None = None, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> list[str]:
    """The files of a repo that a download takes, in the order of the repo.

    Args:
        paths: All files of the repo, `/` between their parts.
        quantization: Take the files that name it and those that all need; `q4` also means each `q4_*`.
        include: Patterns (`*`, `?`, `[abc]`) of whole paths or of last names; given, only what fits one is taken, texts
            too.
        exclude: Patterns of what is left out in any case.

    Returns:
        Nothing when no file of the quantization is there, however many would go along with it.
    """
    if include:
        chosen = [path for path in paths if _fits(path, include)]
    else:
        chosen = [path for path in paths if _is_shared(path) or not path.lower().endswith(_LEFT_OUT)]
        token = normalized(quantization or "")
        if token:
            chosen = _of_quantization(chosen, token)
    return [path for path in chosen if not _fits(path, exclude)]


def belongs_to(path: str, token: str) -> bool:
    """Whether a file names a quantization, or goes along with each."""
    return has_token(normalized(path), normalized(token)) or _is_shared(path)


def _of_quantization(paths: Sequence[str], token: str) -> list[str]:
    if not any(has_token(normalized(path), token) and not _is_projector(path) for path in paths):
        return []
    chosen = {path for path in paths if belongs_to(path, token) and not _is_projector(path)}
    projectors = [path for path in paths if _is_projector(path)]
    if projectors:
        chosen.add(min(projectors, key=lambda path: _projector_rank(path, token)))
    return [path for path in paths if path in chosen]


def _is_shared(path: str) -> bool:
    return path.lower().endswith(_SHARED)


def _is_projector(path: str) -> bool:
    return _PROJECTOR in path.rpartition("/")[2].lower()


def _projector_rank(path: str, token: str) -> int:
    own = quantization_of(path)
    if own == token:
        return 0
    return 1 + (_BEST_PROJECTORS.index(own) if own in _BEST_PROJECTORS else len(_BEST_PROJECTORS))


def _fits(path: str, patterns: Iterable[str]) -> bool:
    name = path.rpartition("/")[2]
    return any(fnmatchcase(path, pattern) or fnmatchcase(name, pattern) for pattern in patterns)


def check_paths(paths: Sequence[str]) -> None:
    """Refuse files that could be written elsewhere, over each other, or not on every drive.

    Raises:
        InvalidInput: Names the first of them; `exclude` lets the others be downloaded.
    """
    files: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        why = _fault(path) or _collision(path, files, folders)
        if why is not None:
            raise InvalidInput(
                f"The repo's file {shown(path)!r} {why}; nothing was downloaded. Leave it out with --exclude",
                parameter="exclude",
            )


def _fault(path: str) -> str | None:
    parts = path.split("/")
    if not path or len(parts) > DEEPEST or len(path.encode("utf-8", "surrogatepass")) > LONGEST_PATH_BYTES:
        return "has no usable name"
    if any(part in ("", ".", "..") for part in parts):
        return "leads out of its folder"
    for part in parts:
        if any(ord(one) < 32 or ord(one) == 127 or "\ud800" <= one <= "\udfff" for one in part):
            return "has control characters or broken text in its name"
        if len(part.encode()) > LONGEST_NAME_BYTES - max(map(len, _WORK)):
            return "has too long a name"
        if not is_ntfs_name(part):
            return "has a name that not every drive takes"
    if parts[-1].lower() in IN_MODEL or parts[-1].lower().endswith(_WORK) or parts[0].startswith(".pumas"):
        return "has the name of a document of the library"
    return None


def _collision(path: str, files: set[str], folders: set[str]) -> str | None:
    """Whether a path is, without case, that of another file, or a folder where that is a file."""
    folded = path.casefold()
    above = {folded[:at] for at, one in enumerate(folded) if one == "/"}
    if folded in files or folded in folders or not files.isdisjoint(above):
        return "has the name of another one"
    files.add(folded)
    folders |= above
    return None
