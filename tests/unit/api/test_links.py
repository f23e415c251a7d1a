"""Links by way of the API: what is asked for is looked at before anything is done."""

from __future__ import annotations

import pytest

from pumas import PumasApi
from pumas.config import Config
from pumas.errors import InvalidInput


@pytest.mark.parametrize("tag", ["v" * 5000, "..", "", "v1/../..", "v1\0", "\udcff"])
def test_a_tag_that_can_be_none_is_refused(fixture_root, tag):
    with PumasApi(fixture_root, config=Config()) as api:
        for ask in (api.preview_model_mapping, api.apply_model_mapping, api.get_link_health, api.remove_orphaned_links):
            with pytest.raises(InvalidInput, match="Invalid version tag"):
                ask(tag).result(30)
