"""The report's plots, as SVG with searchable text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.common import names
from benchmarks.performance.report import maths
from benchmarks.performance.report.maths import Spread, by_round
from benchmarks.performance.report.raw import Raw

# The same figures give the same file, and text remains text.
mpl.rcParams.update({"svg.hashsalt": "aurum", "svg.fonttype": "none", "axes.grid": True})
PARTS = ("queue", "input", "infer", "output")

Draw = Callable[[Raw, Figure], bool]


def write(raw: Raw, folder: Path) -> list[str]:
    """Write every plot that has figures to `folder`; return the file names.

    A name begins with the suite's part that it shows.
    """
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    draws: dict[str, Draw] = {
        "compare-throughput.svg": _throughput,
        "compare-latency.svg": _latency,
        "faces-cost.svg": _faces,
        "batching-time.svg": _time,
        "batching-size.svg": _batches,
        "perf_analyzer-throughput.svg": _sweep,
        "soak-memory.svg": _memory,
    }
    written = []
    for name, draw in draws.items():
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        if draw(raw, figure):
            figure.savefig(folder / name, metadata={"Date": None})
            written.append(name)
    return written


def _throughput(raw: Raw, figure: Figure) -> bool:
    axes = figure.subplots()
    for what in dict.fromkeys(run.what for run in raw.compare):
        if what in (names.BASELINE, names.BASELINE_SERVED):
            rate = Spread.of(by_round(raw.compare, what, None, "rate").values())
            if rate:
                style = "--" if what == names.BASELINE else ":"
                axes.axhline(rate.median, color="black", linestyle=style, label=what)
        else:
            _line(axes, raw, what, "rate", what)
    _concurrency(axes, "photos a second")
    return bool(raw.compare)


def _latency(raw: Raw, figure: Figure) -> bool:
    rows = figure.subplots(1, 3, sharex=True)
    for axes, field in zip(rows, ("p50", "p95", "p99"), strict=True):
        for what in (
            *(names.SERVICE, names.SERVICE_PLAIN, names.SERVICE_GRPC),
            *(names.COMPETITOR, names.ORCHESTRATED),
        ):
            _line(axes, raw, what, field, what)
        axes.set_title(field)
        _concurrency(axes, "ms")
    return bool(raw.compare)


def _line(axes: Axes, raw: Raw, what: str, field: str, label: str) -> None:
    """Plot a line over the number of clients, with the spread of the rounds as error bars."""
    points = []
    for clients in sorted({run.clients for run in raw.compare if run.what == what}):
        spread = Spread.of(by_round(raw.compare, what, clients, field).values())
        if spread:
            points.append((clients, spread))
    if points:
        medians = [spread.median for _, spread in points]
        bars = [
            [spread.median - spread.least for _, spread in points],
            [spread.most - spread.median for _, spread in points],
        ]
        axes.errorbar(
            [x for x, _ in points], medians, yerr=bars, marker="o", label=label, capsize=3
        )


def _concurrency(axes: Axes, unit: str) -> None:
    axes.set_xlabel("requests in flight")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")


def _faces(raw: Raw, figure: Figure) -> bool:
    photos = [run for run in raw.faces if run.what == names.PHOTO]
    if not photos:
        return False
    axes = figure.subplots()
    sizes = sorted({run.size for run in photos})
    for label, field in (("time at one client", "time"), ("CPU time of the server", "cpu_ms")):
        values = [
            Spread.of(
                1000 / run.rate if field == "time" else run.cpu_ms
                for run in photos
                if run.size == size
            )
            for size in sizes
        ]
        known = [(size, value.median) for size, value in zip(sizes, values, strict=True) if value]
        if known:
            axes.plot(*zip(*known, strict=True), marker="o", label=label)
    axes.set_xlabel("faces in the photo")
    axes.set_ylabel("ms a photo")
    axes.set_ylim(bottom=0)
    axes.legend()
    return True


def _time(raw: Raw, figure: Figure) -> bool:
    models = sorted({row.model for row in raw.batching})
    counts = sorted({row.clients for row in raw.batching})
    if not models:
        return False
    rows = figure.subplots(1, len(models), squeeze=False)[0]
    for axes, model in zip(rows, models, strict=True):
        below = [0.0] * len(counts)
        for part in PARTS:
            heights = []
            for clients in counts:
                own = [r for r in raw.batching if (r.model, r.clients) == (model, clients)]
                spread = Spread.of(getattr(row, f"{part}_us") / 1000 for row in own)
                heights.append(spread.median if spread else 0.0)
            axes.bar([str(count) for count in counts], heights, bottom=below, label=part)
            below = [low + high for low, high in zip(below, heights, strict=True)]
        axes.set_title(model, fontsize="small")
        axes.set_xlabel("clients")
    rows[0].set_ylabel("ms a request")
    rows[0].legend(fontsize="small")
    return True


def _batches(raw: Raw, figure: Figure) -> bool:
    axes = figure.subplots()
    for model in sorted({row.model for row in raw.batching}):
        own = [row for row in raw.batching if row.model == model]
        counts = sorted({row.clients for row in own})
        sizes = [maths.mean_batch(row for row in own if row.clients == count) for count in counts]
        axes.plot(counts, sizes, marker="o", label=model)
    _concurrency(axes, "items in an executed batch, mean")
    return bool(raw.batching)


def _sweep(raw: Raw, figure: Figure) -> bool:
    rows = figure.subplots(1, 2)
    for workload, protocol in sorted({(row.workload, row.protocol) for row in raw.sweep}):
        own = [row for row in raw.sweep if (row.workload, row.protocol) == (workload, protocol)]
        label = f"{workload}, {protocol}"
        style = "-" if protocol == "grpc" else "--"
        counts = [row.clients for row in own]
        rows[0].plot(counts, [row.rate for row in own], style, marker=".", label=label)
        rows[1].plot(counts, [row.p95_us / 1000 for row in own], style, marker=".")
    _concurrency(rows[0], "requests a second")
    _concurrency(rows[1], "p95, ms")
    if raw.sweep:
        rows[0].legend(fontsize="xx-small")
    return bool(raw.sweep)


def _memory(raw: Raw, figure: Figure) -> bool:
    axes = figure.subplots()
    moments = sorted({sample.seconds for sample in raw.soak})
    processes = sorted({sample.process for sample in raw.soak})
    sizes = {(sample.process, sample.seconds): sample.pss_mb for sample in raw.soak}
    if moments:
        heights = [[sizes.get((name, moment), 0.0) for moment in moments] for name in processes]
        axes.stackplot(moments, heights, labels=processes)
        axes.legend(loc="lower right", fontsize="small")
    axes.set_xlabel("seconds")
    axes.set_ylabel("PSS, MB")
    axes.set_ylim(bottom=0)
    return bool(moments)
