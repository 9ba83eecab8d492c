"""The figures in docs/design/failures.md match its raw data."""

from aurum.paths import CHECKOUT
from benchmarks.common.rows import Failure, Freeze, read
from benchmarks.robustness import freezes
from benchmarks.robustness.failures import PARTS, summary

DOCS = CHECKOUT / "docs" / "reports"


def test_the_page_matches_the_raw_figures():
    rows = read(DOCS / "failures" / "failures.csv", Failure)
    # Measured when there was one more step, which the page leaves out.
    assert {row.killed for row in rows} >= set(PARTS)
    assert summary(rows) in (CHECKOUT / "docs" / "design" / "failures.md").read_text()


def test_the_summary_has_medians_spreads_and_sums():
    times = [(3.0, 100, 0, 3.5), (5.0, 110, 1, 5.5), (4.0, 90, 0, 4.0)]
    rows = [Failure(index, "tritonserver", *values) for index, values in enumerate(times)]
    wanted = "| `tritonserver` | 4.0 (3.0 to 5.0) | 4.0 (3.5 to 5.5) | 300 | 1 |"
    assert summary(rows).splitlines()[2:] == [wanted]


def test_the_page_matches_the_measured_freezes():
    rows = read(DOCS / "failures" / "freezes.csv", Freeze)
    assert {(row.frozen, row.when) for row in rows} == set(freezes.KINDS)
    assert freezes.summary(rows) in (CHECKOUT / "docs" / "design" / "failures.md").read_text()


def test_freezes_are_counted_by_kind():
    times = [(True, 2.5, 100, 0, "tritonserver ended"), (False, 0.1, 110, 1, "")]
    rows = [Freeze(index, "all", "under load", *values) for index, values in enumerate(times)]
    wanted = "| all under load | 2 | 1 | 2.5 | 210 | 1 |"
    assert freezes.summary(rows).splitlines()[2:] == [wanted]
