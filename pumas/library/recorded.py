"""What a model's document says of its files' content, and how what was found differs from it.

`storage.md` §4.2: `files[].sha256` and `files[].blake3` are digests of one file, `hashes` are those of the largest
model file; once written, none of them is ever replaced. `files[].declared_sha256` is what a hub said of the file, which
is another matter: both are compared. `files[].mtime_ns` is the file's time when its digests were recorded: with it,
rot can be told from an edit though the cache is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pumas.library.known import History, Known
from pumas.library.records import is_model_file
from pumas.models import VerifyFinding, VerifyKind

_DIGEST = re.compile(r"[0-9a-f]{64}")

_WHAT: dict[VerifyKind, str] = {
    "rotten": "its content changed though nobody wrote it: drive or memory may be failing; restore it from its source",
    "edited": "it was written since its digest was recorded; if that was not meant, restore it from its source",
    "differs": "its content is not what was recorded, and it can't be told whether it was written or has rotted",
    "not_as_declared": "its content is not what the hub declared; download it again",
    "missing": "the document names it, but it is not there",
    "extra": "the document does not name it",
}


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """What a document says of one file; None for what it does not say, or not in a form that can be used."""

    name: str
    size_bytes: int | None = None
    mtime_ns: int | None = None
    sha256: str | None = None
    blake3: str | None = None
    declared_sha256: str | None = None

    @property
    def has_digest(self) -> bool:
        """Whether a digest was computed of it."""
        return self.sha256 is not None or self.blake3 is not None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a document says of a model's files."""

    files: dict[str, RecordedFile]
    largest: RecordedFile
    """The digests of the largest model file, whose name is not said (`hashes`)."""
    preview: str

    def of(self, sizes: Mapping[str, int]) -> dict[str, RecordedFile]:
        """What is said of each file that is there; `sizes` has its bytes by name."""
        said = {name: self.files.get(name) or RecordedFile(name) for name in sizes}
        largest = self._largest(sizes)
        if len(largest) == 1 and largest[0] in said and not said[largest[0]].has_digest:
            said[largest[0]] = replace(said[largest[0]], sha256=self.largest.sha256, blake3=self.largest.blake3)
        return said

    def _largest(self, sizes: Mapping[str, int]) -> list[str]:
        """The files that `hashes` may be about: several when they have one size."""
        recorded = {one.name: one.size_bytes for one in self.files.values() if one.size_bytes is not None}
        sized = {name: size for name, size in (recorded or sizes).items() if is_model_file(name)}
        most = max(sized.values(), default=0)
        return [name for name, size in sized.items() if size == most]

    def unlike_largest(self, known: Mapping[str, Known]) -> tuple[str, str, str] | None:
        """Name, expected and found digest, if `hashes` are those of none of the files that they may be about."""
        names = self._largest({name: one.size_bytes for name, one in known.items()})
        if not names or not all(name in known for name in names):
            return None
        wrong = [_wrong_digest(self.largest, known[name]) for name in names]
        return (names[0], *wrong[0]) if wrong[0] is not None and None not in wrong else None


def read_recorded(document: Mapping[str, object]) -> Recorded:
    """Take out of a document what it says of files; wrong forms count as nothing said."""
    files: dict[str, RecordedFile] = {}
    listed = document.get("files")
    for entry in listed if isinstance(listed, list) else ():
        name = entry.get("name") if isinstance(entry, Mapping) else None
        if isinstance(name, str) and name and name not in files:
            files[name] = _recorded_file(name, entry)
    hashes = document.get("hashes")
    preview = document.get("preview_image")
    return Recorded(
        files,
        largest=_recorded_file("", hashes if isinstance(hashes, Mapping) else {}),
        preview=preview if isinstance(preview, str) else "",
    )


def _recorded_file(name: str, entry: Mapping[str, object]) -> RecordedFile:
    return RecordedFile(
        name,
        size_bytes=_number(entry.get("size")),
        mtime_ns=_number(entry.get("mtime_ns")),
        sha256=_digest(entry.get("sha256")),
        blake3=_digest(entry.get("blake3")),
        declared_sha256=_digest(entry.get("declared_sha256")),
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _digest(value: object) -> str | None:
    text = value.strip().lower() if isinstance(value, str) else ""
    return text if _DIGEST.fullmatch(text) else None


Content = Known | OSError
"""What was found: what is known of a file's content, or why it can't be read."""


def differences(
    model_id: str, recorded: Recorded, said: Mapping[str, RecordedFile], contents: Mapping[str, Content | None]
) -> Iterator[VerifyFinding]:
    """Compare the files of a model with its document.

    Args:
        model_id: The model.
        recorded: What its document says.
        said: The same of each file that is there (`Recorded.of`).
        contents: What was found, by the same names; None for what was not looked into.
    """
    for name in recorded.files:
        if name not in contents:
            yield _finding("missing", model_id, name)
    told = set()
    for name, content in contents.items():
        if recorded.files and name not in recorded.files and name != recorded.preview:
            yield _finding("extra", model_id, name)
        elif isinstance(content, OSError):
            reason = content.strerror or type(content).__name__
            yield _finding("unreadable", model_id, name, what=f"it can't be read: {reason}")
        elif content is not None and (finding := _difference(model_id, said[name], content)) is not None:
            told.add(name)
            yield finding
    known = {name: one for name, one in contents.items() if isinstance(one, Known)}
    unlike = recorded.unlike_largest(known)
    if unlike is not None and unlike[0] not in told:
        yield _finding("differs", model_id, unlike[0], expected=unlike[1], found=unlike[2])


def _difference(model_id: str, said: RecordedFile, content: Known) -> VerifyFinding | None:
    wrong = _wrong_digest(said, content)
    if wrong is not None:
        return _finding(_kind(said, content), model_id, said.name, expected=wrong[0], found=wrong[1])
    if not said.has_digest and content.history is History.ROTTEN:
        return _finding("rotten", model_id, said.name)
    if not said.has_digest and said.size_bytes not in (None, content.size_bytes):
        what = f"it has {content.size_bytes} bytes, the document says {said.size_bytes}"
        return _finding("edited", model_id, said.name, what=what)
    found = content.sha256.hex()
    if said.declared_sha256 not in (None, found):
        return _finding("not_as_declared", model_id, said.name, expected=said.declared_sha256, found=found)
    return None


def _wrong_digest(said: RecordedFile, content: Known) -> tuple[str, str] | None:
    """The first digest that is not as recorded, and what it is."""
    for expected, found in ((said.sha256, content.sha256.hex()), (said.blake3, content.blake3.hex())):
        if expected is not None and expected != found:
            return expected, found
    return None


def _kind(said: RecordedFile, content: Known) -> Literal["rotten", "edited", "differs"]:
    """How content that is not as recorded came to be so."""
    if content.history is not History.FIRST:
        return "rotten" if content.history is History.ROTTEN else "edited"
    if said.size_bytes not in (None, content.size_bytes):
        return "edited"
    if said.mtime_ns is None:
        return "differs"
    return "rotten" if said.mtime_ns == content.mtime_ns else "edited"


def _finding(
    kind: VerifyKind,
    model_id: str,
    name: str,
    *,
    what: str | None = None,
    expected: str | None = None,
    found: str | None = None,
) -> VerifyFinding:
    path = f"{model_id}/{name}"
    return VerifyFinding(
        kind=kind, model_id=model_id, path=path, what=what or _WHAT[kind], expected=expected, found=found
    )
