"""What the hub says of a model goes into its document, where nobody else has said it.

    {"tags": […], "download_url": "https://huggingface.co/o/r", …,
     "match_source": "auto", "match_method": "hash", "match_confidence": 1.0, "pending_online_lookup": false,
     "hub_fields": ["base_model", "release_date"]}

`hub_fields` is ours: the fields that a look-up filled, and that a later one may write again. Any other value stays,
whether a user, an import or the original set it. Tags are added, none goes. With `match_source = manual` nothing is
written.

An answer about another repo than the one the document names counts only if it is surer than that (`match_confidence`;
a `download_url` without one is sure: the model was downloaded from there), or if a user named that repo.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pumas.library.edit import change_document, protected_fields
from pumas.library.naming import normalize_name
from pumas.library.places import existing_place
from pumas.library.records import tags_of
from pumas.library.related import repo_id
from pumas.matched import HubMatch, ModelLookup
from pumas.net.hub_answers import is_repo_id
from pumas.repos import Repo
from pumas.store.metadata import load
from pumas.store.paths import Layout

_NO_FAMILY = ("", "unknown", "imported")
_MOST_CARD_BYTES = 64 << 10  # a card is a page of YAML; a document is read with every refresh that finds it changed


def write_match(layout: Layout, model_id: str, match: HubMatch, repo: Repo, *, writes: bool = True) -> ModelLookup:
    """Write what a look-up gave into the document of a model.

    Args:
        layout: The root.
        model_id: The model.
        match: The repo that it came from.
        repo: All that the hub says of it.
        writes: Whether to write it, not only tell what would change.

    Returns:
        What changed; or, `told`, why nothing did.

    Raises:
        ModelNotFound: There is no such model.
        Damaged, Unavailable, NoSpace: As `change_document`; nothing was written.
    """
    document = existing_place(layout, model_id)
    found = _judged(model_id, dict(load(document)), match, repo)
    if not writes or not found.is_written:
        return msgspec.structs.replace(found, is_written=False)

    def change(value: dict[str, object]) -> dict[str, object]:
        # Judged again with the lock held: a user may be editing it.
        nonlocal found
        found = _judged(model_id, value, match, repo)
        return _applied(value, match, repo) if found.is_written else value

    change_document(document, model_id, change)
    return found


def _judged(model_id: str, document: dict[str, object], match: HubMatch, repo: Repo) -> ModelLookup:
    """What writing an answer into a document does."""
    changes, kept = changes_by(match, repo, document)
    told = refusal(document, match)
    if not told and _applied(document, match, repo) == document:
        told = "its document says all of it already"
    return ModelLookup(
        model_id=model_id,
        match=match,
        changes={} if told else {name: (_shown(document.get(name)), _shown(value)) for name, value in changes.items()},
        kept=kept,
        is_written=not told,
        told=told,
    )


def refusal(document: Mapping[str, object], match: HubMatch) -> str:
    """Why an answer must not be written into a document; empty when it may be."""
    if document.get("match_source") == "manual":
        return "what is said of it was set by hand and stays"
    if match.requires_confirmation:
        return f"{match.repo_id} has too different a name to be sure; nothing was written"
    known = known_repo(document)
    is_other = known is not None and known.lower() != match.repo_id.lower()
    if is_other and not match.is_named and _confidence(document) >= match.confidence:
        return f"it is known to come from {known}, which is at least as sure"
    return ""


def known_repo(document: Mapping[str, object]) -> str | None:
    """The repo that a model came from, as its document says; None for what can't be one."""
    found = repo_id(document.get("download_url"))
    return found if found is not None and is_repo_id(found) else None


def _confidence(document: Mapping[str, object]) -> float:
    value = document.get("match_confidence")
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 1.0


def changes_by(
    match: HubMatch, repo: Repo, document: Mapping[str, object]
) -> tuple[dict[str, object], tuple[str, ...]]:
    """The fields that an answer changes, with their new values; and those of which it says otherwise, and that stay."""
    fixed = protected_fields(document)
    own = _filled(document)
    changes: dict[str, object] = {}
    kept = []
    for name, value in _said(match, repo).items():
        now = document.get(name)
        if not value or value == now:
            continue
        if name in fixed or not (name == "tags" or name in own or _is_empty(name, now)):
            kept.append(name)
        elif name == "tags":
            added = list(dict.fromkeys((*tags_of(now), *match.tags)))
            changes |= {"tags": added} if added != now else {}
        else:
            changes[name] = value
    return changes, tuple(kept)


def _said(match: HubMatch, repo: Repo) -> dict[str, object]:
    card = repo.card if len(msgspec.json.encode(repo.card)) <= _MOST_CARD_BYTES else {}
    base = card.get("base_model")
    return {
        "official_name": match.official_name,
        "family": "" if match.family in _NO_FAMILY else normalize_name(match.family),
        "tags": list(match.tags),
        "base_model": base if isinstance(base, (str, list, Mapping)) and base else match.base_model,
        "release_date": repo.changed_at,
        "download_url": match.download_url,
        "model_card": card,
    }


def _is_empty(name: str, value: object) -> bool:
    return not value or (name == "family" and value in _NO_FAMILY)


def _filled(document: Mapping[str, object]) -> list[str]:
    """The fields that a look-up filled."""
    named = document.get("hub_fields")
    return [name for name in named if isinstance(name, str)] if isinstance(named, list) else []


def _applied(document: dict[str, object], match: HubMatch, repo: Repo) -> dict[str, object]:
    changes, _ = changes_by(match, repo, document)
    is_surer = match.method == "hash" or not document.get("match_method") or match.confidence > _confidence(document)
    found: dict[str, object] = {"match_source": "auto", "pending_online_lookup": False}
    if is_surer:
        found |= {"match_method": match.method, "match_confidence": match.confidence}
    filled = dict.fromkeys((*_filled(document), *(name for name in changes if name != "tags")))
    found |= {"hub_fields": list(filled)} if filled else {}
    return {**document, **changes, **found}


def _shown(value: object) -> str:
    if isinstance(value, (list, Mapping)):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
