"""Which files of the library have some content, by what the documents record; no model is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from pumas.library.recorded import read_recorded


class Duplicates:
    """A look-up by size, then by digest."""

    def __init__(self, documents: Iterable[tuple[str, str]]) -> None:
        self._by_size: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for model_id, text in documents:
            try:
                document = msgspec.json.decode(text)
            except (msgspec.DecodeError, RecursionError, TypeError):
                continue
            for name, file in read_recorded(document).files.items() if isinstance(document, dict) else ():
                if file.size_bytes:
                    self._by_size[file.size_bytes].append((f"{model_id}/{name}", file.sha256 or ""))

    def has_size(self, size_bytes: int) -> bool:
        """Whether a file of the library has this size."""
        return size_bytes in self._by_size

    def find_same(self, size_bytes: int, sha256: str) -> tuple[str, ...]:
        """Files of the library with this content, `<model id>/<file>`."""
        return tuple(name for name, digest in self._by_size.get(size_bytes, ()) if digest == sha256)
