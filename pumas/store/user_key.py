"""A key of the user's own, outside every library: what is signed with it was written here, by this user.

    {state}/pumas/key     32 random bytes that only their user may read

{state} is the folder that the system has for what programs are to remember, `~/.local/state` on Linux. Whoever loses
the key loses nothing else: what was signed with it is then as foreign as if it came from another computer.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

_KEY_BYTES = 32


def user_key(*, makes: bool = True) -> bytes | None:
    """The key; None where none can be kept, or somebody else may know it.

    Args:
        makes: Whether one is made when there is none.
    """
    import platformdirs  # noqa: PLC0415 - only needed by whoever imports

    path = Path(platformdirs.user_state_dir("pumas", appauthor=False)) / "key"
    try:
        with suppress(FileNotFoundError):
            return _read(path)
        if not makes:
            return None
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(path)
        return _read(path)
    except (OSError, RuntimeError):  # no home
        return None


def sign(key: bytes | None, text: str) -> str:
    """The signature of an ASCII text, HMAC-SHA-256 in hex; empty without a key."""
    return "" if key is None else hmac.digest(key, text.encode("ascii"), "sha256").hex()


def is_signed(key: bytes | None, text: str, signature: object) -> bool:
    """Whether a signature is ours."""
    is_text = isinstance(signature, str) and signature.isascii()
    return key is not None and is_text and hmac.compare_digest(sign(key, text), str(signature))


def _make(path: Path) -> None:
    """Write a key, whole or not at all; one that another process has made meanwhile stays."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()


def _read(path: Path) -> bytes | None:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        state = os.fstat(descriptor)
        is_own = os.name == "nt" or (state.st_uid == os.geteuid() and not state.st_mode & 0o077)
        key = os.read(descriptor, _KEY_BYTES + 1) if stat.S_ISREG(state.st_mode) and is_own else b""
    finally:
        os.close(descriptor)
    return key if len(key) == _KEY_BYTES else None
