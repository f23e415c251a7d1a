from __future__ import annotations

import pytest
from support.roots import write_model

from pumas.cli.session import bring_in_line, opened


@pytest.fixture
def root(library):
    write_model(library, "llm/llama/one")
    return library.parents[1]


def test_an_empty_index_is_filled(root):
    with opened(root, is_debug=False) as api:
        bring_in_line(api, only_if_empty=True, is_quiet=True)
        assert [model.model_id for model in api.list_models()] == ["llm/llama/one"]


def test_a_filled_index_is_left_alone_where_that_is_enough(root, library):
    with opened(root, is_debug=False) as api:
        bring_in_line(api, only_if_empty=True, is_quiet=True)
        write_model(library, "llm/llama/two")
        bring_in_line(api, only_if_empty=True, is_quiet=True)
        assert len(api.list_models()) == 1
        bring_in_line(api, only_if_empty=False, is_quiet=True)
        assert len(api.list_models()) == 2


def test_a_library_that_went_away_is_shown_as_it_was(root, library, capfd):
    with opened(root, is_debug=False) as api:
        bring_in_line(api, only_if_empty=False, is_quiet=True)
        library.rename(root / "unplugged")
        bring_in_line(api, only_if_empty=False, is_quiet=True)
        assert [model.model_id for model in api.list_models()] == ["llm/llama/one"]
        (root / "unplugged").rename(library)
    err = capfd.readouterr().err
    assert err.startswith("WARNING: the index is shown as it was: ")
    assert err.count("\n") == 1
