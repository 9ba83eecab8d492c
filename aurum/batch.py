"""Process many photos: find the files, and send a few requests at a time."""

# ruff: noqa: PLC0415 - the client and rich are imported where they are used, for a fast start

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aurum.errors import OperatorError

if TYPE_CHECKING:
    from aurum_client import AurumError

P = TypeVar("P")  # a photo: a path, or an object that stands for one
T = TypeVar("T")

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif")


class NoPhotoError(OperatorError, ValueError):
    """The given paths contain no photos."""


def find(paths: Sequence[Path]) -> list[Path]:
    """List the photos in `paths`, without duplicates; those of a folder are sorted.

    A path that does not exist stays in the list: it is reported like any photo that can't be read.
    Raises NoPhotoError if the list is empty.
    """
    found = [photo for path in paths for photo in (_in_folder(path) if path.is_dir() else [path])]
    if not found:
        names = ", ".join(map(str, paths))
        raise NoPhotoError(f"no photo ({', '.join(SUFFIXES)}) in {names}")
    return list(dict.fromkeys(found))


def _in_folder(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def answers(
    photos: Sequence[P], ask: Callable[[P], T], concurrency: int
) -> Iterator[tuple[P, T | Exception]]:
    """Yield each photo with the result of `ask`, or with its error, in order and without delay.

    At most 2 * `concurrency` photos are pending at a time. Raises an AurumError that concerns every
    photo.
    """
    from aurum_client import AurumError

    pending: deque[tuple[P, Future[T]]] = deque()

    def next_result() -> tuple[P, T | Exception]:
        photo, future = pending.popleft()
        try:
            return photo, future.result()
        except AurumError as error:
            if concerns_all(error):
                raise
            return photo, error
        except OperatorError as error:
            return photo, error

    with _progress(len(photos)) as advance, ThreadPoolExecutor(concurrency) as pool:
        try:
            for photo in photos:
                pending.append((photo, pool.submit(ask, photo)))
                if len(pending) == 2 * concurrency:
                    yield next_result()
                    advance()
            while pending:
                yield next_result()
                advance()
        finally:
            for _, future in pending:
                future.cancel()


def concerns_all(error: AurumError) -> bool:
    """Whether any other photo would fail with the same error."""
    return concerns_service(error) or error.code == "invalid_parameter"


def concerns_service(error: AurumError) -> bool:
    """Whether the service or the connection to it failed, not the request."""
    from aurum_client import AccessDeniedError, ConnectionFailedError, ModelNotFoundError

    return isinstance(error, AccessDeniedError | ConnectionFailedError | ModelNotFoundError)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar if stderr is a terminal and there is more than one photo."""
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(
        console=Console(stderr=True),
        transient=True,
        # Output to the same terminal is printed above the bar; output to a file is left alone.
        redirect_stdout=sys.stdout.isatty(),
        disable=total < 2 or not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("photos", total=total)
        yield lambda: bar.advance(task)
