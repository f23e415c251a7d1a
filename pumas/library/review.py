"""Models that their user should look at: nothing certain says what they are."""

from __future__ import annotations

import msgspec

from pumas.library.edit import protected_fields
from pumas.library.records import model_of
from pumas.organised import ReviewItem


def review_of(model_id: str, metadata_json: str) -> ReviewItem | None:
    """What is uncertain about a model; None when nothing is, or its user has said what it is."""
    model = model_of(model_id, metadata_json)
    if model is None:
        return None
    document = msgspec.json.decode(metadata_json, type=dict[str, object])
    if "model_type" in protected_fields(document):
        return None
    if model.model_type in ("", "unknown"):
        return ReviewItem(model=model, reason="its document names no type")
    if document.get("needs_review") is True:
        return ReviewItem(model=model, reason="only the name of its file says what it is")
    return None
