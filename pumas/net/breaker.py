"""A circuit: a server that fails again and again is left alone for a while (`library.md` §13).

closed     asked; as many failures in a row as the threshold open it
open       not asked; after the recovery time the next question half-opens it
half_open  a few trials: one success closes it, one failure opens it again
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from pumas.constants import NETWORK_STATUS_CIRCUIT

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class CircuitRule:
    """When a circuit opens and closes."""

    failures: int = int(NETWORK_STATUS_CIRCUIT["failures"])
    recovery_s: float = float(NETWORK_STATUS_CIRCUIT["recovery"])
    trials: int = 1
    """Questions at once while it is half-open."""


CIRCUIT_RULE: Final = CircuitRule()


class Circuit:
    """The circuit of one server; not safe for threads."""

    def __init__(self, rule: CircuitRule, clock: Callable[[], float]) -> None:
        self._rule = rule
        self._clock = clock
        self._opened_at = 0.0
        self._trials = 0
        self.state: State = "closed"
        self.failures = 0
        """In a row."""

    def ask(self) -> bool:
        """Whether the server may be asked; one of the three that follow must tell how it went."""
        if self.state == "open" and self.left_s() <= 0:
            self.state, self._trials = "half_open", 0
        if self.state == "half_open":
            if self._trials >= self._rule.trials:
                return False
            self._trials += 1
        return self.state != "open"

    def succeed(self) -> None:
        """It answered."""
        if self.state != "open":
            self.state, self.failures = "closed", 0

    def fail(self) -> None:
        """It could not be reached, or had a fault."""
        self.failures += 1
        if self.state == "half_open" or (self.state == "closed" and self.failures >= self._rule.failures):
            self.state, self._opened_at = "open", self._clock()

    def give_up(self) -> None:
        """The question was taken back."""
        if self.state == "half_open":
            self._trials = max(0, self._trials - 1)

    def left_s(self) -> float:
        """Seconds until an open circuit may be tried."""
        return max(0.0, self._opened_at + self._rule.recovery_s - self._clock())
