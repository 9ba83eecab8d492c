"""The figures of docs/failures.md are those of its raw rows."""

from aurum.settings import CHECKOUT
from benchmarks.failures import PARTS, summary
from benchmarks.rows import Failure, read

DOCS = CHECKOUT / "docs"


def test_the_page_shows_what_the_raw_figures_say():
    rows = read(DOCS / "failures" / "failures.csv", Failure)
    assert {row.killed for row in rows} == set(PARTS)
    assert summary(rows) in (DOCS / "failures.md").read_text()


def test_the_summary_has_medians_spread_and_sums():
    times = [(3.0, 100, 0, 3.5), (5.0, 110, 1, 5.5), (4.0, 90, 0, 4.0)]
    rows = [Failure(index, "tritonserver", *values) for index, values in enumerate(times)]
    wanted = "| `tritonserver` | 4.0 (3.0 to 5.0) | 4.0 (3.5 to 5.5) | 300 | 1 |"
    assert summary(rows).splitlines()[2:] == [wanted]
