"""What a server has to itself, so that a second one for the same port is refused at once.

Locks, which go with the process that holds them: one beside the copy that it serves, one in the
memory that its processes share, which servers of other folders and network namespaces use, too.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from aurum.errors import OperatorError
from aurum.server.runtime import SHARED_MEMORY
from aurum.settings import Settings

# Tries within some hundredths of a second: `is_held` looks at a lock by taking it for a moment.
TRIES = 5


class ClaimedError(OperatorError, RuntimeError):
    """Another server has what ours would use; the message says which."""


class Claim:
    """The claim of the server of `settings`; taken until it is released."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._locks: list[tuple[Path, IO[str]]] = []

    def take(self) -> None:
        """Take it, without waiting; harmless where we have it. Raises ClaimedError and OSError."""
        if self._locks:
            return
        try:
            for path in _paths(self._settings):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._locks.append((path, self._lock(path)))
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let others have it."""
        for path, lock in self._locks:
            with suppress(OSError):
                path.unlink()  # ours still: `_lock` sees that a file is the one at its path
            lock.close()
        self._locks.clear()

    def _lock(self, path: Path) -> IO[str]:
        for _ in range(TRIES):
            file = _open(path)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    _sign(file)
                    return file
            except BlockingIOError:
                pass
            holder = file.read().strip()
            file.close()
            time.sleep(0.01)
        port = self._settings.http_port
        raise ClaimedError(
            f"another server{f' (process {holder})' if holder else ''} with HTTP port {port} runs "
            f"here ({path} is locked); stop it, or set AURUM_HTTP_PORT, AURUM_GRPC_PORT and "
            "AURUM_METRICS_PORT to other ports"
        )


def copy_folder(settings: Settings) -> Path:
    """The folder of the copy that the server of `settings` serves."""
    return settings.rollout / "live" / str(settings.http_port)


def lock_path(card: Path) -> Path:
    """The lock of the server whose copy is described by the file `card`."""
    return card.with_suffix(".lock")


def is_held(path: Path) -> bool:
    """Whether a living server holds the lock."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _paths(settings: Settings) -> tuple[Path, ...]:
    return (
        lock_path(copy_folder(settings).with_suffix(".json")),
        SHARED_MEMORY / f"aurum-{settings.http_port}.lock",
    )


def _open(path: Path) -> IO[str]:
    """The file, made where it is missing; to read alone where it is another user's."""
    try:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+")
    except PermissionError:
        return path.open()


def _sign(file: IO[str]) -> None:
    if file.writable():
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
