"""The ``aurum`` command line: what all commands share. ``app`` assembles them."""

# ruff: noqa: PLC0415 - the client and numpy are imported only where needed, for a fast start

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aurum.batch import concerns_service
from aurum.errors import text_of_import
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum_client import AurumError, FaceClient

# Exit codes of all commands.
FAILED = 1
USAGE = 2
UNREACHABLE = 3
UNRECOGNIZABLE = 4
INTERRUPTED = 130  # by Ctrl-C, as shells report SIGINT
BUG = 70  # EX_SOFTWARE, sysexits(3)

TIMEOUT = 30.0  # seconds for one photo, including its wait in the queue of a busy server
HEALTH_TIMEOUT = 5.0  # seconds
API_KEY = "AURUM_API_KEY"  # not an option, which `ps` would show to everybody


class CommandError(Exception):
    """End a command with one message on stderr and an exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def print_stderr(message: str) -> None:
    """Print a line to stderr."""
    print(message, file=sys.stderr)


@contextmanager
def optional_packages(extra: str) -> Iterator[None]:
    """Turn a failed import of a package of an extra into instructions for installing it."""
    try:
        yield
    except ImportError as error:
        raise CommandError(FAILED, f"this command {text_of_import(error, extra)}") from None


def key_headers() -> dict[str, str]:
    """Return the header with the gateway's key in AURUM_API_KEY; without a key, no header.

    Raises CommandError for a key that can't be sent.
    """
    key = os.environ.get(API_KEY, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise CommandError(USAGE, f"{API_KEY}: a key has only printable ASCII characters")
    return {"Authorization": f"Bearer {key}"} if key else {}


def connect(url: str) -> FaceClient:
    """Create the client that all commands use; tests replace this function.

    Raises ValueError for an invalid address, and CommandError for an invalid key.
    """
    from aurum_client import FaceClient

    return FaceClient(url, timeout=TIMEOUT, headers=key_headers())


def checked(url: str) -> FaceClient:
    """Like `connect`, but raises CommandError for an invalid address."""
    try:
        return connect(url)
    except ValueError as error:
        raise CommandError(USAGE, f"the address of the service: {error}") from None


@contextmanager
def service(url: str | None, settings: Settings) -> Iterator[FaceClient]:
    """Connect to the server at `url`, by default the one in the settings, and check its health.

    Raises CommandError if the server can't be used, and for client errors within the block.
    """
    from aurum_client import AurumError

    address = url or settings.url or settings.http_url
    with checked(address) as client:
        health = client.health(timeout=HEALTH_TIMEOUT)
        if health.error and not health.ready:
            raise _unusable(address, health.error)
        if health.models and health.models.simulated:
            print_stderr(f"SIMULATED: the models at {address} make up every face and embedding")
        try:
            yield client
        except AurumError as error:
            raise _command_error(address, error) from error


def _command_error(address: str, error: AurumError) -> CommandError:
    if concerns_service(error):
        return _unusable(address, error)
    return CommandError(USAGE if error.code == "invalid_parameter" else FAILED, str(error))


def _unusable(address: str, error: AurumError) -> CommandError:
    start = (
        "Start it with `make serve` or `aurum up`, or give another address with --url or AURUM_URL."
    )
    return CommandError(
        UNREACHABLE,
        f"cannot use the face service at {address}: {error}\n{key_remedy(error) or start}",
    )


def key_remedy(error: BaseException | None) -> str:
    """Return what to do about a missing or wrong key, or "" for another error."""
    from aurum_client import AccessDeniedError

    if not isinstance(error, AccessDeniedError):
        return ""
    return f"Set {API_KEY} to a key of the gateway (docs/guides/security.md)."
