"""Sets of files, where the recorded cases say nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumas.library.shards import find_shards


def test_a_model_that_is_cut_in_two_ways_is_two_sets():
    two = [f"m-0000{n}-of-00002.safetensors" for n in (1, 2)]
    three = [f"m-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    first, second = find_shards([two[0], *three, two[1]])
    assert (first.name, first.files, first.is_complete) == ("m.safetensors", tuple(two), True)
    assert (second.files, second.is_complete) == (tuple(three), True)
    assert second.name != first.name


def test_shards_of_a_whole_set_and_one_of_another_number():
    two = [f"m-0000{n}-of-00002.safetensors" for n in (1, 2)]
    whole, stray = find_shards([*two, "m-00001-of-00003.safetensors"])
    assert (whole.files, whole.error) == (tuple(two), "")
    assert (stray.is_complete, stray.missing) == (False, (2, 3))


@pytest.mark.timeout(10)
def test_numbers_of_any_size_give_a_bounded_answer():
    files = [f"a{n}-1-of-999999999.bin" for n in range(2000)]
    found = find_shards([*files, f"b-1-of-{'9' * 5000}.bin"])
    assert len(found) == 2001
    assert sum(len(one.missing) for one in found) == 100_000
    assert found[0].missing_count == 999_999_998
    assert not any(one.is_complete for one in found[:-1])


@pytest.mark.timeout(10)
def test_many_files_of_one_name():
    found = find_shards([f"folder{n}/model.gguf" for n in range(20_000)])
    assert len({one.name for one in found}) == 20_000


_NAMES = st.builds(
    lambda folder, base, number, total, ending: f"{folder}{base}-{number}-of-{total}{ending}",
    st.sampled_from(["", "x/", "y/"]),
    st.sampled_from(["a", "b", "a_00001"]),
    st.integers(0, 4),
    st.integers(0, 4),
    st.sampled_from([".gguf", ".gguf.part1", "", ".tar.gz"]),
)


@given(st.lists(_NAMES | st.text(max_size=12)))
def test_every_file_is_in_one_set_and_every_name_is_one_set(paths):
    found = find_shards(paths)
    assert sorted(file for one in found for file in one.files) == sorted(set(paths))
    assert len({one.name for one in found}) == len(found)
    assert all(one.is_complete <= (one.missing_count == 0) for one in found)
