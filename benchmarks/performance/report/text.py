"""The report in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from benchmarks.common import names
from benchmarks.common.rows import Run
from benchmarks.performance.report import maths
from benchmarks.performance.report.maths import Spread, by_round, ratios
from benchmarks.performance.report.raw import Raw
from benchmarks.performance.report.targets import TARGETS

Lines = list[str]


def report(raw: Raw, plots: Sequence[str]) -> str:
    """Build the whole report; `plots` are the names of files in `plots/`."""
    sections: list[tuple[str, str, Callable[[Raw], Lines]]] = [
        ("Service, baselines and competitor", "compare", _compare),
        ("Models", "models", _models),
        ("Cost of a face", "faces", _faces),
        ("Batches and time by model", "batching", _batching),
        ("perf_analyzer", "perf_analyzer", _sweep),
        ("Locust", "locust", _locust),
        ("Memory", "soak", _soak),
        ("GPU", "gpu", _gpu),
    ]
    lines = ["# Benchmark report", "", *_targets(raw), "", *_machine(raw)]
    for title, part, section in sections:
        lines += ["", f"## {title}", ""]
        if part not in raw.parts:
            lines.append("Not measured in this run.")
            continue
        lines += [f"- {note}" for note in raw.parts[part]["notes"]]
        lines += section(raw)
        for name in plots:
            if name.startswith(part):
                lines += ["", f"![{name}](plots/{name})"]
    return "\n".join(lines).rstrip() + "\n"


def _targets(raw: Raw) -> Lines:
    lines = [
        "Figures are medians over the rounds, with the lowest and the highest. Every ratio "
        "compares measurements of the same round.",
        *_table("figure", "target", "measured", "least .. most", "met", "command"),
    ]
    for target in TARGETS:
        spread = Spread.of(target.measure(raw))
        unit = f" {target.unit}" if target.unit else ""
        measured, between, met = "not measured", "", ""
        if spread:
            measured = f"{_number(spread.median)}{unit}"
            between = f"{_number(spread.least)} .. {_number(spread.most)}"
            met = "yes" if target.met(spread.median) else "**no**"
        lines.append(
            f"| {target.figure} | {target.relation} {target.limit:g}{unit} | {measured} "
            f"| {between} | {met} | `{_command(raw, target.part)}` |"
        )
    if raw.suite["name"] == "smoke":
        lines += ["", "**This is a smoke run: it only shows that everything works.**"]
    return lines


def _command(raw: Raw, part: str) -> str:
    return f"aurum bench run --suite {raw.suite['name']} --only {part} --out DIR"


def _machine(raw: Raw) -> Lines:
    facts = raw.machine
    suite = raw.suite
    listed = {
        "cores": facts["cores"],
        "CPU": f"{facts['cpu']} ({', '.join(facts['flags'])})",
        "memory": f"{facts['memory_gb']} GB",
        "kernel": facts["kernel"],
        "software": ", ".join(
            f"{name} {facts[name]}"
            for name in ("python", "tritonserver", "onnxruntime", "opencv", "numpy")
        ),
        "models": ", ".join(facts["models"].values()),
        "commit": ", ".join(dict.fromkeys(part["commit"] for part in raw.parts.values())),
        "suite": f"{suite['name']}: {suite['rounds']} rounds of {suite['seconds']} s, took "
        f"{sum(part['seconds'] for part in raw.parts.values()) / 60:.1f} min",
    }
    return ["## Machine", "", *(f"- {name}: {value}" for name, value in listed.items())]


def _compare(raw: Raw) -> Lines:
    pairs = [
        ("rate", names.SERVICE_PLAIN, names.BASELINE),
        ("rate", names.SERVICE_PLAIN, names.BASELINE_SERVED),
        ("rate", names.SERVICE_PLAIN, names.COMPETITOR),
        ("rate", names.SERVICE_PLAIN, names.COMPETITOR_SERVED),
        ("rate", names.SERVICE_PLAIN, names.ORCHESTRATED),
        ("rate", names.SERVICE, names.COMPETITOR),
        ("rate", names.COMPETITOR, names.BASELINE),
        ("p50", names.SERVICE_PLAIN, names.COMPETITOR),
        ("p50", names.SERVICE, names.COMPETITOR),
    ]
    lines = [
        "One photo, 512x512, one face. The plain baseline and the competitor run the upstream "
        "model files with plain onnxruntime; the served variants run the graphs that Triton "
        "serves. The orchestrating client uses CPU time on the same machine. All of these work "
        "without a second look at each face, as the service does with `refine` off.",
        *_runs(raw.compare),
        *_table("ratio, of the same round", "clients", "median", "least .. most"),
    ]
    for field, top, bottom in pairs:
        in_process = bottom in (names.BASELINE, names.BASELINE_SERVED)
        for clients in sorted({run.clients for run in raw.compare if run.what == top}):
            spread = Spread.of(
                ratios(
                    by_round(raw.compare, top, clients, field),
                    by_round(raw.compare, bottom, None if in_process else clients, field),
                )
            )
            if spread:
                what = "throughput" if field == "rate" else field
                lines.append(
                    f"| {what}, {top} / {bottom} | {clients} | {_number(spread.median)} "
                    f"| {_number(spread.least)} .. {_number(spread.most)} |"
                )
    return lines


def _models(raw: Raw) -> Lines:
    return [
        "Over HTTP. Size is the number of crops in a request; the rate counts requests.",
        *_runs(raw.models, sized=True),
    ]


def _faces(raw: Raw) -> Lines:
    photos = [run for run in raw.faces if run.what == names.PHOTO]
    rounds = sorted({run.round for run in raw.faces})
    embedder = by_round(raw.faces, names.EMBEDDING_IN_PROCESS, None, "rate")
    size = next((run.size for run in raw.faces if run.what == names.EMBEDDING_IN_PROCESS), 1)
    costs = {
        "time of one more face in a photo, one client": [
            maths.face_cost(photos, index, "time") for index in rounds
        ],
        "CPU time of one more face in a photo": [
            maths.face_cost(photos, index, "cpu_ms") for index in rounds
        ],
        f"the embedder, in process, a face in a batch of {size}": [
            1000 / (rate * size) for rate in embedder.values()
        ],
    }
    lines = [
        "Photos of 640x640 pixels that differ only in how many of their 36 tiles show a face; one "
        "client. Size is the number of faces.",
        *_runs(raw.faces, sized=True),
        *_table("cost", "ms, median", "least .. most"),
    ]
    return lines + [_spread_row(name, values) for name, values in costs.items()]


def _batching(raw: Raw) -> Lines:
    lines = [
        "From Triton's own counters, read before and after each load. Times are means in ms per "
        "request; for the pipelines' step they end when the step hands the photo to a thread. "
        "The load is on `analyze_faces`, or on the model by itself.",
        *_table("model", "clients", "requests", "mean batch", "queue", "input", "infer", "output"),
    ]
    for model, clients in sorted({(row.model, row.clients) for row in raw.batching}):
        own = [row for row in raw.batching if (row.model, row.clients) == (model, clients)]
        times = " | ".join(
            _number(spread.median / 1000) if spread else "-"
            for spread in (
                Spread.of(getattr(row, f"{part}_us") for row in own)
                for part in ("queue", "input", "infer", "output")
            )
        )
        requests = sum(row.requests for row in own)
        batch = _number(maths.mean_batch(own))
        lines.append(f"| {model} | {clients} | {requests} | {batch} | {times} |")
    return lines


def _sweep(raw: Raw) -> Lines:
    lines = [
        "Queue, input, infer and output are means in ms per request of the model that was called.",
        *_table(
            *("workload", "protocol", "clients", "requests/s", "p50 ms", "p95 ms", "p99 ms"),
            *("queue", "input", "infer", "output"),
        ),
    ]
    for row in sorted(raw.sweep, key=lambda row: (row.workload, row.protocol, row.clients)):
        times = (
            *(row.p50_us, row.p95_us, row.p99_us),
            *(row.queue_us, row.input_us, row.infer_us, row.output_us),
        )
        cells = " | ".join(_number(time / 1000) for time in times)
        lines.append(
            f"| {row.workload} | {row.protocol} | {row.clients} | {_number(row.rate)} | {cells} |"
        )
    return lines


def _locust(raw: Raw) -> Lines:
    lines = [
        "Simulated users upload photos. Locust, which is written in Python, runs on the same "
        "machine. A search tries rates; a rate is held if p95 < 100 ms, no request failed, and "
        "95 % of the rate was answered.",
        *_table(
            *("photos", "protocol", "search", "users", "asked/s", "answered/s", "p50 ms"),
            *("p95 ms", "p99 ms", "failures", "reasons", "held"),
        ),
    ]
    for row in raw.locust:
        asked = _number(row.asked) if row.asked else "no limit"
        held = ("yes" if row.held else "no") if row.search else ""
        reasons = "" if row.reasons == "{}" else row.reasons
        latencies = " | ".join(map(_number, (row.p50, row.p95, row.p99)))
        lines.append(
            f"| {row.photos} | {row.protocol} | {row.search} | {row.users} | {asked} "
            f"| {_number(row.rate)} | {latencies} | {row.failures} | {reasons} | {held} |"
        )
    return lines


def _soak(raw: Raw) -> Lines:
    sums = maths.totals(raw.soak)
    if not sums:
        return []
    lines = [
        "",
        f"PSS of all processes over {max(sums):.0f} s of load: at most "
        f"{max(sums.values()):.0f} MB, growth over the last 80 % of the time "
        f"{maths.growth(raw.soak):.2f} MB/min.",
        *_table("process", "most, MB", "growth, MB/min"),
    ]
    for process in sorted({sample.process for sample in raw.soak}):
        own = [sample for sample in raw.soak if sample.process == process]
        most = max(sample.pss_mb for sample in own)
        lines.append(f"| {process} | {most:.0f} | {maths.growth(own):.2f} |")
    return [*lines, *_runs(raw.soak_load)]


def _gpu(raw: Raw) -> Lines:
    return _runs(raw.gpu, sized=True) if raw.gpu else []


def _runs(runs: Sequence[Run], sized: bool = False) -> Lines:
    """One row per measurement, with medians over the rounds."""
    size = ("size",) if sized else ()
    columns = ("requests/s", "least .. most", "p50 ms", "p95 ms", "p99 ms", "CPU ms", "failures")
    lines = _table("what", "clients", *size, *columns)
    for key in dict.fromkeys((run.what, run.clients, run.size) for run in runs):
        own = [run for run in runs if (run.what, run.clients, run.size) == key]
        rate = Spread.of(run.rate for run in own)
        assert rate is not None
        cells = [
            key[0],
            str(key[1]),
            *([str(key[2])] if sized else []),
            _number(rate.median),
            f"{_number(rate.least)} .. {_number(rate.most)}",
            *(
                _number(spread.median) if spread else "-"
                for spread in (
                    Spread.of(getattr(run, field) for run in own)
                    for field in ("p50", "p95", "p99", "cpu_ms")
                )
            ),
            str(sum(run.failures for run in own)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _spread_row(name: str, values: Iterable[float]) -> str:
    spread = Spread.of(values)
    if spread is None:
        return f"| {name} | not measurable | |"
    between = f"{_number(spread.least)} .. {_number(spread.most)}"
    return f"| {name} | {_number(spread.median)} | {between} |"


def _table(*columns: str) -> Lines:
    """A table header, preceded by the empty line that it needs."""
    return ["", f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]


def _number(value: float) -> str:
    """Format with at least three significant digits."""
    size = abs(value)
    return f"{value:.0f}" if size >= 1000 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
