"""Many photos: finding them, and asking about a few at a time."""

# ruff: noqa: PLC0415 - the client and rich are imported where they are needed, to start fast

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

P = TypeVar("P")  # a photo: a path, or what stands for one
T = TypeVar("T")

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif")


class NoPhotoError(OperatorError, ValueError):
    """There is no photo where photos were looked for."""


def find(paths: Sequence[Path]) -> list[Path]:
    """The photos that `paths` name, each once: a file as given, a folder's in sorted order.

    A path that does not exist is left in: it is reported like any photo that can't be read.
    Raises NoPhotoError if there is no photo.
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
    """What `ask` says of each photo, or the photo's error, in order and as soon as it is known.

    Only a few photos are asked about ahead of the one that is waited for. An AurumError that
    concerns every photo is raised.
    """
    from aurum_client import AurumError

    pending: deque[tuple[P, Future[T]]] = deque()

    def settled() -> tuple[P, T | Exception]:
        path, future = pending.popleft()
        try:
            return path, future.result()
        except AurumError as error:
            if concerns_all(error):
                raise
            return path, error
        except OperatorError as error:
            return path, error

    with _progress(len(photos)) as advance, ThreadPoolExecutor(concurrency) as pool:
        try:
            for path in photos:
                pending.append((path, pool.submit(ask, path)))
                if len(pending) == 2 * concurrency:
                    yield settled()
                    advance()
            while pending:
                yield settled()
                advance()
        finally:
            for _, future in pending:
                future.cancel()


def concerns_all(error: AurumError) -> bool:
    """Whether the next photo would meet the same error, whatever photo it is."""
    return concerns_service(error) or error.code == "invalid_parameter"


def concerns_service(error: AurumError) -> bool:
    """Whether it is the service, or the way to it, that fails."""
    from aurum_client import AccessDeniedError, ConnectionFailedError, ModelNotFoundError

    return isinstance(error, AccessDeniedError | ConnectionFailedError | ModelNotFoundError)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, if that is a terminal and there is more than one photo."""
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(
        console=Console(stderr=True),
        transient=True,
        # What goes to the same terminal is printed above the bar; into a file it goes as it is.
        redirect_stdout=sys.stdout.isatty(),
        disable=total < 2 or not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("photos", total=total)
        yield lambda: bar.advance(task)
