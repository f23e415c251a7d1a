"""Which files of a repo are taken, and which names are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumas.downloads.choice import check_paths, choose_files
from pumas.errors import InvalidInput

GGUF = [
    "README.md",
    ".gitattributes",
    "config.json",
    "m-Q4_K_M.gguf",
    "m-Q4_0.gguf",
    "m-Q8_0-00001-of-00002.gguf",
    "m-Q8_0-00002-of-00002.gguf",
    "mmproj-f32.gguf",
    "mmproj-F16.gguf",
    "tokenizer.model",
    "imatrix.dat",
]


def test_without_a_quantization_all_but_texts_are_taken():
    assert choose_files(GGUF) == [path for path in GGUF if path not in ("README.md", ".gitattributes")]


def test_texts_that_tokenizers_need_are_taken():
    assert choose_files(["a/merges.txt", "vocab.txt", "notes.txt"]) == ["a/merges.txt", "vocab.txt"]


def test_a_quantization_takes_its_files_what_all_need_and_one_projector():
    assert choose_files(GGUF, quantization="q4_k_m") == [
        *("config.json", "m-Q4_K_M.gguf", "mmproj-F16.gguf", "tokenizer.model")
    ]
    assert choose_files(GGUF, quantization="Q8_0")[1:3] == GGUF[5:7]
    assert choose_files(GGUF, quantization="q4") == [
        *("config.json", "m-Q4_K_M.gguf", "m-Q4_0.gguf", "mmproj-F16.gguf", "tokenizer.model")
    ]


def test_a_projector_of_the_same_quantization_is_preferred():
    assert "mmproj-f32.gguf" in choose_files([*GGUF, "m-f32.gguf"], quantization="f32")


@pytest.mark.parametrize("quantization", ["q5_k_m", "nosuch"])
def test_what_no_file_has_gives_nothing(quantization):
    assert choose_files(GGUF, quantization=quantization) == []
    assert choose_files(["mmproj-q5_k_m.gguf", "config.json"], quantization=quantization) == []


def test_patterns_choose_paths_and_last_names():
    assert choose_files(["a/b.gguf", "b.gguf", "README.md"], include=["*.md", "a/*"]) == ["a/b.gguf", "README.md"]
    assert choose_files(["a/b.gguf", "b.gguf"], exclude=["b.gguf"]) == []
    assert choose_files(GGUF, quantization="q4_k_m", exclude=["mmproj*", "*.model"]) == ["config.json", "m-Q4_K_M.gguf"]


@pytest.mark.parametrize(
    "path",
    [
        *("../a", "a/../../b", "/etc/passwd", "a//b", "./a", "a/.", "", "a/", "..\\a", "C:\\a", "C:a", "a\\b"),
        *("a\nb", "a\x00b", "a\x7f", "\ud800", "CON", "a/nul.gguf", "com1.bin", "a.", "a ", "a?b", "a|b", "a*"),
        *("metadata.json", "sub/Metadata.JSON", "overrides.json", "metadata.json.bak", "a.part", "a.part.journal"),
        *("x" * 256, "ä" * 128, "/".join("abcdefgh" * 2 for _ in range(80)), "/".join("a" * 40)),
    ],
)
def test_a_name_that_could_be_written_elsewhere_or_nowhere_is_refused(path):
    with pytest.raises(InvalidInput, match="--exclude") as raised:
        check_paths(["fine.gguf", path])
    assert raised.value.parameter == "exclude"
    str(raised.value).encode()


@pytest.mark.parametrize(
    "paths", [["a.bin", "A.BIN"], ["a", "a/b"], ["a/b", "A"], ["x/Ä.bin", "X/ä.bin"], ["a.bin", "a.bin"]]
)
def test_names_that_are_one_on_some_drives_are_refused(paths):
    with pytest.raises(InvalidInput, match="another one"):
        check_paths(paths)


def test_names_of_ordinary_repos_are_taken():
    check_paths(GGUF)
    check_paths(
        ["unet/config.json", "vae/config.json", "model-00001-of-00002.safetensors", ".eval/日本.json", "a b(1).bin"]
    )


@given(st.lists(st.text(alphabet="aA./\\-:\n b", max_size=12), max_size=6))
def test_whatever_is_taken_stays_in_its_folder(tmp_path_factory, paths):
    try:
        check_paths(paths)
    except InvalidInput:
        return
    base = tmp_path_factory.getbasetemp()
    for path in paths:
        target = (base / path).resolve()
        assert target.is_relative_to(base)
        assert target.relative_to(base).as_posix() == path
