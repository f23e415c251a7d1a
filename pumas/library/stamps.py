"""Models of which a verification found all in order: none of them is looked into as long as its stamp stays.

table `digests`   path_key("")   36 bytes a model: path_key(model id), its stamp (`inventory`), number of its files
                                 that were looked at, u32 LE
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from struct import Struct
from typing import Final

from pumas.store.cache import Cache, Table, path_key

STAMPS_KEY: Final = path_key("")  # no file has it
_ROW = Struct("<16s16sI")

Stamp = tuple[bytes, int]
"""The stamp and the number of files."""


def recall_stamps(cache: Cache) -> dict[bytes, Stamp]:
    """The stamps that are kept, by the keys of the models' ids."""
    return _unpack(cache.get(Table.DIGESTS, STAMPS_KEY))


def keep_stamps(cache: Cache, found: Mapping[str, Stamp | None], models: Collection[str]) -> None:
    """Keep the stamps of models, in place of those that were kept of them; of others that are there, these stay.

    Args:
        cache: The library's.
        found: By model id; None for one that is not in order.
        models: All ids that there are.
    """
    fresh = {path_key(model_id): stamp for model_id, stamp in found.items()}
    there = {path_key(model_id) for model_id in models}

    def merged(kept: bytes | None) -> bytes:
        rows = {**_unpack(kept), **fresh}
        return b"".join(_ROW.pack(key, *stamp) for key, stamp in rows.items() if stamp is not None and key in there)

    before = cache.get(Table.DIGESTS, STAMPS_KEY)
    if merged(before) != (before or b""):
        # What another verification keeps meanwhile is not lost.
        cache.update(Table.DIGESTS, STAMPS_KEY, merged)


def _unpack(kept: bytes | None) -> dict[bytes, Stamp]:
    rows = kept or b""
    whole = len(rows) - len(rows) % _ROW.size
    return {key: (stamp, count) for key, stamp, count in _ROW.iter_unpack(rows[:whole])}
