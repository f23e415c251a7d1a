from __future__ import annotations

import threading

import pytest

from pumas.errors import Cancelled, JobNotFound, Unavailable
from pumas.jobs import JobPool


@pytest.fixture
def pool():
    pool = JobPool(2)
    yield pool
    assert pool.close(5)


def test_a_result_and_its_progress(pool):
    def work(progress):
        for done in (1, 2):
            progress.report(done, 2, "counting")
        return "result"

    job = pool.submit("count", work)
    assert job.result(10) == "result"
    last = list(job.progress())[-1]
    assert (last.status, last.done, last.total, last.stage) == ("completed", 2, 2, "counting")
    assert last.ended_at >= last.created_at
    assert pool.job(job.job_id) is job


def test_progress_is_seen_while_it_is_made(pool):
    go = threading.Event()

    def work(progress):
        progress.report(1, 2)
        assert go.wait(10)
        progress.report(2, 2)

    job = pool.submit("step", work)
    seen = []
    for snapshot in job.progress():
        seen.append(snapshot.done)
        if snapshot.done == 1:
            go.set()
    assert 1 in seen
    assert seen[-1] == 2


def test_cancel_ends_at_the_next_safe_point(pool):
    begun, go = threading.Event(), threading.Event()

    def work(progress):
        begun.set()
        assert go.wait(10)
        progress.check()
        return "never"

    job = pool.submit("wait", work)
    assert begun.wait(10)
    assert job.cancel()
    go.set()
    with pytest.raises(Cancelled):
        job.result(10)
    assert job.snapshot().status == "cancelled"
    assert not job.cancel()


def test_a_queued_job_is_cancelled_at_once_and_never_runs(pool):
    go = threading.Event()
    running = [pool.submit("busy", lambda _: go.wait(10)) for _ in range(2)]
    ran: list[object] = []
    queued = pool.submit("queued", ran.append)
    assert queued.cancel()
    assert queued.snapshot().status == "cancelled"
    go.set()
    for job in running:
        job.result(10)
    assert ran == []


def test_a_job_of_the_same_key_that_waits_is_joined(pool):
    go = threading.Event()
    busy = [pool.submit("busy", lambda _: go.wait(10)) for _ in range(2)]
    first = pool.submit("refresh", lambda _: 1, key="refresh")
    assert pool.submit("refresh", lambda _: 2, key="refresh") is first
    assert pool.submit("refresh", lambda _: 3, key="other") is not first
    go.set()
    assert first.result(10) == 1
    assert pool.submit("refresh", lambda _: 4, key="refresh") is not first
    for job in busy:
        job.result(10)


def test_failures_are_told(pool, caplog):
    def refused(_):
        raise Unavailable("The drive is asleep")

    def broken(_):
        raise KeyError("secret detail")

    job = pool.submit("refused", refused)
    with pytest.raises(Unavailable, match="asleep"):
        job.result(10)
    assert job.snapshot().error == "The drive is asleep"
    job = pool.submit("broken", broken)
    with pytest.raises(KeyError):
        job.result(10)
    assert "secret" not in job.snapshot().error
    assert "secret detail" in caplog.text


def test_a_wait_may_end_before_the_work(pool):
    go = threading.Event()
    job = pool.submit("slow", lambda _: go.wait(10))
    with pytest.raises(TimeoutError):
        job.result(0.01)
    go.set()
    assert job.result(10) is True


def test_only_so_many_ended_jobs_are_remembered(pool):
    first = pool.submit("quick", lambda _: None)
    for _ in range(220):
        pool.submit("quick", lambda _: None).result(10)
    with pytest.raises(JobNotFound):
        pool.job(first.job_id)
    assert len(pool.jobs()) <= 202


def test_a_closed_pool_takes_no_work_and_says_when_work_will_not_end():
    pool = JobPool(1)
    begun, go = threading.Event(), threading.Event()

    def stubborn(_):
        begun.set()
        go.wait(10)

    pool.submit("stubborn", stubborn)
    assert begun.wait(10)
    assert pool.close(0.05) is False
    with pytest.raises(Cancelled):
        pool.submit("late", lambda _: None)
    go.set()
    assert pool.close(5)


def test_a_job_never_waits_for_another_while_a_worker_is_free():
    pool = JobPool(2)
    pool.submit("first", lambda _: None).result(10)
    second_begun = threading.Event()
    waits = pool.submit("waits", lambda _: second_begun.wait(10))
    pool.submit("second", lambda _: second_begun.set()).result(10)
    assert waits.result(10) is True
    assert pool.close(5)


def test_jobs_of_one_key_run_one_after_another_and_hold_one_worker(pool):
    go = threading.Event()
    begun = threading.Event()

    def work(_):
        begun.set()
        return go.wait(10)

    first = pool.submit("refresh", work, key="refresh")
    assert begun.wait(10)
    second = pool.submit("refresh", lambda _: "second", key="refresh")
    assert pool.submit("refresh", lambda _: "third", key="refresh") is second
    assert pool.submit("other", lambda _: "free").result(10) == "free"
    assert second.is_queued
    go.set()
    assert first.result(10) is True
    assert second.result(10) == "second"


def test_work_that_waits_for_other_machines_leaves_room_for_the_rest():
    pool = JobPool(4)
    go = threading.Event()
    waiting = [pool.submit("lookup", lambda _: go.wait(10), is_remote=True) for _ in range(6)]
    try:
        assert pool.submit("refresh", lambda _: "done").result(10) == "done"
        assert sum(not job.is_queued for job in waiting) <= 2
    finally:
        go.set()
    assert all(job.result(10) for job in waiting)
    assert pool.close(5)


def test_remote_work_runs_in_the_smallest_pool():
    pool = JobPool(1)
    assert pool.submit("lookup", lambda _: "done", is_remote=True).result(10) == "done"
    assert pool.close(5)
