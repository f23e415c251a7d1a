"""What of a model is looked up on the hub: the name, the size and the digest of its largest file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pumas.library.recorded import read_recorded
from pumas.library.records import record_of
from pumas.net.hub_names import plain_name

# Names that libraries give to every model's file.
_GENERIC = frozenset({"model", "pytorch_model", "diffusion_pytorch_model", "adapter_model", "consolidated", "weights"})


@dataclass(frozen=True, slots=True)
class Target:
    """One file to look up."""

    filename: str
    """What to search for."""
    path: Path | None = None
    """Where it lies; None for a name alone."""
    size_bytes: int | None = None
    sha256: str | None = None
    """If it is known without reading the file."""


def target_of_file(filename: str, path: Path | None) -> Target:
    """A file, wherever it lies.

    Raises:
        OSError: It can't be looked at.
    """
    return Target(filename) if path is None else Target(filename, path, path.stat().st_size)


def target_of_model(folder: Path, document: Mapping[str, object]) -> Target:
    """The largest file of a model; what it was called before it came into the library says most.

    A digest that the document records counts as long as the file has the size that goes with it.
    """
    model = record_of(folder.name, document)
    primary, name = model.primary_file, model.official_name or folder.name
    if primary is None:
        return Target(f"{name}.bin")  # a name with a dot in it must not lose its end as a suffix
    original = _original_name(document, primary)
    filename = name + PurePosixPath(primary).suffix if plain_name(original).lower() in _GENERIC else original
    try:
        size_bytes = (folder / primary).stat().st_size
    except OSError:
        return Target(filename)  # it is gone: its name is all there is
    recorded = read_recorded(document).of({primary: size_bytes})[primary]
    is_current = recorded.size_bytes in (None, size_bytes)
    return Target(filename, folder / primary, size_bytes, recorded.sha256 if is_current else None)


def _original_name(document: Mapping[str, object], name: str) -> str:
    files = document.get("files")
    entries = (entry for entry in (files if isinstance(files, list) else ()) if isinstance(entry, Mapping))
    found = next((entry.get("original_name") for entry in entries if entry.get("name") == name), None)
    return PurePosixPath(found if isinstance(found, str) and found else name).name
