"""The ``aurum`` command: its subcommands, and the exit codes of their errors."""

# ruff: noqa: PLC0415 - modules are imported only where needed, for a fast start

from __future__ import annotations

import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from aurum import __version__
from aurum.batch import NoPhotoError
from aurum.cli import (
    FAILED,
    USAGE,
    CommandError,
    bench,
    doctor,
    faces,
    gateway,
    models,
    photos,
    print_stderr,
    rollout,
    validate,
)
from aurum.errors import OperatorError
from aurum.settings import SettingError

PHOTO_CODES = (
    "Exit codes: 0 all photos succeeded; 1 at least one photo failed (the others are still "
    "answered); 2 wrong usage, or no photo found; 3 the service cannot be reached or used."
)
COMPARE_CODES = (
    "Exit codes: 0 the photos were compared, whatever the result; 1 a photo failed; 2 wrong "
    "usage; 3 the service cannot be reached or used; 4 a face is not recognizable, so there is no "
    "decision."
)
DOCTOR_CODES = "Exit codes: 0 no check failed (warnings are allowed); 1 at least one check failed."


class Commands(TyperGroup):
    """Command group that reports errors a user can fix as one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except CommandError as error:
            print_stderr(f"aurum: {error}")
            raise typer.Exit(error.code) from None
        except OperatorError as error:
            print_stderr(f"aurum: {error}")
            raise typer.Exit(
                USAGE if isinstance(error, SettingError | NoPhotoError) else FAILED
            ) from None


app = typer.Typer(
    cls=Commands,
    help="Detect and embed faces on NVIDIA Triton: run the service and send it photos.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command(epilog=PHOTO_CODES)(photos.detect)
app.command(epilog=PHOTO_CODES)(photos.embed)
app.command(epilog=COMPARE_CODES)(photos.compare)
app.command(epilog=DOCTOR_CODES)(doctor.doctor)
app.add_typer(models.models, name="models")
app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(bench.bench)
app.add_typer(gateway.gateway, name="gateway")
app.add_typer(gateway.gateway, name="edge", hidden=True, deprecated=True)  # until 0.3
app.add_typer(validate.validate, name="validate")
app.add_typer(rollout.rollout, name="rollout")
app.add_typer(faces.faces, name="faces")


@app.command()
def up() -> None:
    """Download and build the models, then run Triton; Ctrl-C drains and stops it."""
    from aurum.cli.up import up

    up()


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Options before the subcommand."""


def main() -> None:
    """Entry point of the ``aurum`` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may not be valid text
    app()
