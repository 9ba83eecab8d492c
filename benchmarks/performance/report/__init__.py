"""From the raw figures in a folder to a report and plots: nothing is measured here."""

from __future__ import annotations

from pathlib import Path

from benchmarks.performance.report import plots, raw, text


def write(folder: Path) -> Path:
    """Write `report.md` and `plots/` beside the `raw/` of `folder`; gives the report's path.

    Raises RawError where there are no raw figures.
    """
    figures = raw.load(folder / "raw")
    shown = plots.write(figures, folder / "plots")
    report = folder / "report.md"
    report.write_text(text.report(figures, shown), encoding="utf-8")
    return report
