"""`pumas lookup` and `pumas hub fit` as a user runs them, and the methods behind them as an app calls them."""

from __future__ import annotations

import json

import pytest
from fakes.hub import FakeHub, Repo
from fakes.server import status
from support.headers import Gguf
from support.roots import write_model

from pumas.cli import main
from pumas.config import Config

KEYS = [
    ("general.architecture", "string", "llama"),
    ("general.file_type", "uint32", 15),
    ("llama.context_length", "uint32", 2048),
    ("llama.block_count", "uint32", 1),
    ("llama.attention.head_count", "uint32", 1),
    ("llama.attention.key_length", "uint32", 8),
    ("llama.attention.value_length", "uint32", 8),
]
CONTENT = Gguf().file(KEYS, [("w", (1000,), 0, 0)], bytes(4000))
ID = "llm/unknown/Tiny"


@pytest.fixture
def hub(monkeypatch):
    repo = Repo("o/llama-tiny-GGUF", {"llama-tiny-Q4_K_M.gguf": CONTENT, "config.json": b"{}"}, ("gguf", "chat"), 5)
    with FakeHub([repo]) as hub:
        monkeypatch.setenv("PUMAS_HUB_BASE", hub.url)
        monkeypatch.setenv("PUMAS_RETRY_BASE_S", "0")
        yield hub


@pytest.fixture
def pumas(library, capfd, hub):
    """Run one command on a root of its own; exit code, stdout, stderr without what tells of slow progress."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--root", str(library.parents[1])])
        out, err = capfd.readouterr()
        told = [line for line in err.splitlines(keepends=True) if line.startswith("pumas: ")]
        return int(ended.value.code or 0), out, "".join(told)

    return run


@pytest.fixture
def model(library):
    entry = {"name": "Tiny.gguf", "original_name": "llama-tiny.Q4_K_M.gguf", "size": len(CONTENT)}
    folder = write_model(library, ID, official_name="Tiny", family="unknown", files=[entry])
    (folder / "Tiny.gguf").write_bytes(CONTENT)
    return folder / "metadata.json"


def test_a_file_is_told_with_how_it_was_found(pumas, tmp_path):
    path = tmp_path / "llama-tiny.gguf"
    path.write_bytes(CONTENT)
    code, out, err = pumas("lookup", path)
    assert (code, err) == (0, "")
    told = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert told["Repo"] == "o/llama-tiny-GGUF"
    assert "Found by     content: it has a file of the same SHA-256" in out
    assert told["Page"] == "https://huggingface.co/o/llama-tiny-GGUF"
    code, out, _ = pumas("lookup", path, "--json")
    assert json.loads(out)["match"]["method"] == "hash"


def test_what_the_hub_does_not_know_ends_with_1(pumas, tmp_path):
    path = tmp_path / "unknown-thing.gguf"
    path.write_bytes(b"GGUF")
    assert pumas("lookup", path) == (1, "No repo of the hub fits\n", "")
    code, out, _ = pumas("lookup", path)
    assert (code, out[:36]) == (1, "No repo of the hub fits (asked on 20")
    assert pumas("lookup", path, "--again")[1] == "No repo of the hub fits\n"


def test_a_model_is_written_only_when_asked(pumas, model):
    before = model.read_bytes()
    code, out, _ = pumas("lookup", ID)
    assert code == 0
    assert "family: unknown would be llama" in out
    assert "kept: official name" in out
    assert model.read_bytes() == before
    assert "family: unknown is now llama" in pumas("lookup", ID, "--write")[1]
    assert json.loads(model.read_text("utf-8"))["match_method"] == "hash"
    code, _, err = pumas("lookup", ID, "--write")
    assert (code, err) == (0, "pumas: its document says all of it already\n")


def test_a_repo_that_the_user_names_is_taken(pumas, hub, model):
    hub.add(Repo("o/other", {"x.gguf": bytes(500)}, ("other",)))
    code, out, _ = pumas("lookup", ID, "--repo", "o/other", "--write")
    assert code == 0
    assert "is said to come from there" in out
    assert json.loads(model.read_text("utf-8"))["download_url"] == "https://huggingface.co/o/other"


def test_wrong_uses_and_a_hub_that_is_away(pumas, hub, model, tmp_path):
    path = tmp_path / "llama-tiny.gguf"
    path.write_bytes(CONTENT)
    for option in (["--write"], ["--repo", "o/other"]):
        assert pumas("lookup", path, *option)[0] == 2
    assert pumas("lookup", "llm/none/None")[0] == 3
    hub.fail(status(500), times=None)
    code, out, err = pumas("lookup", path)
    assert (code, out) == (6, "")
    assert err.count("\n") == 1


def test_fit_tells_bytes_memory_and_place(pumas):
    code, out, err = pumas("hub", "fit", "o/llama-tiny-GGUF")
    assert (code, err) == (0, "")
    head, first, whole = out.splitlines()[-3:]
    assert head.split()[:3] == ["QUANTIZATION", "DOWNLOAD", "FILES"]
    assert first.split()[:6] == ["q4_k_m", f"{(len(CONTENT) + 2) / 1024:.1f}", "KiB", "2", "fits", "512.1"]
    assert whole.split()[:2] == ["all", "files"]
    assert "Parameters    1.0 K" in out
    assert "Context       2048 tokens" in out
    code, out, _ = pumas("hub", "fit", "o/llama-tiny-GGUF", "--quant", "Q4_K_M", "--context", "100", "--json")
    (choice,) = json.loads(out)["choices"]
    assert (choice["size_bytes"], choice["need"]["cache_bytes"]) == (len(CONTENT) + 2, 100 * 16 * 2)


def test_fit_of_what_is_not_there(pumas, hub):
    code, _, err = pumas("hub", "fit", "o/llama-tiny-GGUF", "--quant", "q2_k")
    assert code == 3
    assert "it has q4_k_m" in err
    assert pumas("hub", "fit", "o/none")[0] == 3
    assert pumas("hub", "fit", "no repo")[0] == 2
    hub.cdn.fail(status(500), times=None)
    code, out, err = pumas("hub", "fit", "o/llama-tiny-GGUF")
    assert code == 0
    assert "q4_k_m" in out
    assert "estimated without its header" in err


def test_the_methods_answer_with_the_same(serve, library, model, hub):
    client = serve(library.parents[1], Config(hub_base=hub.url, retry_base_s=0))
    answer = client.call("refetch_model_metadata_from_hf", {"model_id": ID})
    assert (answer["success"], answer["found"], answer["lookup"]["is_written"]) == (True, True, True)
    assert answer["lookup"]["changes"]["family"] == ["unknown", "llama"]
    assert client.call("refetch_model_metadata_from_hf", {"model_id": "../x"}) == {
        "success": False,
        "found": False,
        "error": "Model not found",
    }
    answer = client.call("get_hf_download_details", {"repo_id": "o/llama-tiny-GGUF", "quant": None, "context": 10})
    assert [choice["quantization"] for choice in answer["details"]["choices"]] == ["q4_k_m", None]
    refused = client.call("get_hf_download_details", {"repo_id": "o/none"})
    assert refused["success"] is False
    assert "o/none" in refused["error"]
