"""``aurum bench``: the benchmarks, which are in the repository and not in the package."""

from __future__ import annotations

import os
import subprocess
import sys

import typer

from aurum import paths
from aurum.cli import FAILED, CommandError


def bench(context: typer.Context) -> None:
    """Run the benchmarks: all arguments go to `python -m benchmarks`, which lists its commands."""
    if paths.INSTALLED:
        raise CommandError(
            FAILED,
            "the benchmarks are not part of the installed package: clone the repository, and run "
            "`make setup`, then `.venv/bin/python -m benchmarks` there",
        )
    command = [sys.executable, "-P", "-m", "benchmarks", *context.args]
    environment = {**os.environ, "PYTHONPATH": str(paths.CHECKOUT)}
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)
