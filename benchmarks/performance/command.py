"""Commands of the speed suite: run it, render its report, write perf_analyzer's inputs."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from aurum.batch import find
from aurum.cli import FAILED, USAGE, CommandError, checked
from aurum.files import naming
from aurum.paths import PHOTO
from aurum.server import ephemeral
from aurum.settings import Settings
from benchmarks.load import inputs as data
from benchmarks.performance import report, runner
from benchmarks.performance.suites import SUITES

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Out = Annotated[Path, typer.Option(help="Output folder.", show_default=False)]


@app.command()
def run(
    out: Out,
    suite: Annotated[str, typer.Option(help="full, quick or smoke.")] = "quick",
    url: Annotated[
        list[str] | None,
        typer.Option(help="Server: one http:// and one grpc:// address. Default: start one."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Parts to run, such as compare. Default: all.")
    ] = None,
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            help="Photos or folders for the mixed load. Default: ../shared/photos, if it exists."
        ),
    ] = None,
    soak_seconds: Annotated[
        int | None, typer.Option(min=1, help="Duration of the soak test. Default: the suite's.")
    ] = None,
    soak_rate: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="Photos per second of the soak test. Default: 80 % of the rate held."
        ),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds of each comparison. Default: the suite's.")
    ] = None,
) -> None:
    """Measure everything in interleaved rounds, and write report and plots to a folder.

    Exit codes: 0 all parts were measured; 1 a part failed (the report says why); 2 wrong usage.
    """
    if suite not in SUITES:
        raise CommandError(USAGE, f"no suite {suite!r}; there are {', '.join(SUITES)}")
    chosen = SUITES[suite]
    chosen = replace(
        chosen,
        rounds=rounds or chosen.rounds,
        soak_seconds=soak_seconds or chosen.soak_seconds,
        soak_rate=soak_rate or chosen.soak_rate,
    )
    for address in url or ():
        checked(address).close()
    with naming(out):
        failed = runner.run(
            chosen,
            out,
            urls=url or (),
            only=only or (),
            extra_photos=photos if photos is not None else runner.shared_photos(),
        )
        print(report.write(out))
    if failed:
        raise CommandError(FAILED, f"these parts failed: {', '.join(failed)}")


@app.command("report")
def render(
    folder: Annotated[Path, typer.Argument(help="Folder that `python -m benchmarks run` wrote.")],
) -> None:
    """Render report and plots from the raw figures in a folder."""
    print(report.write(folder))


@app.command()
def inputs(
    out: Out,
    photos: Annotated[
        list[Path] | None, typer.Option(help="Photos or folders. Default: the astronaut.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Server that locates the faces. Default: start one.")
    ] = None,
) -> None:
    """Write perf_analyzer's input files."""
    out.mkdir(parents=True, exist_ok=True)
    paths, settings = find(photos or [PHOTO]), Settings.from_env()
    with naming(out):
        if url:
            checked(url).close()
            written = data.write(paths, url, out, settings)
        else:
            with (
                tempfile.TemporaryDirectory(prefix="aurum-") as folder,
                ephemeral.running(settings, Path(folder)) as service,
            ):
                written = data.write(paths, service.urls[0], out, settings)
    for workload in written:
        print(workload.data)


def main() -> None:
    """Run the command line; the caller prints errors."""
    app(prog_name="python -m benchmarks", standalone_mode=True)
