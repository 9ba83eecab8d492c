"""Write a run's answers as CSV and Markdown."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from benchmarks.robustness.hostile.neighbour import p95
from benchmarks.robustness.hostile.run import SOUND, Result
from benchmarks.robustness.hostile.send import HANG


def write(result: Result, folder: Path, command: str) -> Path:
    """Write `answers.csv` and `report.md`; return the report's path."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "answers.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("kind", "answer", "requests"))
        table.writerows((*key, n) for key, n in sorted(result.answers.items()))
    (folder / "report.md").write_text(report(result, command))
    return folder / "report.md"


def report(result: Result, command: str) -> str:
    """Return the report in Markdown."""
    said = sorted({answer for _, answer in result.answers}, key=lambda name: (name != "ok", name))
    kinds = sorted({kind for kind, _ in result.answers}, key=lambda name: (name == SOUND, name))
    lines = [
        "# Hostile input",
        "",
        f"Written by `{command}` ([how](../../guides/security.md#hostile-input)).",
        "",
        f"- hostile requests: {result.count}, in {result.seconds:.0f} s",
        f"- wrong answers, crashes, internal errors, hangs (over {HANG:.0f} s): "
        f"{len(result.wrong)}",
        f"- processes: {result.processes}",
    ]
    if result.memory:
        lines.append(
            f"- memory of all of them (PSS): {result.memory[0]:.0f} MB before, "
            f"{max(result.memory):.0f} MB at most, {result.memory[-1]:.0f} MB after"
        )
    if result.cpu is not None:
        lines.append(f"- processor time of all of them: {result.cpu:.0f} s")
    if result.ejected is not None:
        lines.append(f"- failures that the gateway counted against a server: {result.ejected}")
    if result.costs:
        kind, spent = max(result.costs.values(), key=lambda cost: cost[1])
        median = np.median([cost for _, cost in result.costs.values()])
        lines.append(
            f"- processor time of one input, for {len(result.costs)} inputs sent again one at a "
            f"time: median {median:.3f} s, at most {spent:.2f} s ({kind})"
        )
    if result.neighbour:
        user = result.neighbour
        lines.append(
            f"- another user's selfies, one after the other: 95 % within {p95(user.alone):.3f} s "
            f"before and {p95(user.beside):.3f} s meanwhile ({user.slowdown:.1f} times), "
            f"{len(user.wrong)} of {len(user.beside)} not answered"
        )
    lines += [
        "",
        "The columns are answers: `ok`, the error's code, or a refusal in Triton's own words.",
        "",
        f"| kind | {' | '.join(said)} | slowest, ms |",
        "| --- |" + " --- |" * (len(said) + 1),
    ]
    for kind in kinds:
        counts = " | ".join(str(result.answers[kind, name] or "") for name in said)
        lines.append(f"| {kind} | {counts} | {result.slowest[kind] * 1000:.0f} |")
    lines += ["", *(f"- WRONG: {text}" for text in result.wrong[:50])] if result.wrong else []
    return "\n".join(lines) + "\n"
