"""Every error that Pumas raises on purpose.

    PumasError
    ├── InvalidInput (ValueError)      the caller gave something that can't be used
    │   └── UnusableRoot               the launcher root can't be opened
    ├── NotFound (LookupError)         what was asked for does not exist
    │   ├── ModelNotFound
    │   ├── JobNotFound
    │   ├── DownloadNotFound
    │   ├── NotOnServer                a server that was asked does not have it
    │   └── RepoNotFound               the hub has no such repo or revision, or does not show it
    ├── Conflict                       something else stands in the way
    │   └── PortInUse
    ├── Damaged                        a document or database on disk can't be read as what it is
    ├── Unavailable (OSError)          it can't be done now: read-only, busy, gone
    │   ├── RepoRefused                the hub does not let this user read a repo
    │   └── NetworkError               a server can't be reached, or does not answer as it should
    │       ├── Offline                nothing is asked of the network
    │       ├── CircuitOpen            the server failed too often, it is left alone for a while
    │       ├── RateLimited            the server wants to be asked later
    │       ├── AccessRefused          the server wants a token, or another one
    │       └── BadAnswer              the answer is not what it should be
    ├── NoSpace (OSError)              the drive is full
    ├── Cancelled                      the work was asked to end, and did
    └── NativeFailure                  a fault inside the native code

Each class has a `kind` (unique, for machines), the JSON-RPC `code` of its root and the `exit_code` of the command
line. A message has two halves: what was wrong, and what to do. Facts are in fields, never to be parsed out of text.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import ClassVar


class PumasError(Exception):
    """Root of all errors of Pumas; `str(error)` is a sentence for people."""

    kind: ClassVar[str] = "error"
    code: ClassVar[int] = -32603
    exit_code: ClassVar[int] = 1


class InvalidInput(PumasError, ValueError):
    """The caller gave something that can't be used; nothing was changed.

    Attributes:
        parameter: Name of the offending parameter, if one can be named.
    """

    kind = "invalid_input"
    code = -32602
    exit_code = 2

    def __init__(self, message: str, *, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


class UnusableRoot(InvalidInput):
    """The launcher root can't be opened."""

    kind = "unusable_root"


class NotFound(PumasError, LookupError):
    """What was asked for does not exist."""

    kind = "not_found"
    exit_code = 3


class ModelNotFound(NotFound):
    """There is no model of that id in the library."""

    kind = "model_not_found"

    def __init__(self, model_id: str) -> None:
        super().__init__("Model not found")
        self.model_id = model_id


class JobNotFound(NotFound):
    """There is no job of that id, or it ended too long ago."""

    kind = "job_not_found"

    def __init__(self, job_id: str) -> None:
        super().__init__("Job not found")
        self.job_id = job_id


class NotOnServer(NotFound):
    """A server that was asked does not have it."""

    kind = "not_on_server"

    def __init__(self, host: str) -> None:
        super().__init__(f"{shown(host)} does not have what was asked for; check the name")
        self.host = host


class DownloadNotFound(NotFound):
    """There is no download of that id."""

    kind = "download_not_found"

    def __init__(self, download_id: str) -> None:
        super().__init__("Download not found")
        self.download_id = download_id


class RepoNotFound(NotFound):
    """The hub has no such repo or revision, or does not show it to this user."""

    kind = "repo_not_found"

    def __init__(self, repo_id: str, message: str) -> None:
        super().__init__(message)
        self.repo_id = repo_id


class Conflict(PumasError):
    """Something else stands in the way."""

    kind = "conflict"
    exit_code = 4


class PortInUse(Conflict):
    """Another program listens on the port."""

    kind = "port_in_use"
    exit_code = 2

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"Port {port} on {host} is already in use; stop the other program or choose another --port")
        self.port = port


class Damaged(PumasError):
    """A document or database on disk can't be read as what it is.

    Attributes:
        path: The damaged file.
    """

    kind = "damaged"
    exit_code = 5

    def __init__(self, message: str, *, path: Path) -> None:
        super().__init__(message)
        self.path = path


class Unavailable(PumasError, OSError):
    """It can't be done now: read-only, busy, gone."""

    kind = "unavailable"
    exit_code = 6


class RepoRefused(Unavailable):
    """The hub does not let this user read a repo: it is gated, or the token is wrong."""

    kind = "repo_refused"

    def __init__(self, repo_id: str, message: str) -> None:
        super().__init__(message)
        self.repo_id = repo_id


class NetworkError(Unavailable):
    """A server can't be reached, or does not answer as it should.

    Attributes:
        host: Name of the server.
        is_passing: Whether it may go another time.
        retry_after_s: Seconds until the server wants to be asked again; None when it did not say.
    """

    kind = "network"

    def __init__(self, host: str, reason: str, *, is_passing: bool = True, retry_after_s: float | None = None) -> None:
        super().__init__(f"{shown(host)} {reason}")
        self.host = host
        self.is_passing = is_passing
        self.retry_after_s = retry_after_s


class Offline(NetworkError):
    """Pumas was told to ask nothing of the network."""

    kind = "offline"

    def __init__(self, host: str) -> None:
        super().__init__(host, "is not asked: Pumas works offline (PUMAS_OFFLINE)", is_passing=False)


class CircuitOpen(NetworkError):
    """The server failed too often; it is left alone for a while."""

    kind = "circuit_open"

    def __init__(self, host: str, retry_after_s: float) -> None:
        reason = f"failed several times in a row and is not asked now; try again in {ceil(retry_after_s)} seconds"
        super().__init__(host, reason, is_passing=False, retry_after_s=retry_after_s)


class RateLimited(NetworkError):
    """The server was asked too often and wants to be left alone for a while."""

    kind = "rate_limited"

    def __init__(self, host: str, retry_after_s: float | None) -> None:
        later = "later" if retry_after_s is None else f"in {ceil(retry_after_s)} seconds"
        super().__init__(host, f"was asked too often; try again {later}", is_passing=False, retry_after_s=retry_after_s)


class AccessRefused(NetworkError):
    """The server wants a token, or one with more rights.

    Attributes:
        status: 401 or 403.
        error_code: What the server calls the reason (`X-Error-Code`), if it names one.
    """

    kind = "access_refused"

    def __init__(self, host: str, status: int, *, error_code: str | None = None) -> None:
        reason = f"refuses access (status {status}); it wants a token, or one with more rights"
        super().__init__(host, reason, is_passing=False)
        self.status = status
        self.error_code = error_code


class BadAnswer(NetworkError):
    """The answer is not what it should be: too large, no JSON, a refused redirect, an unexpected status.

    Attributes:
        status: Of the answer, when that is what is wrong.
    """

    kind = "bad_answer"

    def __init__(self, host: str, reason: str, *, status: int | None = None) -> None:
        super().__init__(host, reason, is_passing=False)
        self.status = status


class NoSpace(PumasError, OSError):
    """The drive is full; what was begun was undone."""

    kind = "no_space"
    exit_code = 6


class Cancelled(PumasError):
    """The work was asked to end, and did, at a safe point."""

    kind = "cancelled"
    exit_code = 130


class NativeFailure(PumasError):
    """A fault inside the native code."""

    kind = "native_failure"
    exit_code = 70


# The exception classes of the original backend (`system.md` §16) and what says the same here.
ORIGINAL_CLASSES: dict[str, type[PumasError]] = {
    "InstallationError": PumasError,
    "DependencyError": PumasError,
    "NetworkError": NetworkError,
    "ValidationError": InvalidInput,
    "MetadataError": Damaged,
    "ProcessError": PumasError,
    "ResourceError": Unavailable,
    "CancellationError": Cancelled,
}


def shown(name: str) -> str:
    """A name that came from outside, short enough for a message, and such that any output can encode it."""
    return (name if len(name) <= 100 else f"{name[:100]}…").encode("utf-8", "backslashreplace").decode()


@contextmanager
def system_errors(doing: str) -> Iterator[None]:
    """Turn an OSError into one of ours: `doing` says in a few words what was tried."""
    try:
        yield
    except PumasError:
        raise
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(f"The drive is full: {doing} was not possible; free some space and try again") from exc
        if exc.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise Unavailable(f"There is no permission: {doing} was not possible") from exc
        reason = exc.strerror or type(exc).__name__
        raise Unavailable(f"{doing} failed: {reason}") from exc


@contextmanager
def native_errors() -> Iterator[None]:
    """Turn what `pumas_native` raises into ours, most specific first."""
    from pumas_native import errors as native  # noqa: PLC0415 - keeps `import pumas.errors` free of native code

    try:
        yield
    except native.Cancelled as exc:
        raise Cancelled("The work was cancelled") from exc
    except native.ScanFailed as exc:
        raise Unavailable(f"The folder can't be listed: {exc}") from exc
    except (native.NativeError, native.InvalidArgument) as exc:
        raise NativeFailure(f"{exc}; this is a fault of Pumas, please report it") from exc
