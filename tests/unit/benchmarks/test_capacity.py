"""The capacity sheet: its arithmetic against hand-computed figures, and the committed sheet."""

from __future__ import annotations

import pytest

from aurum.paths import CHECKOUT
from benchmarks.capacity import sheet
from benchmarks.capacity.sheet import MEASURED_MEGAPIXELS, Costs, Kind
from benchmarks.common import names
from benchmarks.common.rows import Run, read

DOCS = CHECKOUT / "docs" / "reports"
COSTS = Costs(
    photo_ms=10.0, face_ms=4.0, megapixel_ms=5.0, gateway_ms=0.5,
    held_rate=100.0, most_rate=150.0, cores=2, memory_mb=500.0,
)  # fmt: skip


def test_costs_grow_with_faces_and_megapixels():
    small = Kind("x", 1, MEASURED_MEGAPIXELS)
    large = Kind("y", 3, MEASURED_MEGAPIXELS + 2)
    assert COSTS.use == pytest.approx(0.5)  # 100 photos of 10 ms on 2 cores
    assert COSTS.of(small) == pytest.approx(10)
    assert COSTS.of(large) == pytest.approx(10 + 2 * 4 + 2 * 5)
    assert COSTS.rate_a_core(small) == pytest.approx(50)  # the sustained rate, over 2 cores
    assert COSTS.servers(small, 100) == 1
    assert COSTS.servers(small, 101) == 2
    assert COSTS.servers(large, 10_000) == 280  # 10,000 * 28 ms / 0.5 / 2 cores
    assert COSTS.gateway_cores(1000) == pytest.approx(1)


def test_the_committed_sheet_matches_the_committed_figures():
    own = DOCS / "capacity" / "raw"
    found = sheet.costs(DOCS / "performance" / "raw", own)
    text = sheet.report(found, own)
    assert text == (DOCS / "capacity" / "report.md").read_text()
    assert "| 10,000 |" in text


def test_the_committed_run_lost_no_photo():
    runs = read(DOCS / "capacity" / "raw" / "scaleout.csv", Run)
    assert {run.what for run in runs} == set(sheet.WHATS)
    assert sum(run.failures for run in runs) == 0
    [killed] = [run for run in runs if run.what == names.GATEWAY_KILLED]
    assert killed.requests > 100
