"""A burst after a push message: more photos at once than the gateway allows the app's key."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import scenario_world
from gateway_world import gateway_for


@pytest.fixture
def narrow(service):
    """A gateway that allows one key 40 photos a second and 8 in flight."""
    with gateway_for(service, rate=40, burst=8, connections=8) as world:
        yield world


def test_a_hundred_members_answer_a_push_message_at_once(narrow, redis, photos, seen):
    """Nobody is turned away, and everybody gets the answer to their own photo."""
    numbers = range(100)
    with scenario_world.app(narrow, redis, ML_SERVICE_TIMEOUT="100000") as app:
        shown = [photos.one_of_many(number) for number in numbers]
        start = time.monotonic()
        with ThreadPoolExecutor(len(numbers)) as pool:
            replies = list(pool.map(app.keep, map(str, numbers), shown))
        seconds = time.monotonic() - start
        assert app.mode == "triton"
    assert Counter(reply.source for reply in replies) == {"triton": 100}
    assert [reply.imageSize for reply in replies] == [[512 + number, 512] for number in numbers]
    status = Counter(line["status"] for line in narrow.log())
    assert status[200] == len(numbers)
    assert status[429] > 0
    assert set(status) <= {200, 429}
    seen("100 members at once: 100 answered, each with their own photo's answer, 0 turned away.")
    seen.measured(
        f"The gateway said {status[429]} times 429; the last had an answer after {seconds:.1f} s."
    )


def test_three_hundred_photos_go_through_the_queue(narrow, redis, photos, seen):
    """The app accepts them at once; workers score them at the rate that the gateway allows."""
    numbers = range(300)
    with scenario_world.app(narrow, redis) as app, ThreadPoolExecutor(16) as pool:
        start = time.monotonic()
        jobs = list(pool.map(app.put_into_queue, map(photos.one_of_many, numbers)))
        taken = time.monotonic() - start
        with scenario_world.worker(narrow, redis), scenario_world.worker(narrow, redis):
            scored = [app.scored(job) for job in jobs]
        seconds = time.monotonic() - start
    assert len(set(jobs)) == len(numbers)
    assert Counter(photo.state for photo in scored) == {"completed": 300}
    sizes = [photo.score["detectionData"]["imageSize"] for photo in scored]
    assert sizes == [[512 + number, 512] for number in numbers]
    assert {photo.score["source"] for photo in scored} == {"triton"}
    status = Counter(line["status"] for line in narrow.log())
    assert set(status) <= {200, 429}
    seen("300 photos in the queue: 300 scored, 0 failed, each job with its own photo's score.")
    seen.measured(
        f"Taken after {taken:.1f} s, all scored after {seconds:.1f} s, {status[429]} times 429."
    )
