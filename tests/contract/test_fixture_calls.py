"""The recorded calls on the recorded root, in their order, those of methods that work."""

from __future__ import annotations

from support.cases import load

from pumas.rpc.methods import METHODS

# Recorded before the server wraps them.
_PLAIN = {"get_models": "models", "get_model_overrides": "overrides", "scan_shared_storage": "result"}


def test_calls(serve, fixture_root):
    client = serve(fixture_root)
    cases = load("library-cases.json")["groups"]["fixture.calls"]["cases"]
    calls = [case for case in cases if case["method"] in METHODS]
    assert len(calls) >= 10
    for case in calls:
        answer = client.call(case["method"], case["params"])
        recorded = case["result"]
        if case["method"] in _PLAIN:
            assert answer["success"] is True
            answer = answer[_PLAIN[case["method"]]]
        if isinstance(recorded, bool):
            assert answer["success"] is recorded, case
        else:
            assert {key: answer[key] for key in recorded} == recorded, case
