"""Reading Locust's reports and searching for the sustained rate, without running Locust."""

import math
from dataclasses import replace

import pytest

from benchmarks.load.locust_run import LocustError, find_held_rate, held, parse, run
from benchmarks.load.outcome import Load

HEADER = (
    "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,"
    "Min Response Time,Max Response Time,Average Content Size,Requests/s,Failures/s,"
    "50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%\n"
)
# Written by Locust 2.18.4, unchanged.
STATS = HEADER + (
    "POST,analyze_faces,105,3,36,37.1,25,65,3147.0,52.6,1.5,36,39,40,41,45,50,55,57,65,65,65\n"
    ",Aggregated,105,3,36,37.1,25,65,3147.0,52.6,1.5,36,39,40,41,45,50,55,57,65,65,65\n"
)
NOTHING = HEADER + ",Aggregated,0,0,0,0.0,0,0,0,0.0,0.0" + ",N/A" * 11 + "\n"
FAILURES = """\
Method,Name,Error,Occurrences
POST,analyze_faces,CatchResponseError('400 [invalid_image]'),2
POST,analyze_faces,TimeoutError(),1
"""
GOOD = Load(requests=100, failures=0, rate=50, p50=20, p95=40, p99=60)


def test_the_csvs_become_a_load_with_failures_by_reason():
    assert parse(STATS, FAILURES) == Load(
        requests=105,
        failures=3,
        rate=52.6,
        p50=36,
        p95=50,
        p99=57,
        reasons={"400 [invalid_image]": 2, "TimeoutError()": 1},
    )


def test_without_requests_there_are_no_latencies():
    load = parse(NOTHING)
    assert load.requests == 0
    assert math.isnan(load.p95)
    assert not held(load, 1)


@pytest.mark.parametrize(
    "stats",
    ["", HEADER, STATS.replace("95%", "94%"), STATS.replace(",105,", ",many,"), STATS + STATS],
)
def test_an_unexpected_csv_is_refused_and_shown(stats):
    with pytest.raises(LocustError) as error:
        parse(stats)
    assert stats in str(error.value)


def test_a_rate_is_held_if_answers_are_fast_complete_and_without_failures():
    assert held(GOOD, 50)
    assert held(GOOD, 52)  # nearly all: the answers to the last photos were not waited for
    assert not held(GOOD, 60)
    assert not held(replace(GOOD, failures=1), 50)
    assert not held(replace(GOOD, p95=100), 50)
    assert held(replace(GOOD, p95=100), 50, limit_ms=101)


def service(capacity):
    """A service that sustains up to `capacity` photos a second and slows down beyond that."""

    def measure(rate):
        return replace(GOOD, rate=rate, p95=40 if rate <= capacity else 400)

    return measure


@pytest.mark.parametrize("capacity", [1.5, 9, 10, 47, 300])
def test_the_search_ends_just_below_the_capacity(capacity):
    rate, tried = find_held_rate(service(capacity), start=10, precision=0.05)
    assert 0.94 * capacity <= rate <= capacity
    assert tried[rate].p95 == 40
    assert any(load.p95 == 400 for load in tried.values())


def test_a_service_that_sustains_nothing_has_the_rate_0():
    rate, tried = find_held_rate(service(0), start=10)
    assert rate == 0
    assert min(tried) >= 1


def test_an_address_with_another_scheme_is_refused(tmp_path):
    with pytest.raises(LocustError, match="ftp://host: the address must begin with"):
        run("ftp://host", tmp_path, users=1, seconds=1)
