"""Whether a model of the hub fits."""

from __future__ import annotations

from pumas.fitting import Machine
from pumas.library.fit import Facts, details_of
from pumas.models import Header
from pumas.repos import RepoFile, RepoFiles

GIB = 1 << 30
MACHINE = Machine(drive_free_bytes=6 * GIB, memory_free_bytes=16 * GIB, gpu_free_bytes=(8 * GIB,))
LLAMA = {
    "llama.block_count": 32,
    "llama.attention.head_count_kv": 8,
    "llama.attention.key_length": 128,
    "llama.attention.value_length": 128,
    "llama.context_length": 8192,
}


def header(**given):
    return Header(**{"format": "gguf", "size_bytes": 1, "architecture": "llama", "parameter_count": 4, **given})


def details(choices, facts, machine=MACHINE, **given):
    files = tuple(file for _, files in choices for file in files)
    return details_of(RepoFiles(repo_id="o/r", commit="0" * 40, files=files), choices, facts, machine, **given)


SMALL, BIG = RepoFile(path="m-Q4_K_M.gguf", size_bytes=5 * GIB), RepoFile(path="m-F16.gguf", size_bytes=15 * GIB)
CONFIG = RepoFile(path="config.json", size_bytes=1000)


def test_each_choice_has_its_bytes_and_its_place():
    facts = Facts(headers=(header(metadata=LLAMA, quantization="Q4_K_M"),), header_of=SMALL.path)
    found = details([("q4_k_m", [SMALL, CONFIG]), ("f16", [BIG, CONFIG])], facts)
    small, big = found.choices
    assert (small.size_bytes, small.is_exact, small.fits_drive) == (5 * GIB + 1000, True, True)
    assert not big.fits_drive
    assert small.need.weights_bytes == 5 * GIB, "a configuration is no weight"
    assert small.need.cache_bytes == GIB
    assert (small.place, big.place) == ("gpu", "split")
    assert small.gpu_context == small.longest_context == 8192
    assert big.gpu_context == 0
    assert (found.architecture, found.quantization, found.context_length) == ("llama", "Q4_K_M", 8192)
    assert (found.parameter_count, found.header_of, found.problem) == (4, "m-Q4_K_M.gguf", None)


def test_the_context_that_is_asked_for_decides():
    facts = Facts(headers=(header(metadata={**LLAMA, "llama.context_length": 131072}),))
    (at_full,) = details([("q4_k_m", [SMALL])], facts).choices
    (at_4096,) = details([("q4_k_m", [SMALL])], facts, context=4096).choices
    assert (at_full.place, at_4096.place) == ("split", "gpu")
    assert at_full.gpu_context == at_4096.gpu_context


def test_parameters_of_all_shards_are_counted():
    shards = (header(), header(parameter_count=5))
    assert details([], Facts(headers=shards)).parameter_count == 9
    assert details([], Facts(headers=(header(), header(parameter_count=None)))).parameter_count is None
    assert details([], Facts(headers=(header(),), is_whole=False)).parameter_count is None


def test_a_configuration_tells_what_a_safetensors_header_does_not():
    config = {
        "model_type": "qwen2",
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "head_dim": 64,
        "max_position_embeddings": 100,
    }
    facts = Facts(headers=(header(format="safetensors", architecture=None),), config=config)
    found = details([(None, [RepoFile(path="m.safetensors", size_bytes=10)])], facts)
    assert (found.architecture, found.context_length) == ("qwen2", 100)
    assert found.choices[0].need.cache_bytes == 100 * 2 * 2 * 128 * 2


def test_without_any_header_the_bytes_are_still_told():
    found = details([("q4_k_m", [SMALL, RepoFile(path="x-Q4_K_M.gguf")])], Facts(problem="it can't be read"))
    (choice,) = found.choices
    assert (choice.is_exact, choice.need.context, choice.gpu_context) == (False, None, None)
    assert choice.place == "gpu"
    assert found.problem == "it can't be read"
    assert found.parameter_count is None


def test_without_a_gpu_there_is_no_context_for_one():
    facts = Facts(headers=(header(metadata=LLAMA),))
    machine = Machine(drive_free_bytes=0, memory_free_bytes=16 * GIB, gpu_free_bytes=())
    (choice,) = details([("q4_k_m", [SMALL])], facts, machine).choices
    assert (choice.place, choice.gpu_context, choice.longest_context) == ("memory", None, 8192)
