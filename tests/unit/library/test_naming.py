"""Names that somebody made to do harm, or only unlucky ones."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumas.errors import InvalidInput
from pumas.library.naming import free_path, model_folder, normalize_filename, normalize_name


@given(st.text() | st.text("./\\-_ \0\n\udc80é模", max_size=300))
def test_a_name_is_one_plain_part_of_a_path(name):
    normal = normalize_name(name)
    assert normal.isascii()
    assert 1 <= len(normal) <= 128
    assert not set(normal) & set("./\\\0\n ")
    assert normalize_name(normal) == normal


@given(st.text(st.characters(exclude_characters="\0")) | st.text("./\\-_ \n\udc80é模", max_size=300))
def test_a_file_name_stays_in_its_folder_and_can_be_written_down(name):
    normal = normalize_filename(name)
    assert PurePosixPath(normal).name == normal
    assert normal not in ("", ".", "..")
    normal.encode()


@pytest.mark.parametrize(
    "model_type", ["..", ".hidden", ".pumas", "a/b", "a\\b", "C:", "a\0b", "a\nb", "\udc80", "x" * 129]
)
def test_a_model_type_that_would_leave_the_library_or_hide_is_refused(model_type, tmp_path):
    with pytest.raises(InvalidInput, match=r"plain name") as caught:
        model_folder(tmp_path, model_type, "llama", "Model")
    assert caught.value.parameter == "model_type"


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_model_lies_outside_the_library(model_type, family, name):
    library = PurePosixPath("/lib")
    try:
        folder = model_folder(library, model_type, family, name)  # type: ignore[arg-type]
    except InvalidInput:
        return
    assert folder.is_relative_to(library)
    assert ".." not in folder.parts


def test_a_number_still_fits_into_the_longest_name(tmp_path):
    name = f"{'é' * 125}.gguf"
    assert len(os.fsencode(name)) == 255
    (tmp_path / name).touch()
    for ending in ("-2.gguf", "-3.gguf"):
        free = free_path(tmp_path / name)
        assert free.name == f"{'é' * 124}{ending}"
        free.touch()


def test_what_can_not_be_looked_at_is_not_free(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    assert free_path(tmp_path / "loop").name == "loop-2"
