"""Mapping documents: what is wrong with a rule is told with its field, and hinders no other."""

from __future__ import annotations

import json

import jsonschema
import pytest

from pumas.links.mapping import mapping_schema, name_problem, read_rules
from pumas.links.selection import file_pattern

_GOOD = {"name": "Good", "target_subdir": "good", "patterns": ["*.gguf"]}


@pytest.fixture
def rules(tmp_path):
    def rules(*given, document="comfyui_*_default.json"):
        (tmp_path / document).write_text(json.dumps({"mappings": list(given)}), encoding="utf-8")
        return read_rules(tmp_path, "comfyui", "0.6.0")

    return rules


@pytest.mark.parametrize(
    ("rule", "field", "why"),
    [
        ({}, "target_subdir", "missing"),
        ({"target_subdir": ""}, "target_subdir", "missing"),
        ({"target_subdir": 5}, "target_subdir", "Expected `str"),
        ({"target_subdir": "../x"}, "target_subdir", "leads out"),
        ({"target_subdir": "a/../../x"}, "target_subdir", "leads out"),
        ({"target_subdir": "/etc"}, "target_subdir", "leads out"),
        ({"target_subdir": "..\\x"}, "target_subdir", "leads out"),
        ({"target_subdir": "."}, "target_subdir", "no folder"),
        ({"target_subdir": "a\0b"}, "target_subdir", "can't be a name"),
        ({"target_subdir": "é" * 128}, "target_subdir", "longer than 255 bytes"),
        ({"target_subdir": "a", "patterns": ["../*"]}, "patterns", "model's folder"),
        ({"target_subdir": "a", "patterns": ["/etc/*"]}, "patterns", "absolute"),
        ({"target_subdir": "a", "patterns": [""]}, "patterns", "empty"),
        ({"target_subdir": "a", "patterns": ["a**"]}, "patterns", "alone"),
        ({"target_subdir": "a", "patterns": {"a": 1}}, "patterns", "Expected"),
        ({"target_subdir": "a", "enabled": "no"}, "enabled", "Expected `bool"),
        ({"target_subdir": "a", "priority": "high"}, "priority", "Expected `float"),
        ({"target_subdir": "a", "filters": {"tags": 5}}, "filters.tags", "text or a list"),
        ({"target_subdir": "a", "filters": []}, "filters", "Expected `object"),
        ({"target_subdir": "a", "names": {"m": "a/b"}}, "names", "can't be a name"),
        ({"target_subdir": "a", "names": {"m": ".."}}, "names", "a file name"),
    ],
)
def test_a_wrong_rule_is_told_and_left_out(rules, rule, field, why):
    found = rules(_GOOD, {"name": "Wrong", **rule})
    assert [one.folder for one in found.rules] == ["good"]
    (problem,) = found.problems
    assert problem.startswith(f"comfyui_*_default.json, rule 2 (Wrong), field `{field}`")
    assert why in problem


@pytest.mark.parametrize("rule", [5, None, "text", []])
def test_what_is_no_rule_is_told(rules, rule):
    found = rules(rule, _GOOD)
    assert len(found.rules) == 1
    assert "rule 1, it is no rule" in found.problems[0]


def test_mappings_that_are_no_list_are_told(tmp_path):
    (tmp_path / "comfyui_*_default.json").write_text('{"mappings": {}}')
    found = read_rules(tmp_path, "comfyui", "1")
    assert found.rules == ()
    assert found.problems == ("comfyui_*_default.json, field `mappings`: it must be a list of rules",)


def test_what_people_write_for_people_is_taken_in_any_form(rules):
    found = rules({"target_subdir": "a", "name": 5, "description": ["x"], "link_type": None, "comment": {}})
    assert len(found.rules) == 1
    assert found.problems == ()


def test_documents_of_the_version_come_before_those_of_all(rules, tmp_path):
    rules({"target_subdir": "all"})
    rules({"target_subdir": "exact"}, document="comfyui_0.6.0_default.json")
    rules({"target_subdir": "mine"}, document="ComfyUI_0.6.0_mine_and_yours.json")
    found = rules({"target_subdir": "other"}, document="comfyui_0.5.0_default.json")
    assert [rule.folder for rule in found.rules] == ["mine", "exact", "all"]


def test_a_folder_that_is_missing_holds_no_rules(tmp_path):
    found = read_rules(tmp_path / "none", "comfyui", "1")
    assert (found.rules, found.problems, found.is_found) == ((), (), False)


@pytest.mark.parametrize(
    "pattern", ["*.gguf", "**/*.gguf", "sub/*.gguf", "**/sub/*", "*", "**", "s*/**/x?.gguf", "[ab]*", "**/**", "*/*"]
)
def test_patterns_find_what_pathlib_finds(tmp_path, pattern):
    for name in ("a.gguf", ".b.gguf", "B.GGUF", "sub/x1.gguf", "sub/deep/x2.gguf", "sub/sub/y", "other/a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    wanted = {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob(pattern) if path.is_file()}
    takes = file_pattern(pattern)
    assert {name for name in files if takes(name)} == wanted


@pytest.mark.parametrize("name", ["con", "NUL.txt", "a:b", "a.", "a ", "x?", "com1.gguf"])
def test_names_that_windows_refuses(name):
    assert name_problem(name, on_windows=False) is None
    assert "Windows" in (name_problem(name, on_windows=True) or "")


def test_the_schema_takes_what_is_taken_and_refuses_what_is_refused(tmp_path):
    schema = mapping_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    recorded = {"mappings": [_GOOD, {"target_subdir": "a", "patterns": "*", "priority": 1.5, "filters": {"tags": "x"}}]}
    jsonschema.validate(recorded, schema)
    for wrong in ({}, {"mappings": 1}, {"mappings": [{"target_subdir": 5}]}, {"mappings": [{"enabled": "no"}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
