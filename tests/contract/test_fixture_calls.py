"""The recorded calls on the recorded root, in their order, those of methods that are there."""

from __future__ import annotations

from support.cases import check, library_cases

from pumas.rpc.methods import METHODS

# Recorded before the server wraps them.
_PLAIN = {
    "get_models": "models",
    "get_model_overrides": "overrides",
    "scan_shared_storage": "result",
    "refresh_model_mappings": "results",
}
_CALLS = library_cases("fixture.calls")


def test_calls(serve, fixture_root):
    client = serve(fixture_root)
    cases = [param.values for param in _CALLS if param.values[1]["method"] in METHODS]
    assert len(cases) >= 10
    for case_id, case in cases:
        answer = client.call(case["method"], _named(case["params"], "{root}", str(fixture_root)))
        recorded = case["result"]
        if case["method"] in _PLAIN:
            assert answer["success"] is True
            answer = answer[_PLAIN[case["method"]]]
        if isinstance(recorded, bool):
            assert answer["success"] is recorded, case
        else:
            ours = _named({key: answer[key] for key in recorded}, str(fixture_root), "{root}")
            check(case_id, _ordered(recorded), _ordered(ours))


def _ordered(answer):
    """Links and their lists in an order of their own, without the warning of a sandbox that the tests may run in."""
    if not isinstance(answer, dict) or "warnings" not in answer:
        return answer
    warnings = [text for text in answer["warnings"] if not text.startswith("Running in ")]
    lists = {
        key: sorted(one, key=lambda link: link["target_path"])
        for key, one in answer.items()
        if isinstance(one, list) and one and isinstance(one[0], dict)
    }
    return {**answer, **lists, "warnings": warnings}


def _named(value, old, new):
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list):
        return [_named(one, old, new) for one in value]
    if isinstance(value, dict):
        return {key: _named(one, old, new) for key, one in value.items()}
    return value
