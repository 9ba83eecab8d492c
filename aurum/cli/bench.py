"""``aurum bench``: run the benchmarks, which only a checkout has."""

from __future__ import annotations

import os
import sys

import typer

from aurum import paths
from aurum.cli import FAILED, CommandError


def bench(context: typer.Context) -> None:
    """Run the benchmarks: all arguments are passed to `python -m benchmarks`, which lists them.

    `aurum bench perf_analyzer -- ARGUMENTS` runs NVIDIA's perf_analyzer
    (docs/reference/command-line.md).
    """
    if paths.INSTALLED:
        raise CommandError(
            FAILED,
            "the benchmarks are not part of the installed package: clone the repository, run "
            "`make setup` there, then `.venv/bin/python -m benchmarks`",
        )
    command = [sys.executable, "-P", "-m", "benchmarks", *context.args]
    environment = {**os.environ, "PYTHONPATH": str(paths.CHECKOUT)}
    os.execve(sys.executable, command, environment)  # noqa: S606 - signals go to the benchmark
