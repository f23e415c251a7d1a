"""Records of downloads: what is wanted, which files it takes, how far it is."""

from __future__ import annotations

from typing import Literal

from pumas.models import Record

DownloadStatus = Literal["queued", "downloading", "paused", "cancelling", "cancelled", "completed", "error"]

ENDED: frozenset[DownloadStatus] = frozenset({"cancelled", "completed", "error"})


class DownloadFile(Record, frozen=True, kw_only=True):
    """One file that a download takes."""

    path: str
    """In the repo and in the model's folder, `/` between parts."""
    url: str
    size_bytes: int | None = None
    sha256: str | None = None
    """Declared by the hub, or by whoever asked; lower-case hex."""


class DownloadRequest(Record, frozen=True, kw_only=True):
    """What somebody wants to have downloaded."""

    repo_id: str
    """`owner/name` on the hub; of a plain address its host."""
    revision: str = "main"
    quantization: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    family: str = "unknown"
    official_name: str = ""
    model_type: str | None = None
    subtype: str = ""


class Download(Record, frozen=True, kw_only=True):
    """One download, as its document says."""

    download_id: str
    """40 hexadecimal digits."""
    request: DownloadRequest
    commit: str | None = None
    """Of the repo, 40 hexadecimal digits: what was listed is what is fetched, whatever is pushed meanwhile."""
    files: tuple[DownloadFile, ...] = ()
    created_at: str
    """ISO 8601, UTC."""
    status: DownloadStatus = "queued"
    reason: str = ""
    """Why it failed, waits or was paused; one sentence."""
    priority: int = 0
    """Higher ones begin first; of equal ones the older."""
    attempts: int = 0
    """Failed ones in a row."""
    retry_at: str | None = None
    """Not before this moment, ISO 8601, UTC; a clock that is set back delays it by no more than the wait itself."""
    model_id: str | None = None
    """What it became."""

    @property
    def total_bytes(self) -> int:
        """Of all files whose size is known."""
        return sum(file.size_bytes or 0 for file in self.files)

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will happen unless it is retried."""
        return self.status in ENDED
