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
from itertools import islice
from pathlib import Path

from pumas.errors import shown
from pumas.library.formats import first_bytes, opened_at_once
from pumas.models import Checkpoint, CheckpointMember, Risk

# Of all pickles of a file together.
_MAX_PICKLE = 16 << 20  # the tensors are not in it; the largest checkpoints have 5 MiB
_MAX_OPERATIONS = 300_000  # a second and 50 MB; a tensor takes 60
_MAX_DIRECTORY = 2 << 20  # 45,000 entries at most; a tensor is one
_MAX_IMPORTS = 100
_CHUNK = 1 << 16
_OLD_PICKLES = 5
_OLD_MAGIC = 0x1950A86A20F9469CFC6C  # the first of them (`torch/serialization.py`)
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
        self._left_operations = _MAX_OPERATIONS
        self._left_bytes = _MAX_PICKLE

    def scan_member(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        """Look through a pickle in an archive."""
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _Unscannable(f"{entry.filename} is packed in a way that PyTorch does not read")
        data = bytearray()
        with archive.open(entry) as file:
            # In steps: what an entry claims of its size is not believed.
            while chunk := file.read(_CHUNK):
                data += chunk
                if len(data) > self._left_bytes:
                    raise _Unscannable(f"its pickles are larger than {_MAX_PICKLE} bytes")
        self._left_bytes -= len(data)
        self._scan_one(io.BytesIO(data), entry.filename)

    def scan_row(self, data: bytes, name: str) -> None:
        """Look through the first pickle of a file, and those behind it that whoever loads an old checkpoint loads."""
        stream = io.BytesIO(data)
        numbers = self._scan_one(stream, name)
        if _OLD_MAGIC not in numbers and not self.imports:
            return  # what follows is never loaded
        for _ in range(1, _OLD_PICKLES):
            if self.reason is not None or stream.tell() >= len(data):
                return
            self._scan_one(stream, name)

    def _scan_one(self, stream: io.BytesIO, name: str) -> frozenset[int]:
        """Look through the pickle that begins here, and go to its end; the numbers in it."""
        start = stream.tell()
        numbers = set()
        operations = pickletools.genops(stream)
        try:
            for _, value, _ in islice(operations, self._left_operations):
                self._left_operations -= 1
                if isinstance(value, int):
                    numbers.add(value)
            if not self._left_operations and next(operations, None) is not None:
                self.reason = f"its pickles have more than {_MAX_OPERATIONS} operations"
        except (ValueError, OverflowError) as exc:
            self.reason = f"{name} is damaged, or goes on after {_MAX_PICKLE} bytes: {exc}"
        # What stands before damage would be called all the same.
        self._take(stream.getbuffer()[start : stream.tell()], name)
        return frozenset(numbers)

    def _take(self, pickle: memoryview, name: str) -> None:
        from picklescan.scanner import SafetyLevel, scan_pickle_bytes  # noqa: PLC0415 - 40 ms that only a pickle pays

        with _quiet():
            try:
                result = scan_pickle_bytes(io.BytesIO(pickle), name, multiple_pickles=False)
            except Exception as exc:  # it reads what anybody may have written
                self.reason = f"the scan of {name} failed: {exc}"
                return
        for found in result.globals:
            if found.safety is not SafetyLevel.Innocuous:
                self.imports.add(shown(f"{found.module}.{found.name}"))
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
        reason = None if self.reason is None else shown(self.reason)
        return Checkpoint(risk=risk, imports=imports, reason=reason, members=members)


def read_names(path: Path) -> tuple[str, ...] | None:
    """Texts in the pickle of a checkpoint, the names of its tensors among them; None for what is no checkpoint.

    Nothing is loaded: the operations that push a text are read off. Of a damaged pickle, or one of more operations
    than are scanned, it is what stands before.

    Raises:
        OSError: The file can't be read.
    """
    if not first_bytes(path, 2).startswith(b"PK"):
        return _texts(io.BytesIO(first_bytes(path, _MAX_PICKLE)), _OLD_PICKLES)
    with _BoundedFile(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                entry = next((one for one in archive.infolist() if one.filename.rpartition("/")[2] == "data.pkl"), None)
                if entry is None or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    return None
                data = bytearray()
                with archive.open(entry) as pickle:
                    while len(data) < _MAX_PICKLE and (chunk := pickle.read(_CHUNK)):
                        data += chunk
                return _texts(io.BytesIO(data), 1)
        except _DAMAGE:
            return None


def _texts(stream: io.BytesIO, pickles: int) -> tuple[str, ...]:
    found: list[str] = []
    left = _MAX_OPERATIONS
    try:
        for _ in range(pickles):
            for operation, value, _ in islice(pickletools.genops(stream), left):
                left -= 1
                if isinstance(value, str) and "UNICODE" in operation.name:
                    found.append(value)
    except (ValueError, OverflowError):
        pass  # what stands before the damage was read
    return tuple(found)


def scan_pickle(path: Path) -> Checkpoint:
    """Look through a file that begins as a pickle.

    Raises:
        OSError: It can't be read.
    """
    findings = _Findings()
    findings.scan_row(first_bytes(path, _MAX_PICKLE), path.name)
    return findings.checkpoint()


def scan_archive(path: Path) -> Checkpoint:
    """List a zip archive and look through the pickles in it.

    Raises:
        OSError: It can't be read.
    """
    with _BoundedFile(path, opener=opened_at_once) as file:
        findings = _Findings()
        members: tuple[CheckpointMember, ...] = ()
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
                members = tuple(CheckpointMember(name=one.filename, size_bytes=one.file_size) for one in entries)
                # Not by name: of two entries with one name either may be loaded.
                for entry in entries:
                    if entry.filename.lower().endswith(_PICKLES):
                        findings.scan_member(archive, entry)
        except _DAMAGE as exc:
            findings.reason = str(exc) or type(exc).__name__
        return findings.checkpoint(members)


_DAMAGE = (_Unscannable, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
"""What zipfile raises for archives that are damaged, encrypted, or packed in ways it doesn't know; OSError for places
before the beginning."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep picklescan from logging what is told as a result."""
    log = logging.getLogger("picklescan")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
