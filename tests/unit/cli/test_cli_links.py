"""`pumas link` and `pumas links` as a user runs them."""

from __future__ import annotations

import json

import pytest

from pumas.cli import main


@pytest.fixture
def pumas(fixture_root, capsys):
    """Run one command on the recorded root; exit code, stdout, and stderr without what tells of a sandbox."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--root", str(fixture_root)])
        captured = capsys.readouterr()
        notes = [line for line in captured.err.splitlines() if not line.startswith("Running in ")]
        return int(ended.value.code or 0), captured.out, "\n".join(notes)

    return run


def test_a_dry_run_shows_what_applying_does(pumas, fixture_root):
    models = fixture_root / "comfyui-versions/v0.5.1/models"
    code, out, err = pumas("link", "comfyui", "--version", "v0.5.1", "--dry-run")
    assert (code, err) == (0, "")
    first, *lines = out.splitlines()
    assert first == "v0.5.1: 21 to make, 1 to replace, 2 to remove, 6 right already, 1 in the way"
    assert len(lines) == 25
    assert not (models / "clip/clip_l.safetensors").is_symlink()
    kept = f"  keep    {models}/checkpoints/flux1-dev.safetensors: a file or folder lies where "
    assert any(line.startswith(kept) for line in lines)
    code, out, err = pumas("link", "comfyui", "--version", "v0.5.1", "--json")
    report = json.loads(out)["v0.5.1"]
    assert (report["created"], report["updated"], report["removed"], report["unchanged"]) == (21, 1, 2, 6)
    assert (models / "clip/clip_l.safetensors").is_symlink()


def test_all_versions_are_done_when_none_is_named(pumas):
    code, out, _ = pumas("link", "comfyui")
    assert code == 0
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["v0.5.1", "21", "1", "2", "6", "1"],
        ["v0.6.0", "0", "0", "0", "30", "0"],
    ]


def test_health_and_clean(pumas, fixture_root):
    code, out, _ = pumas("links", "health", "--version", "v0.5.1")
    assert code == 1
    assert out.splitlines()[0].endswith("gone.safetensors (diffusion/gone/Gone): it leads nowhere")
    assert "1 link to another drive" in out
    assert out.endswith("53 links, 1 broken\n")
    code, out, _ = pumas("links", "clean", "--version", "v0.5.1")
    assert (code, out) == (0, "1 broken link removed\n3 links that nobody registered removed\n")
    assert pumas("links", "health")[0] == 0


def test_show_lists_the_links_of_a_model(pumas):
    code, out, err = pumas("links", "show", "diffusion/sdxl/SDXLBase10")
    assert (code, err) == (0, "4 links")
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [["comfyui", "0.6.0", "symlink"]] * 2 + [
        ["comfyui", "0.5.1", "symlink"]
    ] * 2
    assert json.loads(pumas("links", "show", "nope", "--json")[1]) == []


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("nope",), 2, "There is no app nope"),
        (("comfyui", "--version", "../x"), 2, "Invalid version tag"),
        (("comfyui", "--version", "v9"), 3, "Version v9 not found"),
        (("ollama",), 1, "No mapping config found for ollama 0.5.4"),
    ],
)
def test_what_cant_be_linked_is_told(pumas, arguments, code, told):
    found, _, err = pumas("link", *arguments)
    assert found == code
    assert told in err


def test_the_schema_is_json(capsys):
    with pytest.raises(SystemExit):
        main(["links", "schema"])
    assert "MappingDocument" in json.loads(capsys.readouterr().out)["$defs"]
