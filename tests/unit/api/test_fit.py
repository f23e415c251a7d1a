"""Will it fit: bytes, headers and memory of a repo of the hub, through `PumasApi`."""

from __future__ import annotations

import json

import pytest
from fakes.hub import FakeHub, Repo
from fakes.server import json_body, reset, status
from support.headers import Gguf, safetensors, tensor

from pumas import PumasApi
from pumas.config import Config
from pumas.errors import InvalidInput, NetworkError, NotFound

KEYS = [
    ("general.architecture", "string", "llama"),
    ("general.file_type", "uint32", 15),
    ("llama.context_length", "uint32", 4096),
    ("llama.block_count", "uint32", 2),
    ("llama.attention.head_count", "uint32", 4),
    ("llama.attention.key_length", "uint32", 64),
    ("llama.attention.value_length", "uint32", 64),
]


def gguf(size: int) -> bytes:
    return Gguf().file(KEYS, [("w", (size // 4,), 0, 0)], bytes(size))


SMALL, LARGE = gguf(40_000), gguf(400_000)
FILES = {
    "README.md": b"# for people",
    "config.json": b"{}",
    "m-Q4_K_M.gguf": SMALL,
    "m-Q8_0-00001-of-00002.gguf": LARGE,
    "m-Q8_0-00002-of-00002.gguf": SMALL,
}


@pytest.fixture
def hub():
    with FakeHub([Repo("o/m-GGUF", FILES), Repo("o/empty", {"README.md": b"x"})]) as hub:
        yield hub


@pytest.fixture
def api(library, hub):
    with PumasApi(library.parents[1], config=Config(hub_base=hub.url, retry_base_s=0)) as api:
        yield api


def details(api, *arguments, **given):
    return api.get_hf_download_details(*arguments, **given).result(30)


def test_each_choice_has_its_exact_bytes(api, hub):
    found = details(api, "o/m-GGUF")
    sizes = {choice.quantization: choice.size_bytes for choice in found.choices}
    both = len(LARGE) + len(SMALL)
    assert sizes == {"q4_k_m": len(SMALL) + 2, "q8_0": both + 2, None: both + len(SMALL) + 2}
    assert all(choice.is_exact and choice.fits_drive for choice in found.choices)
    assert found.commit == hub.repos["o/m-GGUF"].commit
    assert found.machine.drive_free_bytes > 0
    assert [file.path for file in found.choices[0].files] == ["config.json", "m-Q4_K_M.gguf"]


def test_the_header_is_read_by_a_range_and_tells_the_memory(api, hub):
    found = details(api, "o/m-GGUF", "Q4_K_M")
    (choice,) = found.choices
    assert (found.architecture, found.quantization, found.context_length) == ("llama", "Q4_K_M", 4096)
    assert (found.parameter_count, found.header_of) == (10_000, "m-Q4_K_M.gguf")
    assert choice.need.cache_bytes == 4096 * 2 * 4 * 128 * 2
    assert choice.need.weights_bytes == len(SMALL)
    assert [call.path.rpartition("/")[2] for call in hub.cdn.calls] == [choice.files[1].sha256]
    assert details(api, "o/m-GGUF", "q4_k_m", context=1).choices[0].need.cache_bytes == 2 * 4 * 128 * 2


def test_shards_count_together(api):
    found = details(api, "o/m-GGUF", "q8_0")
    assert found.parameter_count == 110_000
    assert found.choices[0].need.weights_bytes == len(LARGE) + len(SMALL)


def test_a_configuration_tells_what_safetensors_do_not(api, hub):
    config = {"model_type": "qwen2", "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 128}
    weights = safetensors({"w": tensor("BF16", (100,), 0, 200)}, bytes(200))
    files = {
        "config.json": json.dumps({**config, "max_position_embeddings": 512}).encode(),
        "model.safetensors": weights,
    }
    hub.add(Repo("o/plain", files))
    found = details(api, "o/plain")
    assert (found.format, found.architecture, found.quantization) == ("safetensors", "qwen2", "BF16")
    assert (found.parameter_count, found.context_length) == (100, 512)
    assert found.choices[0].need.cache_bytes == 512 * 2 * 2 * 128 * 2


@pytest.mark.parametrize("config", [b"[]", b"{", b"\xff", b"[" * 200, b'{"max_position_embeddings": "many"}'])
def test_a_configuration_of_any_wrong_form_says_nothing(api, hub, config):
    weights = safetensors({"w": tensor("F16", (100,), 0, 200)}, bytes(200))
    hub.add(Repo("o/odd", {"config.json": config, "model.safetensors": weights}))
    found = details(api, "o/odd")
    assert (found.parameter_count, found.context_length, found.problem) == (100, None, None)


def test_a_header_that_can_t_be_read_leaves_the_bytes(api, hub):
    hub.cdn.fail(reset(), times=None)
    found = details(api, "o/m-GGUF", "q4_k_m")
    assert found.choices[0].size_bytes == len(SMALL) + 2
    assert (found.header_of, found.parameter_count) == (None, None)
    assert found.problem


def test_sizes_that_the_hub_does_not_tell(api, hub):
    hub.fail(json_body([{"type": "file", "path": "m-Q4_K_M.gguf", "size": -1}]), path="/tree/")
    hub.fail(status(500), method="HEAD", times=None)
    found = details(api, "o/m-GGUF")
    assert [(choice.size_bytes, choice.is_exact) for choice in found.choices] == [(0, False), (0, False)]
    assert "sizes" in found.problem


def test_a_repo_without_a_model_says_so(api):
    found = details(api, "o/empty")
    assert (found.choices, found.problem) == ((), "the repo holds no model")


def test_what_is_not_there_is_told_with_what_is(api):
    with pytest.raises(NotFound, match="'q2_k'; it has q4_k_m, q8_0"):
        details(api, "o/m-GGUF", "q2_k")
    for nothing in ("", "!"):
        with pytest.raises(NotFound, match="it has q4_k_m, q8_0"):
            details(api, "o/m-GGUF", nothing)
    with pytest.raises(NotFound):
        details(api, "o/none")


def test_all_formats_of_a_repo_can_be_chosen(api, hub):
    weights = safetensors({"w": tensor("F16", (100,), 0, 200)}, bytes(200))
    hub.add(Repo("o/both", {"m-Q4_K_M.gguf": SMALL, "m.fp16.safetensors": weights, "mmproj-F16.gguf": LARGE}))
    found = details(api, "o/both")
    assert [choice.quantization for choice in found.choices] == ["q4_k_m", "fp16", None]
    assert details(api, "o/both", "fp16").format == "safetensors"


@pytest.mark.parametrize("given", [{"context": 0}, {"context": -1}, {"context": 1 << 40}])
def test_a_context_out_of_range_is_refused(api, given):
    with pytest.raises(InvalidInput, match="context"):
        details(api, "o/m-GGUF", **given)


def test_a_gated_repo_gives_its_bytes_but_no_header(api, hub):
    hub.add(Repo("o/gated", FILES, gated="manual"))
    found = details(api, "o/gated", "q4_k_m")
    assert found.choices[0].size_bytes == len(SMALL) + 2
    assert "accept its terms at https://huggingface.co/o/gated" in found.problem
    assert "HF_TOKEN" in found.problem


def test_a_hub_that_is_away_is_an_error(api, hub):
    hub.fail(status(500), times=None)
    with pytest.raises(NetworkError):
        details(api, "o/m-GGUF")
