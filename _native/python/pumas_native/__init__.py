"""Compiled cores of Pumas; each function says in `_native.pyi` what it promises."""

from pumas_native import errors
from pumas_native._native import (
    CancelToken,
    MetadataColumns,
    Tree,
    __version__,
    build_profile,
    read_metadata_files,
    scan_tree,
)

__all__ = [
    "CancelToken",
    "MetadataColumns",
    "Tree",
    "__version__",
    "build_profile",
    "errors",
    "read_metadata_files",
    "scan_tree",
]
