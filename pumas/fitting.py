"""Records of whether a model of the hub fits: on the drive, and into the memory of this machine."""

from __future__ import annotations

from typing import Literal

from pumas.models import Record
from pumas.repos import RepoFile

Place = Literal["gpu", "gpus", "split", "memory", "nowhere"]
"""Where a model has room now, the fastest place: on one GPU, on several together, partly on GPUs and partly in memory,
in memory alone, or nowhere."""


class MemoryNeed(Record, frozen=True, kw_only=True):
    """How much memory running a model takes, estimated (`pumas.library.footprint` has the formula)."""

    weights_bytes: int
    context: int | None
    """Tokens that the cache is for; None for a model that keeps none, or of which that is not known."""
    cache_bytes: int
    """Keys and values of `context` tokens."""
    overhead_bytes: int
    total_bytes: int


class Choice(Record, frozen=True, kw_only=True):
    """One thing to download of a repo: the files of a quantization with those that go with each, or all files."""

    quantization: str | None
    """As `downloadOptions` of a search name it; None for the repo as a whole."""
    size_bytes: int
    """Of all files whose size is known."""
    files: tuple[RepoFile, ...]
    is_exact: bool
    """Whether the size of every file is known."""
    fits_drive: bool
    need: MemoryNeed
    place: Place
    gpu_context: int | None
    """Most tokens with which it has room on one GPU; None where there is no GPU, or `need.context` is None."""
    longest_context: int | None
    """Most tokens with which it has room at all; None where `need.context` is."""


class Machine(Record, frozen=True, kw_only=True):
    """What is free on this machine."""

    drive_free_bytes: int
    """Of the drive with the library."""
    memory_free_bytes: int
    gpu_free_bytes: tuple[int, ...]
    """Of each GPU."""


class DownloadDetails(Record, frozen=True, kw_only=True):
    """What downloading a repo of the hub takes, and whether this machine can run it."""

    repo_id: str
    commit: str
    """Of the files that are listed."""
    is_stale: bool = False
    """The hub could not be asked now: it answered so before."""
    choices: tuple[Choice, ...]
    machine: Machine
    header_of: str | None = None
    """The file whose header was read; None when none could be, see `problem`."""
    format: str | None = None
    architecture: str | None = None
    parameter_count: int | None = None
    quantization: str | None = None
    """As the header says."""
    context_length: int | None = None
    """Tokens that the model was made for."""
    problem: str | None = None
    """Why there is no header."""
