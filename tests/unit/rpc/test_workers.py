"""One thread answers short calls; long ones hold nobody up."""

import threading
from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from pumas.rpc.workers import SHORT_S, Workers


class Call:
    """What Waitress puts into the queue: a connection with a request."""

    def __init__(self, work=lambda: None):
        self.work = work
        self.thread: Future[int] = Future()

    def service(self):
        self.work()
        self.thread.set_result(threading.get_ident())

    def cancel(self):
        self.thread.cancel()


@contextmanager
def started(threads):
    workers = Workers(threads)
    try:
        yield workers
    finally:
        workers.shutdown(timeout=5)


@pytest.fixture
def workers():
    with started(4) as workers:
        yield workers


def look_until_done(workers, call):
    """What the server's loop does."""
    for _ in range(2000):
        workers.look()
        try:
            return call.thread.result(timeout=SHORT_S)
        except TimeoutError:
            continue
    raise AssertionError("nobody took the call")


def test_a_call_is_answered_without_anybody_looking(workers):
    call = Call()
    workers.add_task(call)
    assert call.thread.result(timeout=10)


def test_calls_that_come_together_are_answered_by_one_thread_in_their_order(workers, monkeypatch):
    monkeypatch.setattr("pumas.rpc.workers.SHORT_S", 60)  # nothing is long, however busy the machine
    order = []
    gate = threading.Lock()
    gate.acquire()
    calls = [Call(gate.acquire), *(Call(lambda number=number: order.append(number)) for number in range(50))]
    for call in calls:
        workers.add_task(call)
    gate.release()
    assert len({call.thread.result(timeout=10) for call in calls}) == 1
    assert order == list(range(50))
    assert not workers.is_waited_for


def test_long_calls_hold_nobody_up_while_a_thread_is_left(workers):
    end = threading.Event()
    long_calls = [Call(end.wait) for _ in range(3)]
    short = Call()
    for call in (*long_calls, short):
        workers.add_task(call)
    thread = look_until_done(workers, short)
    assert not any(call.thread.done() for call in long_calls)
    end.set()
    assert thread not in {call.thread.result(timeout=10) for call in long_calls}


def test_calls_wait_when_all_threads_are_at_long_ones_and_go_on_after(workers):
    end = threading.Event()
    begun = threading.Barrier(5)
    long_calls = [Call(lambda: (begun.wait(), end.wait())) for _ in range(4)]
    waiting = [Call() for _ in range(20)]
    for call in (*long_calls, *waiting):
        workers.add_task(call)
    while begun.n_waiting < 4:
        workers.look()
    begun.wait(timeout=10)
    with pytest.raises(TimeoutError):
        waiting[0].thread.result(timeout=0.05)
    end.set()
    for call in (*long_calls, *waiting):
        look_until_done(workers, call)


def test_a_call_that_fails_costs_no_thread():
    def fail():
        raise ValueError("a defect")

    with started(1) as workers:
        call = Call()
        for each in (Call(fail), call):
            workers.add_task(each)
        assert call.thread.result(timeout=10)


def test_what_nobody_took_is_told_that_it_is_over():
    with started(1) as workers:
        begun, end = threading.Event(), threading.Event()

        def begun_and_wait():
            begun.set()
            end.wait()

        call, waiting = Call(begun_and_wait), Call()
        workers.add_task(call)
        workers.add_task(waiting)
        assert begun.wait(10)
        workers.shutdown(timeout=0.01)
        assert waiting.thread.cancelled()
        end.set()
        assert call.thread.result(timeout=10)
