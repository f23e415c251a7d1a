"""Constants, and what the environment may change of them.

The environment is read here only, by `Config.from_env`, at the edge of a program; a `Config` is then passed down.
Numbers that the original backend had are in `pumas.constants`; those here are our own bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pumas.constants import GITHUB_API_BASE, GITHUB_REPO, RELEASES_OLLAMA_REPO
from pumas.errors import InvalidInput

DEFAULT_HOST: Final = "127.0.0.1"  # rpc.listen
DEFAULT_PORT: Final = 0  # 0 = any free one

# Our own bounds: a request, a document, a query can't cost more than this.
MAX_BODY_BYTES: Final = 8 * 1024 * 1024
MAX_BATCH: Final = 100  # requests in one batch
MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024  # a hub card with everything in it stays below 1 MiB
MAX_READ_BYTES: Final = 32 * 1024 * 1024  # documents held in memory at once while the index is made
MAX_DOCUMENT_DEPTH: Final = 100  # levels of nesting; SQLite's JSON functions take 1000
MAX_QUERY_CHARACTERS: Final = 10_000
MAX_QUERY_WORDS: Final = 256
MAX_FILTER_VALUES: Final = 100  # types or tags of one search; each tag costs a look at every hit
MAX_SEARCH_LIMIT: Final = 10_000  # `limit` of a search (methods.json)

REFRESH_AGE_S: Final = 2.0  # a list asked for sooner after a refresh does not begin another

JOB_WAIT_S: Final = 50.0  # the client gives up on a call after 60 s
JOB_WORKERS: Final = 4  # long operations at once
LONG_CALLS: Final = 8  # server threads that may wait for jobs at once, of SERVER_THREADS
LONG_CALL_WAIT_S: Final = 5.0  # for one of them to become free
LONG_CALLS_WAITING: Final = 22  # threads that wait for that at once: the client's 30 calls fit, and 2 stay free
SERVER_THREADS: Final = 32
SHUTDOWN_S: Final = 0.8  # jobs have reached a safe point by then, or are left to the next start

MAX_WAIT_S: Final = 60.0  # longest wait between two tries of one request
_SANDBOXES: Final = frozenset({"FLATPAK_ID", "SNAP", "APPIMAGE"})

APPS: Final = MappingProxyType({"comfyui": GITHUB_REPO, "ollama": RELEASES_OLLAMA_REPO})


@dataclass(frozen=True, slots=True)
class Config:
    """What a user may set through the environment; every field can be given as `PUMAS_<NAME>`.

    Some can also be given by a name that other programs know; ours comes first.
    """

    launcher_root: Path | None = None  # the folder that holds `launcher-data` and `shared-resources`
    cache_dir: Path | None = None  # where caches go that can't lie in the root; default: the user's cache folder
    token: str | None = field(default=None, repr=False)  # needed by a server that listens off loopback
    allowed_origins: tuple[str, ...] = ()  # exact origins that a page may call from, comma-separated
    allowed_hosts: tuple[str, ...] = ()  # names accepted in the Host header besides loopback ones
    max_body_bytes: int = MAX_BODY_BYTES  # larger requests are refused with 413
    github_api_base: str = GITHUB_API_BASE
    github_raw_base: str = "https://raw.githubusercontent.com"
    github_web_base: str = "https://github.com"
    github_token: str | None = field(default=None, repr=False, metadata={"known": ("GITHUB_TOKEN",)})
    hub_base: str = field(default="https://huggingface.co", metadata={"known": ("HF_ENDPOINT",)})
    hub_token: str | None = field(default=None, repr=False, metadata={"known": ("HF_TOKEN",)})
    package_index: str | None = None  # None = what pip itself is configured with
    comfyui_port: int = 8188  # launch.server_url
    ollama_port: int = 11434
    watch: bool = True  # have the system tell of changes in the library; if not, look for them now and then
    scan_interval_s: int = 30  # between two such looks
    open_browser: bool = True
    python: str = "python3"  # install.global_required_python
    offline: bool = False  # ask nothing of the network
    retry_base_s: float = field(default=2.0, metadata={"known": ("PUMAS_RETRY_BASE",)})  # first wait before a new try
    # Proxies as other programs are told of them; they may hold a password.
    http_proxy: str | None = field(default=None, repr=False, metadata={"known": ("http_proxy", "HTTP_PROXY")})
    https_proxy: str | None = field(default=None, repr=False, metadata={"known": ("https_proxy", "HTTPS_PROXY")})
    all_proxy: str | None = field(default=None, repr=False, metadata={"known": ("all_proxy", "ALL_PROXY")})
    no_proxy: tuple[str, ...] = field(default=(), metadata={"known": ("no_proxy", "NO_PROXY")})  # hosts without proxy
    ssl_cert_file: Path | None = field(default=None, metadata={"known": ("SSL_CERT_FILE",)})  # authorities to trust
    sandbox: frozenset[str] = frozenset()  # names of variables by which sandboxes show themselves, and that are set

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Config:
        """Read `PUMAS_*` variables and the known names; an empty one counts as not set.

        Raises:
            InvalidInput: A value has the wrong form; the message names the variable.
        """
        if environ is None:
            import os  # noqa: PLC0415 - the one place that looks at the real environment

            environ = os.environ
        given: dict[str, object] = {"sandbox": _SANDBOXES.intersection(environ)}
        for entry in fields(cls):
            if entry.name in given:
                continue
            for name in (f"PUMAS_{entry.name.upper()}", *entry.metadata.get("known", ())):
                text = environ.get(name, "").strip()
                if text:
                    given[entry.name] = _parse(name, text, str(entry.type))
                    break
        return replace(cls(), **given)  # type: ignore[arg-type] # each value was parsed by its field's type


def expanded(path: Path) -> Path:
    """The path with `~` replaced.

    Raises:
        InvalidInput: There is no such user.
    """
    try:
        return path.expanduser()
    except RuntimeError as exc:
        raise InvalidInput(f"{path} can't be used: there is no such user on this machine") from exc


def _parse(name: str, text: str, kind: str) -> object:
    if kind.startswith("Path"):
        return expanded(Path(text))
    if kind.startswith("tuple"):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind == "int":
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise InvalidInput(f"{name} must be a whole number, not {text!r}", parameter=name)
        return int(text)
    if kind == "float":
        return _parse_seconds(name, text)
    if kind == "bool":
        lowered = text.lower()
        if lowered not in ("0", "1", "true", "false", "yes", "no", "on", "off"):
            raise InvalidInput(f"{name} must be 1 or 0, not {text!r}", parameter=name)
        return lowered in ("1", "true", "yes", "on")
    return text


def _parse_seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_WAIT_S:
        raise InvalidInput(f"{name} must be a number of seconds from 0 to {MAX_WAIT_S:g}, not {text!r}", parameter=name)
    return seconds
