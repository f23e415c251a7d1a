"""Operations on the health of a launcher root; what is looked for, and what is repaired, is in `examine`."""

from __future__ import annotations

from pumas.api.imports import ImportOperations
from pumas.models import Finding, Repair


class HealthOperations(ImportOperations):
    """Examine the root, and repair what can be repaired safely; the index by the operations on models."""

    def examine(self) -> tuple[Finding, ...]:
        """What is wrong with the root, problems first; nothing is written.

        What opening the root has settled is not seen any more; `examine_root` sees it.
        """
        from pumas.api.examine import examine_root  # noqa: PLC0415 - 8 ms that only a user who asks pays

        return examine_root(self._root.layout, self._root.config)

    def repair(self) -> tuple[Repair, ...]:
        """Repair what `examine` finds and what can be repaired without a risk.

        What has to go lies in `launcher-data/quarantine` then, and in its log. A repair that fails says so, and
        hinders no other.
        """
        from pumas.api.repair import repair_root  # noqa: PLC0415 - as above

        return repair_root(self._root.layout, self.examine(), lambda: self.rebuild_index().result())
