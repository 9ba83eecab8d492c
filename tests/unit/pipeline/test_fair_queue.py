"""API keys take turns: one key's photos don't all go before another's."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from waiting import eventually

from aurum.pipeline import fair_queue
from aurum.pipeline.fair_queue import FairQueue


class Jobs:
    """Jobs that run until they are released; records the order in which they begin."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._ends: dict[str, threading.Event] = {}

    def __call__(self, name: str) -> None:
        end = self._ends.setdefault(name, threading.Event())
        self.begun.append(name)
        assert end.wait(30)

    def end(self, name: str) -> None:
        self._ends.setdefault(name, threading.Event()).set()


@contextmanager
def queue(jobs, *, threads=1, max_waiting=100, max_bytes=1000) -> Iterator[FairQueue[str]]:
    made = FairQueue(jobs, threads=threads, max_waiting=max_waiting, max_bytes=max_bytes)
    given: list[str] = []
    put = made.put

    def note(key, job, size=0):
        given.append(job)
        return put(key, job, size)

    made.put = note
    try:
        yield made
    finally:
        for name in given:
            jobs.end(name)
        made.close()


@pytest.fixture
def jobs():
    return Jobs()


@pytest.mark.parametrize("threads", [1, 3])
def test_another_keys_photo_begins_while_one_key_has_all_its_threads(jobs, threads):
    with queue(jobs, threads=threads) as fair:
        for number in range(31):
            fair.put("heavy", f"heavy {number}")
        eventually(lambda: len(jobs.begun) == threads)
        fair.put("other", "selfie")
        eventually(lambda: "selfie" in jobs.begun)
        assert len(jobs.begun) == threads + 1


def test_the_key_that_has_used_the_least_time_is_next(jobs, monkeypatch):
    now = 0.0
    monkeypatch.setattr(fair_queue.time, "monotonic", lambda: now)
    with queue(jobs) as fair:
        for number in range(3):
            for key in "abc":
                fair.put(key, f"{key}{number}")
        eventually(lambda: jobs.begun == ["a0", "b0"])
        now = 9.0
        jobs.end("a0")
        eventually(lambda: jobs.begun == ["a0", "b0", "c0"])
        for number in range(3):  # a has used 9 s
            now += 1.0
            jobs.end(f"c{number}")
            if number < 2:
                eventually(lambda n=number: jobs.begun[-1] == f"c{n + 1}")
        eventually(lambda: jobs.begun[-1] == "a1")


def test_idle_time_earns_no_credit(jobs, monkeypatch):
    now = 0.0
    monkeypatch.setattr(fair_queue.time, "monotonic", lambda: now)
    with queue(jobs) as fair:
        for number in range(3):
            fair.put("a", f"a{number}")
        for number in range(2):
            now += 50.0
            jobs.end(f"a{number}")
            eventually(lambda n=number: jobs.begun[-1] == f"a{n + 1}")
        fair.put("late", "late 0")
        fair.put("a", "a3")
        fair.put("late", "late 1")
        now += 1.0
        jobs.end("late 0")
        eventually(lambda: jobs.begun[-1] == "late 1")
        now += 60.0
        jobs.end("late 1")
        fair.put("late", "late 2")
        jobs.end("a2")
        eventually(lambda: {"a3", "late 2"} <= set(jobs.begun))


def test_if_a_key_has_too_many_photos_waiting_the_oldest_is_dropped(jobs):
    with queue(jobs, max_waiting=2) as fair:
        assert [fair.put("a", f"a{number}") for number in range(3)] == [None] * 3
        assert fair.put("a", "a3") == "a1"
        assert fair.put("b", "b0") is None
        assert [fair.put("", f"{number}") for number in range(9)] == [None] * 9


def test_no_more_photos_are_accepted_while_a_running_one_may_soon_end(jobs, monkeypatch):
    monkeypatch.setattr(fair_queue, "PATIENCE", 1000)
    with queue(jobs) as fair:
        fair.put("a", "a0")
        fair.wait()  # returns, as nothing is waiting
        fair.put("a", "a1")
        taking = threading.Thread(target=fair.wait)
        taking.start()
        jobs.end("a0")
        taking.join(30)
        assert not taking.is_alive()
        assert jobs.begun == ["a0", "a1"]


def test_more_photos_are_accepted_while_the_running_ones_take_long(jobs, monkeypatch):
    monkeypatch.setattr(fair_queue, "PATIENCE", 0.01)
    with queue(jobs) as fair:
        for number in range(5):
            fair.put("a", f"a{number}")
            fair.wait()
        assert jobs.begun == ["a0"]


def test_the_bytes_that_wait_are_limited_all_the_same(jobs, monkeypatch):
    monkeypatch.setattr(fair_queue, "PATIENCE", 0.01)
    with queue(jobs, max_bytes=100) as fair:
        for number in range(4):
            fair.put("a", f"a{number}", 50)
        taking = threading.Thread(target=fair.wait)
        taking.start()
        taking.join(0.2)
        assert taking.is_alive()
        jobs.end("a0")
        taking.join(30)
        assert not taking.is_alive()
