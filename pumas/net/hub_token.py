"""The user's own token of the hub: where other programs of the hub keep it. It is never logged and never written."""

from __future__ import annotations

import logging
import os.path

from pumas.config import Config
from pumas.net.tokens import checked_token, may_be_sent

logger = logging.getLogger(__name__)


def hub_token(config: Config) -> str | None:
    """The token for the hub, or None.

    It is `HF_TOKEN`, else what huggingface_hub finds: the file that `hf auth login` writes, with sign-ins that it
    renews by itself. Over an open connection a token goes to this machine only.
    """
    if config.offline or not may_be_sent(config.hub_base):
        return None
    return checked_token(config.hub_token or _kept_token(), name="the token of the hub")


def _kept_token() -> str | None:
    from huggingface_hub import constants  # noqa: PLC0415 - for whoever asks the hub

    # PERF: most users have none, and `get_token` loads a second HTTP client: 65 ms of a search (bench_hub).
    if not os.path.isfile(constants.HF_TOKEN_PATH):  # noqa: PTH113 - never raises, as `Path.is_file` does
        return None
    from huggingface_hub import get_token  # noqa: PLC0415 - as above
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415 - as above

    try:
        return get_token()
    except (OSError, ValueError, RuntimeError, HfHubHTTPError) as exc:
        # Renewing a sign-in may fail in many ways; the class is enough to tell, a text could hold the token.
        logger.warning("the token of the hub can't be read (%s); the hub is asked without one", type(exc).__name__)
        return None
