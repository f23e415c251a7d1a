"""Which hub repo a model derives from, and which other repos are related to it (`library.md` §12)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pumas.library.naming import normalize_name

_HUB_PATH = re.compile(r"https?://(?:www\.)?huggingface\.co/([^/]+)/([^/]+)")
_ID_KEYS = ("repo_id", "repoId", "model_id", "modelId", "id", "name", "model")
_NO_FAMILY = frozenset({"unknown", "imported"})
_DEEPEST = 8  # levels of lists and objects looked into


def family_token(family: object) -> str:
    """Normalised lower-case family to look for in repo names; empty when it says nothing."""
    if not isinstance(family, str) or not family.strip():
        return ""
    token = normalize_name(family).lower()
    return "" if token in _NO_FAMILY else token


def repo_id(value: object, _depth: int = 0) -> str | None:
    """The first `owner/name` found in a text, hub address, list or object."""
    if _depth > _DEEPEST:
        return None
    if isinstance(value, str):
        return _repo_id_of_text(value.strip())
    if isinstance(value, list):
        candidates = value
    elif isinstance(value, Mapping):
        candidates = [value[key] for key in _ID_KEYS if key in value]
    else:
        return None
    found = (repo_id(candidate, _depth + 1) for candidate in candidates)
    return next((one for one in found if one), None)


def _repo_id_of_text(text: str) -> str | None:
    match = _HUB_PATH.match(text)
    parts = list(match.groups()) if match else text.strip("/").split("/")
    if len(parts) < 2 or not parts[0]:
        return None
    return f"{parts[0]}/{parts[1]}"


def base_repo(document: Mapping[str, object]) -> str | None:
    """The repo a model derives from: `base_model`, else the card's, else the one it was downloaded from."""
    card = document.get("model_card")
    of_card = card.get("base_model") if isinstance(card, Mapping) else None
    return repo_id(document.get("base_model") or of_card) or repo_id(document.get("download_url"))


def related_available(document: Mapping[str, object]) -> bool:
    """True when both a family and a base repo are known."""
    return bool(family_token(document.get("family"))) and base_repo(document) is not None


@dataclass(frozen=True, slots=True)
class Relatives:
    """Repos of the same owner and family as a model."""

    owner: str
    _token: str
    _own: frozenset[str]

    def include(self, candidate: str) -> bool:
        """Whether a repo is one of them; the model's own is not."""
        owner, _, name = candidate.rpartition("/")
        words = (normalize_name(candidate).lower(), normalize_name(name).lower())
        is_of_family = any(self._token in word for word in words)
        return owner.lower() == self.owner.lower() and is_of_family and candidate.lower() not in self._own


def relatives(document: Mapping[str, object]) -> Relatives | None:
    """Which repos are related to the model of a document; None when its family or base repo is not known."""
    token, base = family_token(document.get("family")), base_repo(document)
    if not token or base is None:
        return None
    own = (repo_id(document.get("repo_id")), repo_id(document.get("download_url")))
    return Relatives(base.partition("/")[0], token, frozenset(one.lower() for one in own if one))
