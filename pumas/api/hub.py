"""Operations on the hub: searching it for models, and listing their files."""

from __future__ import annotations

import msgspec

from pumas.api.models import ModelOperations
from pumas.errors import ModelNotFound
from pumas.repos import HubSearch, RepoFiles


class HubOperations(ModelOperations):
    """Search the hub, and find there what is related to a model of the library.

    What the hub answered is kept for an hour; afterwards it stands in, marked as such, when the hub can't be asked.
    """

    def search_hf_models(self, query: str, *, kind: str | None = None, limit: int = 25) -> HubSearch:
        """Models whose ids a text finds, in the hub's order, with what of them can be downloaded.

        The answer comes within a minute, however the network is. A repo that can't be read has no sizes.

        Args:
            query: What to search for; empty for all.
            kind: Only models with this tag, such as `text-to-image`.
            limit: Most models, 0 to 1000.

        Raises:
            InvalidInput: `query` or `kind` is too long or no text, or `limit` out of range.
            NetworkError: The hub can't be asked, and never answered this before.
        """
        return self._root.hub_searches.search(query, kind=kind, limit=limit)

    def get_related_models(self, model_id: str, *, limit: int = 25) -> HubSearch:
        """Models on the hub by the owner of a model's base repo whose names hold its family, in the hub's order.

        Nothing when there is no such model, or its family or base repo is not known.

        Args:
            model_id: Of the library.
            limit: Most models, 0 to 1000; looked for among the first hundred of the owner, or as many as this.

        Raises:
            InvalidInput: `limit` is out of range.
            NetworkError: As above.
        """
        from pumas.library.related import relatives  # noqa: PLC0415 - for whoever asks

        try:
            document = msgspec.json.decode(self.get_model(model_id).metadata_json, type=dict[str, object])
        except ModelNotFound:
            return HubSearch(models=())
        related = relatives(document)
        if related is None:
            return HubSearch(models=())
        return self._root.hub_searches.related(related.owner, related.include, limit=limit)

    def list_hf_files(self, repo_id: str, *, revision: str = "main") -> RepoFiles:
        """All files of a repo, with their sizes and the digests that the hub declares.

        Args:
            repo_id: `owner/name`.
            revision: A branch, a tag or a commit.

        Raises:
            InvalidInput: It can't be the id of a repo, or no revision.
            RepoNotFound: There is none, or none of this revision.
            RepoRefused: It is gated or private, and the token of this user does not open it.
            NetworkError: The hub can't be asked, and never answered this before.
        """
        return self._root.hub.repo_files(repo_id, revision)
