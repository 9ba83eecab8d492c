"""Process many photos: find the files, and send a few requests at a time."""

# ruff: noqa: PLC0415 - the client and rich are imported where they are used, for a fast start

from __future__ import annotations

import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aurum.errors import OperatorError

if TYPE_CHECKING:
    from aurum_client import AurumError

P = TypeVar("P")  # a photo: a path, or an object that stands for one
T = TypeVar("T")

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif"),  # all of them JPEG
    *(".png", ".webp", ".heic", ".heif", ".avif"),
)
KINDS_SHOWN = 8  # kinds of skipped files that are listed
NAMES_SHOWN = 3  # names that are listed of each kind


class NoPhotoError(OperatorError, ValueError):
    """The given paths contain no photos."""


def find(paths: Sequence[Path], say: Callable[[str], None] = lambda line: None) -> list[Path]:
    """List the photos in `paths`, without duplicates; those of a folder are sorted.

    A path that does not exist stays in the list: it is reported like any photo that can't be read.
    `say` gets a few lines about what was skipped in folders, and why.
    Raises NoPhotoError if the list is empty.
    """
    found: list[Path] = []
    skipped: dict[Path, str] = {}
    for path in paths:
        if path.is_dir():
            found += _in_folder(path, skipped)
        else:
            found.append(path)
    for line in _summary(skipped, len(found)):
        say(line)
    if not found:
        names = ", ".join(map(str, paths))
        raise NoPhotoError(f"no photo ({', '.join(SUFFIXES)}) in {names}")
    return list(dict.fromkeys(found))


def _in_folder(folder: Path, skipped: dict[Path, str]) -> list[Path]:
    """Return the photos below a folder, sorted; add what is none to `skipped`, with the reason."""
    found = []

    def unreadable(error: OSError) -> None:
        skipped[Path(error.filename)] = f"can't be read: {error.strerror}"

    for place, folders, names in os.walk(folder, onerror=unreadable):
        for name in list(folders):
            path = Path(place, name)
            if name.startswith("."):
                skipped[path] = "hidden"
                folders.remove(name)
            elif path.is_symlink():  # which os.walk does not follow: it could lead in a circle
                skipped[path] = "link to a folder"
        for name in names:
            path = Path(place, name)
            if reason := _no_photo(path):
                skipped[path] = reason
            else:
                found.append(path)
    return sorted(found)


def _no_photo(path: Path) -> str:
    """Say why a file in a folder is not taken for a photo; empty if it is."""
    if path.name.startswith("."):
        return "hidden"
    if path.suffix.lower() not in SUFFIXES:
        return f"ending {path.suffix.lower()}" if path.suffix else "no ending"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        dangling = path.is_symlink() and isinstance(error, FileNotFoundError)
        return "dangling link" if dangling else f"can't be read: {error.strerror}"
    return "" if stat.S_ISREG(mode) else "not a regular file"


def _summary(skipped: Mapping[Path, str], taken: int) -> Iterator[str]:
    """Yield a line for each kind of skipped files, the most frequent first; never many or long."""
    if not skipped:
        return
    kinds: dict[str, list[Path]] = {}
    for path, reason in skipped.items():
        kinds.setdefault(reason, []).append(path)
    listed = sorted(kinds.items(), key=lambda kind: (-len(kind[1]), kind[0]))
    yield f"skipped {len(skipped)} of {len(skipped) + taken} (photos are {', '.join(SUFFIXES)}):"
    for reason, paths in listed[:KINDS_SHOWN]:
        names = ", ".join(str(path) for path in sorted(paths)[:NAMES_SHOWN])
        more = ", ..." if len(paths) > NAMES_SHOWN else ""
        yield f"  {reason} ({len(paths)}): {names}{more}"
    if others := sum(len(paths) for _, paths in listed[KINDS_SHOWN:]):
        yield f"  other reasons ({others})"


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
