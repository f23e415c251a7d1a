"""The user's own token of the hub: where other programs of the hub keep it. It is never logged and never written."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from urllib.parse import urlsplit

from pumas.config import Config

logger = logging.getLogger(__name__)

_TOKEN = re.compile(r"[!-~]{1,1000}")  # what may stand in a header
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def hub_token(config: Config) -> str | None:
    """The token for the hub, or None.

    It is `HF_TOKEN`, else what huggingface_hub finds: the file that `hf auth login` writes, with sign-ins that it
    renews by itself. Over an open connection a token goes to this machine only.
    """
    if config.offline or not _is_safe(config.hub_base):
        return None
    token = config.hub_token or _kept_token()
    if token is not None and not _TOKEN.fullmatch(token):
        logger.warning("the token of the hub is not used: it holds characters that no token has")
        return None
    return token


def _is_safe(base: str) -> bool:
    parts = urlsplit(base)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


def _kept_token() -> str | None:
    from huggingface_hub import constants  # noqa: PLC0415 - for whoever asks the hub

    # PERF: most users have none, and `get_token` loads a second HTTP client: 65 ms of a search (bench_hub).
    if not Path(constants.HF_TOKEN_PATH).is_file():
        return None
    from huggingface_hub import get_token  # noqa: PLC0415 - as above
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415 - as above

    try:
        return get_token()
    except (OSError, ValueError, RuntimeError, HfHubHTTPError) as exc:
        # Renewing a sign-in may fail in many ways; the class is enough to tell, a text could hold the token.
        logger.warning("the token of the hub can't be read (%s); the hub is asked without one", type(exc).__name__)
        return None
