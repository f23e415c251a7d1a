"""When a request is made again, and how long is waited before it (`library.md` §13, `versions.md` §3.1)."""

from __future__ import annotations

import random
from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_before_delay

from pumas.config import MAX_WAIT_S
from pumas.constants import DOWNLOAD_RETRY_STATUSES, RELEASES_PAGE_ATTEMPTS
from pumas.errors import CircuitOpen, NetworkError

PATIENCE_S = 10.0  # longest wait that a server may ask for and get; with more it is left alone
TOTAL_S = 45.0  # no try begins later than this after the first: the client gives up on a call after 60 s


def is_retried_status(status: int) -> bool:
    """Whether a server that answers so may answer otherwise soon."""
    return status in DOWNLOAD_RETRY_STATUSES


def wait_s(attempt: int, *, base_s: float, factor: float, cap_s: float = MAX_WAIT_S) -> float:
    """Seconds to wait after a try, without jitter: `min(cap, base · factor^attempt)`.

    Args:
        attempt: Number of the try that failed, from 0.
        base_s: Wait after the first one.
        factor: How much longer each wait is than the one before.
        cap_s: Longest wait.
    """
    try:
        return min(cap_s, base_s * factor**attempt)
    except OverflowError:
        return cap_s


def retrying(base_s: float, count_retry: Callable[[], None]) -> AsyncRetrying:
    """Three tries; waits of `base`, `base²` plus up to half of `base`, or what the server asks for.

    Args:
        base_s: The first wait.
        count_retry: Called before each wait.
    """

    def wait(state: RetryCallState) -> float:
        planned = wait_s(state.attempt_number - 1, base_s=base_s, factor=base_s)
        planned += random.uniform(0.0, base_s / 2)  # noqa: S311 - spreads requests, hides nothing
        return max(planned, _asked_for(state) or 0.0)

    return AsyncRetrying(
        retry=retry_if_exception(_is_retried),
        stop=stop_after_attempt(RELEASES_PAGE_ATTEMPTS) | stop_before_delay(TOTAL_S),
        wait=wait,
        before_sleep=lambda _: count_retry(),
        reraise=True,
    )


def _is_retried(error: BaseException) -> bool:
    if not isinstance(error, NetworkError) or isinstance(error, CircuitOpen):
        return False
    asked_for = error.retry_after_s
    return asked_for <= PATIENCE_S if asked_for is not None else error.is_passing


def _asked_for(state: RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome is not None else None
    return error.retry_after_s if isinstance(error, NetworkError) else None
