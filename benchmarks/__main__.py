"""``python -m benchmarks COMMAND ...``: run a benchmark; each has its own ``--help``."""

from __future__ import annotations

import importlib
import sys

from aurum.cli.errors import explained, run

# Command: the module whose main() parses the rest of the command line.
COMMANDS = {
    "run": "benchmarks.performance.command",
    "report": "benchmarks.performance.command",
    "inputs": "benchmarks.performance.command",
    "perf_analyzer": "benchmarks.load.perf_analyzer",
    "bulk": "benchmarks.performance.bulk",
    "looks": "benchmarks.performance.looks",
    "reduced": "benchmarks.performance.reduced",
    "against": "benchmarks.performance.against",
    "kernels": "benchmarks.performance.kernels",
    "gpu": "benchmarks.performance.gpu",
    "profiles": "benchmarks.performance.profiles",
    "monitoring-cost": "benchmarks.performance.monitoring_cost",
    "hostile": "benchmarks.robustness.hostile.command",
    "failures": "benchmarks.robustness.failures",
    "freezes": "benchmarks.robustness.freezes",
    "fairness": "benchmarks.robustness.fairness",
    "scaleout": "benchmarks.capacity.scaleout",
    "capacity": "benchmarks.capacity.sheet",
    "gallery": "benchmarks.gallery.command",
    "members": "benchmarks.members.command",
    "members identify": "benchmarks.members.identify",
    "members rates": "benchmarks.members.rates",
    "quality mean-face": "benchmarks.quality.mean_face",
    "quality fit": "benchmarks.quality.fit",
    "quality ranges": "benchmarks.quality.ranges",
    "quality evaluate": "benchmarks.quality.evaluate",
    "quality choose": "benchmarks.quality.choose",
    "quality cross": "benchmarks.quality.cross",
    "quality cost": "benchmarks.quality.cost",
    "quality cover": "benchmarks.quality.cover",
    "quality enough": "benchmarks.quality.enough",
}


def main() -> int | None:
    """Run the command named by the arguments; without one, list all commands."""
    given = sys.argv[1:]
    name = next((" ".join(given[:n]) for n in (2, 1) if " ".join(given[:n]) in COMMANDS), None)
    if name is None:
        asked = not given or given[0] in ("-h", "--help")
        print(_usage(), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    words = name.split() if COMMANDS[name] != COMMANDS["run"] else []
    sys.argv[:] = [" ".join(["python -m benchmarks", *words]), *given[len(words) :]]
    try:
        with explained("benchmarks"):
            status: int | None = importlib.import_module(COMMANDS[name]).main()
    except ImportError as error:
        print(f"the benchmarks need {error.name}: run `make setup`", file=sys.stderr)
        return 1
    return status


def _usage() -> str:
    lines = ["python -m benchmarks COMMAND ... (each has --help)", ""]
    for name in COMMANDS:
        lines.append(f"  {name}")
    return "\n".join(lines)


if __name__ == "__main__":
    run("benchmarks", main)
