"""Operations that tell whether a model of the hub fits here."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pumas.api.root import LauncherRoot
from pumas.errors import AccessRefused, InvalidInput, NotFound, PumasError, shown
from pumas.fitting import DownloadDetails, Machine
from pumas.jobs import Job, Progress
from pumas.models import Header
from pumas.repos import RepoFile, RepoFiles
from pumas.system.resources import disk_space

if TYPE_CHECKING:
    from pumas.library.fit import Facts

logger = logging.getLogger(__name__)

_CONFIG = "config.json"
_MOST_CONFIG_BYTES = 1 << 20
_MOST_TOKENS = 1 << 30
_MOST_SHARDS = 64  # whose headers are read; of more, only the first


class FitOperations:
    """What downloading a model takes, and whether this machine can run it."""

    _root: LauncherRoot

    def get_hf_download_details(
        self, repo_id: str, quantization: str | None = None, *, revision: str = "main", context: int | None = None
    ) -> Job[DownloadDetails]:
        """Tell the exact bytes of what can be downloaded of a repo, and the memory that running it would take.

        Args:
            repo_id: `owner/name` on the hub.
            quantization: Only this one, such as `q4_k_m`; else all, and the repo as a whole.
            revision: A branch, a tag or a commit.
            context: Tokens to be kept while it runs; those that it was made for when not given.

        Returns:
            The job. It fails with `NotFound` when there is no such repo, or it does not have the quantization, and with
            `NetworkError` when the hub can't be asked. A header that can't be read is the `problem` of the details;
            then the memory is that of the weights and the runtime.

        Raises:
            InvalidInput: `context` is out of range.
        """
        if context is not None and not 0 < context <= _MOST_TOKENS:
            raise InvalidInput(f"`context` must be a number of tokens from 1 to {_MOST_TOKENS}", parameter="context")

        def work(progress: Progress) -> DownloadDetails:
            from pumas.library.fit import details_of  # noqa: PLC0415 - for whoever asks

            repo = self._root.hub.repo_files(repo_id, revision)
            progress.check()
            choices = _choices(repo, quantization)
            facts = self._facts(repo, choices[0][1], progress) if choices else _no_facts("the repo holds no model")
            return details_of(repo, choices, facts, self._machine(), context=context)

        return self._root.jobs.submit("download_details", work, is_remote=True)

    def _facts(self, repo: RepoFiles, files: Sequence[RepoFile], progress: Progress) -> Facts:
        """What the header of the largest model among files tells, and the repo's configuration."""
        from pumas.library.fit import Facts  # noqa: PLC0415 - as above
        from pumas.library.runnable import main_set  # noqa: PLC0415
        from pumas.net.remote_headers import RemoteFile, read_remote_headers  # noqa: PLC0415

        shards = [file for file in main_set(files) if file.path.lower().endswith((".gguf", ".safetensors"))]
        if not shards:
            return _no_facts("it has no GGUF or safetensors file")
        if not all(file.size_bytes for file in shards):
            return _no_facts("the hub does not tell the sizes of its files")
        is_whole = len(shards) <= _MOST_SHARDS
        shards = shards if is_whole else shards[:1]
        hub = self._root.hub
        remote = [
            RemoteFile(file.path, hub.file_request(repo.repo_id, repo.commit, file.path), file.size_bytes or 0)
            for file in shards
        ]
        headers = read_remote_headers(self._root.http, remote, check=progress.check)
        problem = next((_told(repo, one) for one in headers if isinstance(one, PumasError)), None)
        return Facts(
            headers=tuple(one for one in headers if isinstance(one, Header)) if problem is None else (),
            header_of=shards[0].path if problem is None else None,
            is_whole=is_whole,
            config=self._config_of(repo),
            problem=problem,
        )

    def _config_of(self, repo: RepoFiles) -> Mapping[str, object] | None:
        """The `config.json` of a repo; None when there is none that can be used."""
        from pumas.net.http import json_of  # noqa: PLC0415 - as above

        if not any(file.path == _CONFIG for file in repo.files):
            return None
        request = self._root.hub.file_request(repo.repo_id, repo.commit, _CONFIG)
        try:
            config = json_of(self._root.http.fetch(replace(request, max_bytes=_MOST_CONFIG_BYTES)))
        except PumasError as exc:
            logger.info("the configuration of %s is not used: %s", repo.repo_id, exc)
            return None
        return config if isinstance(config, Mapping) else None

    def _machine(self) -> Machine:
        load = self._root.resources.sample()
        return Machine(
            drive_free_bytes=disk_space(self._root.layout.library).free_bytes,
            memory_free_bytes=int(load.ram_total_bytes * (1 - load.ram_used_percent / 100)),
            gpu_free_bytes=tuple(gpu.total_bytes - gpu.used_bytes for gpu in load.gpus),
        )


def _choices(repo: RepoFiles, quantization: str | None) -> list[tuple[str | None, list[RepoFile]]]:
    """What can be downloaded of a repo, each with its files.

    Raises:
        NotFound: The one that is asked for is not among them.
    """
    from pumas.downloads.choice import choose_files  # noqa: PLC0415 - for whoever asks
    from pumas.library.runnable import is_weights  # noqa: PLC0415 - as above
    from pumas.net.quantizations import normalized, quantizations  # noqa: PLC0415

    by_path = {file.path: file for file in repo.files}
    tokens = quantizations(filter(is_weights, by_path))
    wanted: list[str | None] = [*tokens, None]
    if quantization is not None:
        wanted = [token] if (token := normalized(quantization)) else []
    chosen = [(token, choose_files(list(by_path), quantization=token)) for token in wanted]
    found = [(token, [by_path[path] for path in paths]) for token, paths in chosen if paths]
    if quantization is not None and not found:
        offered = ", ".join(tokens) or "none"
        raise NotFound(f"{repo.repo_id} has no files of the quantization {shown(quantization)!r}; it has {offered}")
    return found


def _told(repo: RepoFiles, error: PumasError) -> str:
    """Why a header can't be read; of a repo that this user may not read, what to do about it."""
    from pumas.net.hub import refusal_of  # noqa: PLC0415 - for whoever asks

    return str(refusal_of(repo.repo_id, repo.commit, error) if isinstance(error, AccessRefused) else error)


def _no_facts(problem: str) -> Facts:
    from pumas.library.fit import Facts  # noqa: PLC0415 - for whoever asks

    return Facts(problem=problem)
