"""Pickles, alone or in a zip archive of PyTorch: listed and looked through, never loaded.

    NAME.pt    zip: NAME/data.pkl (the pickle), NAME/data/0, 1, … (the tensors), NAME/version; TorchScript has more
    NAME.pt    before PyTorch 1.6: five pickles in a row, then the tensors
    NAME.pkl   one pickle

Loading a pickle calls whatever it names. `picklescan` knows what is harmless and what does harm; it holds every
operation in memory, so a pickle is handed to it only once its operations were counted.
"""

from __future__ import annotations

import io
import logging
import pickletools
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pumas.library.formats import first_bytes
from pumas.models import Checkpoint, CheckpointMember, Risk

_MAX_PICKLE = 16 << 20  # the tensors are not in it; the largest checkpoints have 5 MiB
_MAX_OPERATIONS = 400_000  # half a second and 60 MB; a tensor takes 60
_MAX_DIRECTORY = 2 << 20  # 45,000 entries at most; a tensor is one
_MAX_IMPORTS = 100
_CHUNK = 1 << 16
_LEGACY_PICKLES = 5
_PICKLES = (".pkl", ".pickle")


class _Unscannable(Exception):
    """A pickle can't be looked through; the text says why."""


class _BoundedFile(io.FileIO):
    """A file that gives a reader no more at once than a directory may have: zipfile would take any size."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = _MAX_DIRECTORY + 1
        elif size > _MAX_DIRECTORY:
            raise _Unscannable(f"its directory is larger than {_MAX_DIRECTORY} bytes")
        return super().read(size) or b""


class _Findings:
    """What the pickles of a file would import, and why not all of them were scanned."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.is_dangerous = False
        self.reason: str | None = None

    def scan(self, data: bytes, name: str, *, most: int) -> None:
        """Look through up to `most` pickles in a row; what follows the first may be anything."""
        stream = io.BytesIO(data)
        left = _MAX_OPERATIONS
        for number in range(most):
            start = stream.tell()
            try:
                left -= _count_operations(stream, left)
            except _Unscannable as exc:
                if number > 0:
                    return  # the tensors of an old checkpoint
                self.reason = str(exc)
            self._take(data[start : stream.tell()], name)
            if self.reason is not None or stream.tell() >= len(data):
                return

    def _take(self, pickle: bytes, name: str) -> None:
        from picklescan.scanner import SafetyLevel, scan_pickle_bytes  # noqa: PLC0415 - 20 ms that only a pickle pays

        with _quiet():
            try:
                result = scan_pickle_bytes(io.BytesIO(pickle), name, multiple_pickles=False)
            except Exception as exc:  # it reads what anybody may have written
                self.reason = f"the scan of {name} failed: {exc}"
                return
        for found in result.globals:
            if found.safety is not SafetyLevel.Innocuous:
                self.imports.add(f"{found.module}.{found.name}")
            self.is_dangerous = self.is_dangerous or found.safety is SafetyLevel.Dangerous

    def checkpoint(self, members: tuple[CheckpointMember, ...] = ()) -> Checkpoint:
        """The record of it all."""
        risk: Risk = "none"
        if self.is_dangerous:
            risk = "dangerous"
        elif self.reason is not None:
            risk = "unknown"
        elif self.imports:
            risk = "suspicious"
        imports = tuple(sorted(self.imports)[:_MAX_IMPORTS])
        return Checkpoint(risk=risk, imports=imports, reason=self.reason, members=members)


def scan_pickle(path: Path) -> Checkpoint:
    """Look through a file that begins as a pickle.

    Raises:
        OSError: It can't be read.
    """
    findings = _Findings()
    findings.scan(first_bytes(path, _MAX_PICKLE), path.name, most=_LEGACY_PICKLES)
    return findings.checkpoint()


def scan_archive(path: Path) -> Checkpoint:
    """List a zip archive and look through the pickles in it.

    Raises:
        OSError: It can't be read.
    """
    with _BoundedFile(path) as file:
        findings = _Findings()
        members: tuple[CheckpointMember, ...] = ()
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
                members = tuple(CheckpointMember(name=one.filename, size_bytes=one.file_size) for one in entries)
                # Not by name: of two entries with one name either may be loaded.
                for entry in entries:
                    if entry.filename.lower().endswith(_PICKLES):
                        findings.scan(_member(archive, entry), entry.filename, most=1)
        except _DAMAGE as exc:
            findings.reason = str(exc) or type(exc).__name__
        return findings.checkpoint(members)


_DAMAGE = (_Unscannable, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
"""What zipfile raises for archives that are damaged, encrypted, or packed in ways it doesn't know; OSError for places
before the beginning."""


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    data = bytearray()
    with archive.open(entry) as file:
        # In steps: what an entry claims of its size is not believed.
        while chunk := file.read(_CHUNK):
            data += chunk
            if len(data) > _MAX_PICKLE:
                raise _Unscannable(f"{entry.filename} is larger than {_MAX_PICKLE} bytes")
    return bytes(data)


def _count_operations(stream: io.BytesIO, most: int) -> int:
    """Go to the end of the pickle that begins here; how many operations it has."""
    count = 0
    try:
        for _ in pickletools.genops(stream):
            count += 1
            if count > most:
                raise _Unscannable(f"a pickle has more than {_MAX_OPERATIONS} operations")
    except (ValueError, OverflowError) as exc:
        raise _Unscannable(f"a pickle is damaged or goes on after {_MAX_PICKLE} bytes: {exc}") from exc
    return count


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep picklescan from logging what is told as a result."""
    log = logging.getLogger("picklescan")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
