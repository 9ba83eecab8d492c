"""Render a report and plots from the raw figures in a folder."""

from __future__ import annotations

from pathlib import Path

from benchmarks.performance.report import plots, raw, text


def write(folder: Path) -> Path:
    """Write `report.md` and `plots/` next to the `raw/` of `folder`; return the report's path.

    Raises RawError if there are no raw figures.
    """
    figures = raw.load(folder / "raw")
    shown = plots.write(figures, folder / "plots")
    report = folder / "report.md"
    report.write_text(text.report(figures, shown), encoding="utf-8")
    return report
