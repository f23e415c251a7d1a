"""Answers about what the hub knows: of a file, of a model, and of whether a repo fits."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from pumas.fitting import DownloadDetails
from pumas.matched import HubMatch, Lookup, ModelLookup
from pumas.rpc.responses import Response


class HFMetadataLookupResult(Struct, frozen=True, kw_only=True):
    """The repo that a file most likely came from, with the names of the desktop app."""

    repo_id: str
    official_name: str
    family: str
    model_type: str
    subtype: str
    variant: str
    precision: str
    tags: tuple[str, ...]
    base_model: str
    download_url: str
    description: str
    match_confidence: float
    match_method: str
    requires_confirmation: bool
    hash_mismatch: bool
    matched_filename: str
    pending_full_verification: bool
    fast_hash: str
    expected_sha256: str


class HFMetadataLookupResponse(Response, frozen=True, kw_only=True):
    """Answer of `lookup_hf_metadata_for_file`."""

    found: bool
    metadata: HFMetadataLookupResult | UnsetType = UNSET
    stale: bool | UnsetType = UNSET


class ModelLookupResponse(Response, frozen=True, kw_only=True):
    """Answer of `refetch_model_metadata_from_hf`; ours, with the names of our records."""

    found: bool
    lookup: ModelLookup


class DownloadDetailsResponse(Response, frozen=True, kw_only=True):
    """Answer of `get_hf_download_details`; ours, with the names of our records."""

    details: DownloadDetails


def lookup_response(found: Lookup) -> HFMetadataLookupResponse:
    """`lookup_hf_metadata_for_file`; what is not found has no `metadata` at all."""
    match = UNSET if found.match is None else _match(found.match)
    return HFMetadataLookupResponse(found=match is not UNSET, metadata=match, stale=found.is_stale or UNSET)


def _match(match: HubMatch) -> HFMetadataLookupResult:
    return HFMetadataLookupResult(
        repo_id=match.repo_id,
        official_name=match.official_name,
        family=match.family,
        model_type=match.model_type,
        subtype=match.subtype,
        variant=match.variant,
        precision=match.precision,
        tags=match.tags,
        base_model=match.base_model,
        download_url=match.download_url,
        description=match.description,
        match_confidence=match.confidence,
        match_method=match.method,
        requires_confirmation=match.requires_confirmation,
        hash_mismatch=match.has_other_content,
        matched_filename=match.matched_file,
        pending_full_verification=match.method != "hash",
        fast_hash=match.fast_hash,
        expected_sha256=match.expected_sha256,
    )
