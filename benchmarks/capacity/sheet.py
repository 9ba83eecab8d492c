"""``python -m benchmarks capacity``: compute the capacity sheet from committed figures.

Input are the figures of `python -m benchmarks run --suite full` (docs/reports/performance/raw) and
`python -m benchmarks scaleout` (docs/reports/capacity/raw), output is
docs/reports/capacity/report.md. Larger installations are extrapolated only in the number of
servers, since servers share nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aurum.paths import CHECKOUT, PHOTO
from benchmarks.capacity.scaleout import CLIENTS
from benchmarks.common import names
from benchmarks.common.rows import Run, Sample, Users, read
from benchmarks.performance.report import maths
from benchmarks.performance.report.maths import Spread, by_round, ratios

RATES = (10, 100, 1_000, 10_000)  # photos a second
LOADED = 8  # requests in flight in the measurement of a photo's cost
MEASURED_MEGAPIXELS = 0.262144  # of the measured photo: 512x512, one face
SERVER_CORES = 2  # per server, as measured

WHATS = (
    names.WITHOUT_GATEWAY,
    names.GATEWAY_ONE,
    names.GATEWAY_TWO,
    names.GATEWAY_ONE_PINNED,
    names.GATEWAY_TWO_PINNED,
    names.GATEWAY_KILLED,
)
RATIOS = (
    (names.GATEWAY_ONE, names.WITHOUT_GATEWAY),
    (names.GATEWAY_TWO, names.GATEWAY_ONE),
    (names.GATEWAY_TWO_PINNED, names.GATEWAY_ONE_PINNED),
)


@dataclass(frozen=True)
class Kind:
    """A kind of photo that users send."""

    name: str
    faces: int
    megapixels: float


KINDS = (
    Kind("selfie, scaled down by the app", 1, MEASURED_MEGAPIXELS),
    Kind("selfie, as the phone took it", 1, 12.0),
    Kind("group, as the phone took it", 8, 12.0),
)


@dataclass(frozen=True)
class Costs:
    """Measured costs, in CPU time of one core."""

    photo_ms: float  # one face, MEASURED_MEGAPIXELS, LOADED requests in flight
    face_ms: float  # one more face
    megapixel_ms: float  # one more megapixel
    gateway_ms: float  # a request at the gateway
    held_rate: float  # photos per second at p95 < 100 ms (Locust)
    most_rate: float  # photos per second at LOADED requests in flight
    cores: int  # of the machine
    memory_mb: float  # peak of a server with SERVER_CORES

    @property
    def use(self) -> float:
        """CPU utilization for answering while the p95 was held."""
        return self.held_rate * self.photo_ms / 1000 / self.cores

    def of(self, kind: Kind) -> float:
        """Return the CPU time of such a photo, ms."""
        return (
            self.photo_ms
            + self.face_ms * (kind.faces - 1)
            + self.megapixel_ms * (kind.megapixels - MEASURED_MEGAPIXELS)
        )

    def rate_a_core(self, kind: Kind) -> float:
        """Return photos per second and core, at the CPU utilization of the held rate."""
        return self.use * 1000 / self.of(kind)

    def servers(self, kind: Kind, rate: float) -> int:
        """Return the number of servers with SERVER_CORES cores for `rate` photos per second."""
        return math.ceil(rate / self.rate_a_core(kind) / SERVER_CORES)

    def gateway_cores(self, rate: float) -> float:
        """Return the cores that gateways need for `rate` requests per second."""
        return rate * self.gateway_ms / 1000 / self.use


def costs(performance: Path, own: Path) -> Costs:
    """Compute the costs from the raw figures in two folders."""
    compare = read(performance / "compare.csv", Run)
    faces = [run for run in read(performance / "faces.csv", Run) if run.what == names.PHOTO]
    pixels = read(own / "pixels.csv", Run)
    scaleout = read(own / "scaleout.csv", Run)
    return Costs(
        photo_ms=_median(by_round(compare, names.SERVICE, LOADED, "cpu_ms").values()),
        face_ms=_median(
            maths.face_cost(faces, index, "cpu_ms") for index in {run.round for run in faces}
        ),
        megapixel_ms=_median(
            _megapixel_cost([run for run in pixels if run.round == index])
            for index in {run.round for run in pixels}
        ),
        gateway_ms=_median(by_round(scaleout, names.GATEWAY_ONE, LOADED, "cpu_ms").values()),
        held_rate=_held(read(performance / "locust.csv", Users)),
        most_rate=_median(by_round(compare, names.SERVICE, LOADED, "rate").values()),
        cores=json.loads((performance / "machine.json").read_text())["cores"],
        memory_mb=max(maths.totals(read(performance / "soak.csv", Sample)).values()),
    )


def report(costs: Costs, own: Path) -> str:
    """Return the sheet in Markdown; `own` has the raw figures of `benchmarks.capacity.scaleout`."""
    runs = read(own / "scaleout.csv", Run)
    machine = json.loads((own / "machine.json").read_text())
    lines = [*_measured(costs), *_sizes(costs), *_scaleout(runs, machine)]
    return "\n".join(lines) + "\n"


def _measured(costs: Costs) -> list[str]:
    return [
        "# Capacity sheet",
        "",
        "Written by `python -m benchmarks capacity`. How to use it: "
        "[capacity](../../guides/capacity.md).",
        "",
        "## Measured",
        "",
        "| figure | measured |",
        "| --- | --- |",
        f"| CPU time of a photo (512x512, one face, {LOADED} in flight) "
        f"| {costs.photo_ms:.1f} ms |",
        f"| CPU time of one more face | {costs.face_ms:.1f} ms |",
        f"| CPU time of one more megapixel | {costs.megapixel_ms:.1f} ms |",
        f"| CPU time of a request at the gateway | {costs.gateway_ms:.2f} ms |",
        f"| photos/s, {costs.cores} cores, {LOADED} in flight | {costs.most_rate:.0f} "
        f"({costs.most_rate / costs.cores:.0f} per core) |",
        f"| photos/s held at p95 < 100 ms, {costs.cores} cores, load generator included | "
        f"{costs.held_rate:.0f} ({costs.held_rate / costs.cores:.0f} per core) |",
        f"| CPU utilization for answering at that rate | {costs.use:.0%} |",
        f"| peak memory of a server with {SERVER_CORES} cores | {costs.memory_mb:.0f} MB |",
        "",
    ]


def _sizes(costs: Costs) -> list[str]:
    """Return the section of computed sizes."""
    size = PHOTO.stat().st_size
    lines = [
        "## Computed",
        "",
        f"Servers have {SERVER_CORES} cores, with the CPU utilization of the held rate "
        f"({costs.use:.0%}). Add one server, so that one may fail.",
        "",
        "| photo | CPU ms | photos/s per core | load, photos/s | servers | cores | memory GB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in KINDS:
        title = f"{kind.name}: {_faces(kind.faces)}, {kind.megapixels:.3g} MP"
        for rate in RATES:
            count = costs.servers(kind, rate)
            lines.append(
                f"| {title} | {costs.of(kind):.0f} | {costs.rate_a_core(kind):.1f} | {rate:,} | "
                f"{count:,} | {count * SERVER_CORES:,} | {count * costs.memory_mb / 1000:,.1f} |"
            )
    lines += [
        "",
        f"The gateway, and the incoming bandwidth for photos of {size / 1000:.0f} kB:",
        "",
        "| requests/s | gateway cores | Gbit/s in |",
        "| --- | --- | --- |",
        *(
            f"| {rate:,} | {costs.gateway_cores(rate):.2g} | {rate * size * 8 / 1e9:.2g} |"
            for rate in RATES
        ),
        "",
    ]
    return lines


def _scaleout(runs: Sequence[Run], machine: dict[str, Any]) -> list[str]:
    lines = [
        "## One and two servers on the same machine",
        "",
        f"{machine['cores']} cores, commit {machine['commit']}. Other programs used "
        f"{machine['busy_before_percent']:.0f} % of the cores just before the run.",
        "",
        "| what | clients | photos/s | least .. most | p50 ms | p95 ms | requests | failed |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for clients in CLIENTS:
        for what in WHATS:
            own = [run for run in runs if run.what == what and run.clients == clients]
            if own:
                rate = Spread.of(run.rate for run in own)
                assert rate is not None
                lines.append(
                    f"| {what} | {clients} | {rate.median:.1f} | {rate.least:.1f} .. "
                    f"{rate.most:.1f} | {_median(run.p50 for run in own):.1f} | "
                    f"{_median(run.p95 for run in own):.1f} | "
                    f"{sum(run.requests for run in own)} | {sum(run.failures for run in own)} |"
                )
    lines += ["", "| ratio, of the same round | clients | median | least .. most |"]
    lines += ["| --- | --- | --- | --- |"]
    for top, bottom in RATIOS:
        for clients in CLIENTS:
            rates = [by_round(runs, what, clients, "rate") for what in (top, bottom)]
            spread = Spread.of(ratios(*rates))
            if spread:
                lines.append(
                    f"| {top} / {bottom} | {clients} | {spread.median:.2f} | "
                    f"{spread.least:.2f} .. {spread.most:.2f} |"
                )
    return lines


def _held(users: Iterable[Users]) -> float:
    """Return the median over the searches of the highest rate held (one face, HTTP)."""
    best: dict[str, float] = {}
    for run in users:
        if run.held and run.photos == names.ONE_FACE and run.protocol == "http":
            best[run.search] = max(best.get(run.search, 0.0), run.rate)
    return _median(best.values())


def _megapixel_cost(runs: Sequence[Run]) -> float:
    return maths.slope([run.size / 1e6 for run in runs], [run.cpu_ms for run in runs])


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _faces(count: int) -> str:
    return f"{count} face" + ("s" if count != 1 else "")


def main() -> None:
    """Parse the command line and write the sheet."""
    docs = CHECKOUT / "docs" / "reports"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--performance", type=Path, default=docs / "performance" / "raw")
    parser.add_argument("--scaleout", type=Path, default=docs / "capacity" / "raw")
    parser.add_argument("--out", type=Path, default=docs / "capacity" / "report.md")
    given = parser.parse_args()
    sheet = report(costs(given.performance, given.scaleout), given.scaleout)
    given.out.write_text(sheet)
    print(given.out)


if __name__ == "__main__":
    main()
