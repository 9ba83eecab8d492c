"""Statistics of the reports: medians, ratios within a round, slopes."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.common.rows import ModelStats, Run, Sample


class Spread(NamedTuple):
    """Median, minimum and maximum of several rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """Compute the spread of the values that are not NaN; None if there are none."""
        known = [value for value in values if not math.isnan(value)]
        return cls(statistics.median(known), min(known), max(known)) if known else None


def by_round(
    runs: Iterable[Run], what: str, clients: int | None, field: str, size: int | None = None
) -> dict[int, float]:
    """Return the figure `field` of each round; `clients` or `size` None: any."""
    return {
        run.round: float(getattr(run, field))
        for run in runs
        if run.what == what
        and (clients is None or run.clients == clients)
        and (size is None or run.size == size)
    }


def ratios(top: Mapping[int, float], bottom: Mapping[int, float]) -> list[float]:
    """Return the ratios of rounds for which both figures are known."""
    return [top[index] / bottom[index] for index in top if bottom.get(index, 0) > 0]


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the least-squares slope of y over x; NaN if all x are equal."""
    points = [(x, y) for x, y in zip(xs, ys, strict=True) if not math.isnan(y)]
    if len({x for x, _ in points}) < 2:
        return math.nan
    x_mean = statistics.fmean(x for x, _ in points)
    y_mean = statistics.fmean(y for _, y in points)
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / spread


def face_cost(runs: Sequence[Run], index: int, field: str) -> float:
    """Return the milliseconds that one more face in a photo costs in a round, at one client.

    `field`: `time`, the client's mean time per photo, or `cpu_ms`. Photos without a face are left
    out, since the detector also runs on the turned photo.
    """
    own = [run for run in runs if run.round == index and run.size >= 1]
    times = [1000 / run.rate if field == "time" else run.cpu_ms for run in own]
    return slope([run.size for run in own], times)


def totals(samples: Iterable[Sample]) -> dict[float, float]:
    """Return the PSS of all processes together at each moment, in MB."""
    sums: defaultdict[float, float] = defaultdict(float)
    for sample in samples:
        sums[sample.seconds] += sample.pss_mb
    return dict(sums)


def growth(samples: Iterable[Sample], share: float = 0.8) -> float:
    """Return the growth in MB per minute over the last `share` of the time, after warming up."""
    sums = totals(samples)
    if not sums:
        return math.nan
    first = (1 - share) * max(sums)
    late = {seconds: size for seconds, size in sums.items() if seconds >= first}
    return 60 * slope(list(late), list(late.values()))


def mean_batch(rows: Iterable[ModelStats]) -> float:
    """Return the mean number of items in an executed batch, over all rows together."""
    chosen = list(rows)
    executions = sum(row.executions for row in chosen)
    return sum(row.inferences for row in chosen) / executions if executions else math.nan
