"""The ``aurum`` command. Here is what its commands share; ``app`` puts them together."""

# ruff: noqa: PLC0415 - the client and numpy are imported where they are needed, to start fast

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aurum.batch import concerns_service
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum_client import AurumError, FaceClient

# Exit codes, the same for all commands.
FAILED = 1
USAGE = 2
UNREACHABLE = 3
UNRECOGNIZABLE = 4

TIMEOUT = 30.0  # seconds for one photo, which may have to wait for others on a busy server
HEALTH_TIMEOUT = 5.0  # seconds


class CommandError(Exception):
    """Ends a command with one message on stderr and an exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def complain(message: str) -> None:
    """Print a line on stderr."""
    print(message, file=sys.stderr)


@contextmanager
def evaluation_packages() -> Iterator[None]:
    """Say how to install what the evaluation needs, rather than which import failed."""
    try:
        yield
    except ImportError as error:
        raise CommandError(
            FAILED,
            f"this needs {error.name}, which isn't installed: pip install "
            "'aurum-face-serving[evaluation]', or in a checkout: make setup",
        ) from None


def connect(url: str) -> FaceClient:
    """Make the client of all commands; tests replace this. Raises ValueError for a bad address."""
    from aurum_client import FaceClient

    return FaceClient(url, timeout=TIMEOUT)


@contextmanager
def service(url: str | None, settings: Settings) -> Iterator[FaceClient]:
    """A client of the server at `url`, else of the settings' one, that was seen to be alive.

    Raises CommandError if it can't be used, and for what the client raises in the block.
    """
    from aurum_client import AurumError

    address = url or settings.url or settings.http_url
    try:
        client = connect(address)
    except ValueError as error:
        raise CommandError(USAGE, f"the address of the service: {error}") from None
    with client:
        health = client.health(timeout=HEALTH_TIMEOUT)
        if health.error and not health.ready:
            raise _unusable(address, health.error)
        if health.models and health.models.simulated:
            complain(f"SIMULATED: the models at {address} make up every face and embedding")
        try:
            yield client
        except AurumError as error:
            raise _command_error(address, error) from error


def _command_error(address: str, error: AurumError) -> CommandError:
    if concerns_service(error):
        return _unusable(address, error)
    return CommandError(USAGE if error.code == "invalid_parameter" else FAILED, str(error))


def _unusable(address: str, error: AurumError) -> CommandError:
    return CommandError(
        UNREACHABLE,
        f"cannot use the face service at {address}: {error}\n"
        "Start it with `make serve` or `aurum up`, or name another with --url or AURUM_URL.",
    )
