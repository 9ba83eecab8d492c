"""Tell users about errors: one message for what they can fix, and a file to report for a bug."""

# ruff: noqa: PLC0415 - the clients are imported only where needed, for a fast start

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from aurum import __version__, errors
from aurum.batch import NoPhotoError
from aurum.cli import BUG, FAILED, INTERRUPTED, UNREACHABLE, USAGE, CommandError, print_stderr
from aurum.errors import OperatorError
from aurum.settings import SettingError

SHOWN = 200  # characters of a bug's message


@contextmanager
def explained(program: str) -> Iterator[None]:
    """End the program with one message and an exit code at an error that a user can fix.

    Raises SystemExit.
    """
    try:
        yield
    except Exception as error:
        known = _explain(error)
        if known is None:
            raise
        print_stderr(f"{program}: {known}")
        raise SystemExit(known.code) from None


def _explain(error: Exception) -> CommandError | None:
    """Return the message and the exit code of an error that a user can fix; None for others."""
    if isinstance(error, CommandError):
        return error
    if isinstance(error, OperatorError):
        usage = isinstance(error, SettingError | NoPhotoError)
        return CommandError(USAGE if usage else FAILED, str(error))
    if isinstance(error, OSError):
        # A reader that closed the pipe, such as head(1), wants no message.
        silent = isinstance(error, BrokenPipeError)
        return None if silent else CommandError(FAILED, errors.text(error))
    if isinstance(error, MemoryError):
        return CommandError(FAILED, "there is not enough memory")
    return _of_a_client(error)


def _of_a_client(error: Exception) -> CommandError | None:
    from aurum_client import AurumError
    from tritonclient.utils import InferenceServerException

    if isinstance(error, AurumError):
        return CommandError(UNREACHABLE, f"the service can't be used: {error}")
    if isinstance(error, InferenceServerException):
        return CommandError(FAILED, f"Triton can't be used: {error.message()}")
    return None


@contextmanager
def reported(program: str) -> Iterator[None]:
    """End the program at a bug with one line that names a file with the traceback.

    Raises SystemExit.
    """
    try:
        yield
    except BrokenPipeError:
        raise SystemExit(FAILED) from None
    except Exception as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())[:SHOWN]
        report = (
            f"aurum {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
            f"{shlex.join(sys.argv)}\n\n{''.join(traceback.format_exception(error))}"
        )
        try:
            descriptor, path = tempfile.mkstemp(prefix="aurum-bug-", suffix=".txt")
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(report)
        except OSError:
            print_stderr(report)
            path = "the lines above"
        print_stderr(f"{program}: this is a bug ({message}); please report it with {path}")
        raise SystemExit(BUG) from None


def run(program: str, main: Callable[[], int | None]) -> NoReturn:
    """Call `main`, report a bug in it, and end the program; `main` returns or raises the status."""
    status: str | int | None = None
    try:
        with reported(program):
            status = main()
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:
        status = INTERRUPTED
    try:
        # Python itself would do this after the end, and report an error as a traceback.
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError) and not status:
            print_stderr(f"{program}: the output can't be written: {errors.text(error)}")
        status = status or FAILED
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())
    sys.exit(status)
