from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pumas.apps.release_choice import collapse, newest, tagged


def test_the_newest_is_no_prerelease_if_there_is_another():
    candidate, stable = {"tag_name": "v2", "prerelease": True}, {"tag_name": "v1", "prerelease": False}
    assert newest([candidate, stable]) is stable
    assert newest([candidate]) is candidate
    assert newest([]) is None


def test_a_release_is_found_by_exactly_its_tag():
    releases = [{"tag_name": "v1.0"}, {"tag_name": "1.0"}, {}]
    assert tagged(releases, "1.0") is releases[1]
    assert tagged(releases, "1.0.0") is None


@given(st.lists(st.dictionaries(st.sampled_from(["tag_name", "prerelease"]), st.none() | st.text() | st.integers())))
def test_releases_of_any_shape_are_listed_or_left_out(releases):
    shown = collapse(releases)
    places = [next(n for n, one in enumerate(releases) if one is release) for release in shown]
    assert places == sorted(set(places))
