"""``aurum bench``: run the benchmarks, which only a checkout has."""

from __future__ import annotations

import os
import subprocess
import sys

import typer

from aurum import paths
from aurum.cli import FAILED, CommandError


def bench(context: typer.Context) -> None:
    """Run the benchmarks; all arguments are passed to `python -m benchmarks`."""
    if paths.INSTALLED:
        raise CommandError(
            FAILED,
            "the benchmarks are not part of the installed package: clone the repository, run "
            "`make setup` there, then `.venv/bin/python -m benchmarks`",
        )
    command = [sys.executable, "-P", "-m", "benchmarks", *context.args]
    environment = {**os.environ, "PYTHONPATH": str(paths.CHECKOUT)}
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)
