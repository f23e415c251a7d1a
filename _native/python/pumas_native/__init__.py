"""Compiled cores of Pumas; each function says in `_native.pyi` what it promises."""

from pumas_native import errors
from pumas_native._native import (
    CancelToken,
    Changes,
    Digests,
    Headers,
    MetadataColumns,
    Tree,
    __version__,
    build_profile,
    changed_documents,
    fingerprint_files,
    hash_file,
    hash_files,
    hash_kernels,
    read_header,
    read_headers,
    read_metadata_files,
    scan_tree,
)

__all__ = [
    "CancelToken",
    "Changes",
    "Digests",
    "Headers",
    "MetadataColumns",
    "Tree",
    "__version__",
    "build_profile",
    "changed_documents",
    "errors",
    "fingerprint_files",
    "hash_file",
    "hash_files",
    "hash_kernels",
    "read_header",
    "read_headers",
    "read_metadata_files",
    "scan_tree",
]
