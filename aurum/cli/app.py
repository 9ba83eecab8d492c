"""The ``aurum`` command: its subcommands, and the exit codes of their errors."""

# ruff: noqa: PLC0415 - modules are imported only where needed, for a fast start

from __future__ import annotations

import io
import os
import sys
from dataclasses import fields
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from aurum import __version__
from aurum.cli import (
    USAGE,
    CommandError,
    bench,
    bulk,
    doctor,
    faces,
    gateway,
    models,
    photos,
    rollout,
    validate,
)
from aurum.cli.errors import explained, run
from aurum.settings import PREFIX, Settings

PHOTO_CODES = (
    "Exit codes: 0 all photos succeeded; 1 at least one photo failed (the others are still "
    "answered); 2 wrong usage, or no photo found; 3 the service cannot be reached or used."
)
COMPARE_CODES = (
    "Exit codes: 0 the photos were compared, whatever the result; 1 a photo failed; 2 wrong "
    "usage; 3 the service cannot be reached or used; 4 a face is not recognizable, so there is no "
    "decision."
)
CODES = (
    "Exit codes of all commands: 0 done; 1 failed; 2 wrong usage or an invalid setting; 3 the "
    "service cannot be reached or used; 4 a face is not recognizable (compare); 70 a bug; 130 "
    "interrupted. Settings are environment variables: docs/reference/configuration.md."
)
UP_SETTINGS = (
    *("profile", "model_mirror", "offline", "require_commercial", "home"),
    *("host", "http_port", "grpc_port", "metrics_port", "playground_port"),
)
UP_CODES = (
    "Exit codes: 0 stopped as asked, by Ctrl-C or SIGTERM; 1 the server cannot be started, or died "
    "again and again; 2 an invalid setting. The output says why. How to run the service: "
    "docs/guides/operations.md."
)
DOCTOR_CODES = "Exit codes: 0 no check failed (warnings are allowed); 1 at least one check failed."


class Commands(TyperGroup):
    """Command group that reports errors a user can fix as one message and an exit code."""

    def main(self, *arguments: Any, **options: Any) -> NoReturn:
        """Run the command line, and end the program."""
        with explained("aurum"):
            try:
                status = super().main(*arguments, **{**options, "standalone_mode": False})
            except TyperException as error:
                # Without a message, the help was printed instead.
                if message := " ".join(error.format_message().split()):
                    command = getattr(getattr(error, "ctx", None), "command_path", "aurum")
                    raise CommandError(USAGE, f"{message} (see {command} --help)") from None
                status = error.exit_code
        sys.exit(status)


def _settings(names: tuple[str, ...]) -> str:
    """Describe settings, each in a paragraph of its own."""
    known = {item.name: item for item in fields(Settings)}
    texts = ["The main settings; docs/reference/configuration.md has all:"]
    for name in names:
        default = known[name].default
        # Others are explained in the text.
        shown = f" ({int(default)})" if isinstance(default, int) else ""
        texts.append(f"{PREFIX}{name.upper()}{shown}: {known[name].metadata['doc']}")
    return "\n\n".join(texts)


app = typer.Typer(
    cls=Commands,
    epilog=CODES,
    # As for rich's output; typer itself does not know NO_COLOR (no-color.org).
    context_settings={"color": False if os.environ.get("NO_COLOR") else None},
    help="Detect and embed faces on NVIDIA Triton: run the service and send it photos.",
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
app.add_typer(bulk.bulk, name="bulk")
app.add_typer(faces.faces, name="faces")


@app.command(epilog=f"{_settings(UP_SETTINGS)}\n\n{UP_CODES}")
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
    run("aurum", app)
