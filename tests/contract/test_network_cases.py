"""Recorded cases of what asks the network: `network.*` (without those of the hub), `backoff`, `retryable_status`."""

from __future__ import annotations

import pytest
from fakes import server as fakes
from fakes.server import FakeServer, document
from support.cases import apps_cases, check, library_cases

from pumas.config import Config
from pumas.errors import PumasError
from pumas.net.breaker import Circuit, CircuitRule
from pumas.net.http import HttpClient, Request, host_of
from pumas.net.rate_limit import RateLimit
from pumas.net.retry import is_retried_status, wait_s


@pytest.mark.parametrize(("case_id", "case"), library_cases("network.domain"))
def test_host_of_an_address(case_id, case):
    check(case_id, case["out"], host_of(case["url"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("network.backoff"))
def test_waits_of_the_manager(case_id, case):
    names = {"base_delay": "base_s", "exponential_base": "factor", "max_delay": "cap_s"}
    rule = {"base_s": 1.0, "factor": 2.0, **{names[name]: value for name, value in case["config"].items()}}
    check(case_id, case["without_jitter"], wait_s(case["attempt"], **rule))


@pytest.mark.parametrize(("case_id", "case"), library_cases("network.backoff_general"))
def test_waits_of_the_helper(case_id, case):
    base = case["base_delay"]
    check(case_id, case["without_jitter"], wait_s(case["attempt"], base_s=base, factor=base, cap_s=case["max_delay"]))


@pytest.mark.parametrize(("case_id", "case"), apps_cases("backoff"))
def test_waits_of_release_pages(case_id, case):
    attempt, base, longest = case["input"]
    check(case_id, case["expected"], wait_s(attempt, base_s=base, factor=base, cap_s=longest))


@pytest.mark.parametrize(("case_id", "case"), apps_cases("retryable_status"))
def test_statuses_that_are_asked_again(case_id, case):
    check(case_id, case["expected"], is_retried_status(case["input"]))


@pytest.mark.parametrize(("case_id", "case"), library_cases("network.circuit_breaker"))
def test_circuit(case_id, case):
    given = case["config"]
    rule = CircuitRule(
        failures=given.get("failure_threshold", 5),
        recovery_s=given.get("recovery_timeout", 30.0),
        trials=given.get("half_open_max_calls", 1),
    )
    now = 0.0
    circuit = Circuit(rule, lambda: now)
    recorded, ours = [], []
    for step in case["steps"]:
        if step["step"] == "reset":
            break  # ours is closed by a server that answers, by nothing else
        answer = None
        if step["step"].startswith("+"):
            now = round(now + float(step["step"]), 6)
        else:
            answer = {"ask": circuit.ask, "fail": circuit.fail, "ok": circuit.succeed}[step["step"]]()
        recorded.append((step["answer"], step["state"], step["failure_count"]))
        ours.append((answer, circuit.state, circuit.failures))
    assert ours == recorded


@pytest.mark.parametrize(("case_id", "case"), library_cases("network.rate_limit"))
def test_rate_limit_headers(case_id, case):
    limit = RateLimit()
    for headers in case["headers"]:
        limit.read({name.lower(): value for name, value in headers.items()})
    ours = {
        "remaining": limit.remaining,
        "limit": limit.limit,
        "reset_time": limit.reset_at,
        "warning_active": limit.is_warned,
        "should_throttle": limit.is_low,
    }
    check(case_id, {name: case[name] for name in ours}, ours)


@pytest.mark.parametrize(("case_id", "case"), library_cases("network.manager"))
def test_counters_and_circuits_of_real_requests(case_id, case):
    """Each recorded call as what a server does; a circuit is closed by a trial instead of by hand."""
    server_does = {
        "one OSError, retryable, then success": (fakes.hang_up(), 1),
        "always OSError, retryable": (fakes.hang_up(), 3),
        "ValueError, not in the list": (fakes.status(501), 1),
        "no list given": (fakes.status(501), 1),
    }
    given, now = case["config"], 0.0
    rule = CircuitRule(given["circuit_failure_threshold"], given["circuit_recovery_timeout"])
    client = HttpClient(Config(retry_base_s=0.0), resolve=lambda _: ["127.0.0.1"], rule=rule, clock=lambda: now)
    recorded, ours = [], []
    with FakeServer(lambda call: document("done")) as server:
        for call in case["calls"]:
            if call["call"] in server_does:
                fault, times = server_does[call["call"]]
                server.fail(fault, times=times)
            now += 60.0 if call["call"] == "after reset" else 0.0
            before = len(server.calls)
            host = "b.example" if call["call"] == "other host" else "a.example"
            try:
                result = client.fetch(Request(url=f"http://{host}:{server.port}/")).status == 200
            except PumasError:
                result = False
            status = client.status()
            ours.append((result, len(server.calls) - before, _counters(status), status.circuit_states))
            recorded.append((call["result"] == "done", call["tries"], call["stats"], call["circuits"]))
    client.close()
    assert ours == recorded


def _counters(status):
    return {
        "total_requests": status.total_requests,
        "successful_requests": status.successful_requests,
        "failed_requests": status.failed_requests,
        "circuit_breaker_rejections": status.circuit_breaker_rejections,
        "retries": status.retries,
        "success_rate": round(status.success_rate, 4),
    }
