"""The report's statistics against hand-computed figures."""

import math

import pytest

from benchmarks.common import names
from benchmarks.common.rows import ModelStats, Run, Sample
from benchmarks.load.outcome import Load
from benchmarks.performance.report import maths
from benchmarks.performance.report.maths import Spread, by_round, ratios


def run(index, what, clients, rate, *, size=1, p50=math.nan, cpu=math.nan):
    load = Load(requests=100, failures=0, rate=rate, p50=p50, p95=p50, p99=p50)
    return Run.of(index, what, clients, load, size=size, cpu_ms=cpu)


def test_the_spread_is_median_minimum_and_maximum_of_the_known_values():
    assert Spread.of([3, math.nan, 1, 10]) == (3, 1, 10)
    assert Spread.of([1, 2]) == (1.5, 1, 2)
    assert Spread.of([math.nan]) is None
    assert Spread.of([]) is None


def test_ratios_are_within_a_round():
    rows = [
        run(index, what, clients, rate)
        for index, figures in enumerate([(100, 50), (200, 180), (10, 6)])
        for what, clients, rate in zip(("baseline", "service"), (2, 8), figures, strict=True)
    ]
    rows.append(run(3, "service", 8, 1000))  # its round has no baseline: no ratio
    rows.append(run(0, "service", 1, 1000))  # another number of clients
    top, bottom = by_round(rows, "service", 8, "rate"), by_round(rows, "baseline", None, "rate")
    assert ratios(top, bottom) == [0.5, 0.9, 0.6]
    # The ratio of the medians would be 115 / 100.
    assert Spread.of(ratios(top, bottom)) == (0.6, 0.5, 0.9)
    assert ratios(top, {0: 0.0}) == []


def test_the_slope_is_by_least_squares():
    assert maths.slope([1, 2, 3], [5, 7, 9]) == pytest.approx(2)
    # By hand: means 2 and 4, sum of products 4, sum of squares 2.
    assert maths.slope([1, 2, 3], [2, 4, 6]) == pytest.approx(2)
    assert maths.slope([0, 1, 2, 3], [1, 0, 3, 2]) == pytest.approx(0.6)
    assert maths.slope([1, 2, 3], [5, math.nan, 9]) == pytest.approx(2)
    assert math.isnan(maths.slope([1, 1], [5, 7]))
    assert math.isnan(maths.slope([], []))


def test_the_cost_of_a_face_is_the_slope_over_photos_with_faces():
    photos = [
        run(0, names.PHOTO, 1, 1000 / milliseconds, size=faces, cpu=2 * milliseconds)
        for faces, milliseconds in ((0, 90), (1, 10), (5, 22), (36, 115))  # 7 ms and 3 ms a face
    ]
    assert maths.face_cost(photos, 0, "time") == pytest.approx(3)
    assert maths.face_cost(photos, 0, "cpu_ms") == pytest.approx(6)
    assert math.isnan(maths.face_cost(photos, 1, "time"))


def test_memory_growth_is_that_of_all_processes_after_the_warm_up():
    samples = [
        Sample(float(second), process, size)
        for second in range(101)
        for process, size in (
            # 90 MB more in the first 20 s, then 0.02 MB a second: 1.2 MB a minute.
            ("one", 100.0 + (4.5 * second if second < 20 else 90 + 0.02 * (second - 20))),
            ("other", 50.0),
        )
    ]
    assert maths.totals(samples)[0.0] == 150
    assert maths.growth(samples) == pytest.approx(1.2)
    assert maths.growth(samples, share=1.0) > 10
    assert math.isnan(maths.growth([]))


def test_the_mean_batch_weighs_every_execution_equally():
    def stats(inferences, executions):
        return ModelStats(0, 8, "m", inferences, inferences, executions, 0, 0, 0, 0)

    assert maths.mean_batch([stats(10, 10), stats(90, 10)]) == 5
    assert math.isnan(maths.mean_batch([]))
