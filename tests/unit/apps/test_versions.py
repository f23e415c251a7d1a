from __future__ import annotations

import json
import os

import pytest

from pumas.apps.releases import latest_cached_release
from pumas.apps.versions import active_version, version_key
from pumas.store.paths import Layout, open_layout


@pytest.fixture
def layout(tmp_path) -> Layout:
    return open_layout(tmp_path / "root")[0]


def _install(layout: Layout, *tags: str, **chosen: object) -> None:
    for tag in tags:
        folder = layout.versions_folder("comfyui") / tag
        (folder / "venv/bin").mkdir(parents=True)
        (folder / "main.py").touch()
        (folder / "venv/bin/python").touch()
    document = {"installed": {tag: {} for tag in tags}, "lastSelectedVersion": None, "defaultVersion": None, **chosen}
    (layout.data / "metadata/versions.json").write_text(json.dumps(document))


def test_the_choice(layout):
    assert active_version(layout, "comfyui") is None
    _install(layout, "v0.9.0", "v0.10.0", "v0.2.0")
    assert active_version(layout, "comfyui") == "v0.10.0"
    _install(layout, lastSelectedVersion="v0.2.0", installed={"v0.9.0": {}, "v0.2.0": {}})
    assert active_version(layout, "comfyui") == "v0.2.0"
    _install(layout, lastSelectedVersion="v0.2.0", defaultVersion="v0.9.0", installed={"v0.9.0": {}, "v0.2.0": {}})
    assert active_version(layout, "comfyui") == "v0.9.0"
    (layout.versions_folder("comfyui") / "v0.9.0" / "main.py").unlink()
    assert active_version(layout, "comfyui") == "v0.2.0"


@pytest.mark.parametrize("text", ["{", "[1]", '{"installed": [1]}', '{"installed": {"../x": {}, "..": {}}}', "null"])
def test_a_damaged_document_means_none(layout, text):
    (layout.data / "metadata/versions.json").write_text(text)
    assert active_version(layout, "comfyui") is None


def test_what_may_not_be_read_is_told_once_and_means_none(layout, caplog):
    (layout.data / "metadata/versions.json").mkdir()
    for _ in range(3):
        assert active_version(layout, "comfyui") is None
    assert len(caplog.records) == 1


def test_the_backup_is_used_for_a_damaged_document(layout):
    _install(layout, "v1.0.0")
    path = layout.data / "metadata/versions.json"
    path.rename(path.with_name(path.name + ".bak"))
    path.write_text("{")
    assert active_version(layout, "comfyui") == "v1.0.0"


def test_tags_are_ordered_as_versions():
    tags = ["v0.9", "v0.10", "v0.10.1", "v1.0-rc1", "v1.0", "v1.0.1"]
    shuffled = [tags[n] for n in (3, 0, 5, 2, 1, 4)]
    assert sorted(shuffled, key=version_key) == tags


def test_the_newest_cached_release(layout):
    assert latest_cached_release(layout, "comfyui") is None
    path = layout.data / "cache/github-releases.json"
    path.write_text(json.dumps({"releases": [{"tag_name": "v2"}, {"tag_name": "v1"}]}))
    assert latest_cached_release(layout, "comfyui") == "v2"
    for text in ("{", "[]", '{"releases": {}}', '{"releases": [5]}', '{"releases": [{"tag_name": 5}]}', "null"):
        path.write_text(text)
        assert latest_cached_release(layout, "comfyui") is None


def test_the_backup_of_the_release_list_is_used(layout):
    path = layout.data / "cache/github-releases.json"
    path.with_name(f"{path.name}.bak").write_text('{"releases": [{"tag_name": "v1"}]}')
    assert latest_cached_release(layout, "comfyui") is None  # without a document there is no cache
    path.write_text("{")
    assert latest_cached_release(layout, "comfyui") == "v1"


def test_a_release_list_of_the_past_is_read_again(layout):
    path = layout.data / "cache/github-releases.json"
    for mtime, tag in ((4_000_000_000, "v1"), (0, "v2"), (1, "v3")):
        path.write_text(json.dumps({"releases": [{"tag_name": tag}]}))
        os.utime(path, (mtime, mtime))
        assert latest_cached_release(layout, "comfyui") == tag


@pytest.mark.parametrize("app_id", ["", "..", "../x", "/etc/passwd", "invoke", "a\0b"])
def test_an_app_that_is_none_has_nothing(layout, app_id):
    assert active_version(layout, app_id) is None
    assert latest_cached_release(layout, app_id) is None


def test_ollama_has_its_own_documents(layout):
    folder = layout.versions_folder("ollama") / "v0.5.4"
    folder.mkdir(parents=True)
    (folder / "ollama").touch()
    (layout.data / "metadata/versions-ollama.json").write_text('{"installed": {"v0.5.4": {}}}')
    assert active_version(layout, "ollama") == "v0.5.4"
