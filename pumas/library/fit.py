"""Whether a model of the hub fits: on the drive of the library, and into the memory of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pumas.fitting import Choice, DownloadDetails, Machine
from pumas.library.footprint import (
    Shape,
    longest_context,
    memory_need,
    place_for,
    shape_of_config,
    shape_of_gguf,
)
from pumas.library.runnable import run_together
from pumas.models import Header
from pumas.repos import RepoFile, RepoFiles


@dataclass(frozen=True, slots=True)
class Facts:
    """What headers and the configuration of a repo tell of its model."""

    headers: tuple[Header, ...] = ()
    """Of the shards of one model, in order of their names; empty when one of them can't be read."""
    header_of: str | None = None
    """The file of the first."""
    is_whole: bool = True
    """Whether all shards were read."""
    config: Mapping[str, object] | None = None
    """Its `config.json`, where the header is not all there is."""
    problem: str | None = None

    @property
    def shape(self) -> Shape:
        """What decides how much memory its context takes."""
        if self.headers and self.headers[0].format == "gguf":
            return shape_of_gguf(self.headers[0])
        return shape_of_config(self.config or {})

    @property
    def architecture(self) -> str | None:
        """As the header names it, else the configuration."""
        named = (self.config or {}).get("model_type")
        of_header = self.headers[0].architecture if self.headers else None
        return of_header or (named if isinstance(named, str) else None)

    @property
    def parameter_count(self) -> int | None:
        """Of all shards."""
        counts = [header.parameter_count for header in self.headers]
        known = [count for count in counts if count is not None]
        return sum(known) if self.is_whole and known and len(known) == len(counts) else None


def details_of(
    repo: RepoFiles,
    choices: Sequence[tuple[str | None, Sequence[RepoFile]]],
    facts: Facts,
    machine: Machine,
    *,
    context: int | None = None,
) -> DownloadDetails:
    """Put together what downloading and running a repo takes.

    Args:
        repo: Its files.
        choices: What can be chosen of it, each with the files that it takes.
        facts: Of one of the choices: quantizations of one model differ in their weights only.
        machine: What is free here.
        context: Tokens to be kept while it runs; those that it was made for when not given.
    """
    shape = facts.shape
    first = facts.headers[0] if facts.headers else None
    return DownloadDetails(
        repo_id=repo.repo_id,
        commit=repo.commit,
        is_stale=repo.is_stale,
        choices=tuple(_choice(token, files, shape, machine, context) for token, files in choices),
        machine=machine,
        header_of=facts.header_of,
        format=first.format if first else None,
        architecture=facts.architecture,
        parameter_count=facts.parameter_count,
        quantization=first.quantization if first else None,
        context_length=shape.context_length,
        problem=facts.problem,
    )


def _choice(
    token: str | None, files: Sequence[RepoFile], shape: Shape, machine: Machine, context: int | None
) -> Choice:
    size_bytes = sum(file.size_bytes or 0 for file in files)
    need = memory_need(sum(file.size_bytes or 0 for file in run_together(files)), shape, context)
    gpus = machine.gpu_free_bytes
    return Choice(
        quantization=token,
        size_bytes=size_bytes,
        files=tuple(files),
        is_exact=all(file.size_bytes is not None for file in files),
        fits_drive=size_bytes <= machine.drive_free_bytes,
        need=need,
        place=place_for(need.total_bytes, machine.memory_free_bytes, gpus),
        gpu_context=longest_context(need, shape, max(gpus)) if gpus else None,
        longest_context=longest_context(need, shape, machine.memory_free_bytes + sum(gpus)),
    )
