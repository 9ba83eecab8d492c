"""Locks that a server holds while it runs, so that a second one for the same port fails at once.

One lock is beside the served copy. The other is in shared memory, which servers of other folders
and network namespaces use, too. Locks are released when the process that holds them ends.
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

# Attempts within some hundredths of a second: `is_held` tests a lock by taking it for a moment.
TRIES = 5


class ClaimedError(OperatorError, RuntimeError):
    """Another server holds a lock; the message says which."""


class Claim:
    """The locks of the server of `settings`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._locks: list[tuple[Path, IO[str]]] = []

    def take(self) -> None:
        """Take the locks without waiting. Idempotent. Raises ClaimedError and OSError."""
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
        """Release the locks."""
        for path, lock in self._locks:
            with suppress(OSError):
                path.unlink()  # before closing; `_lock` checks that its file is still at the path
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
    """Return the folder of the copy that the server of `settings` serves."""
    return settings.rollout / "live" / str(settings.http_port)


def lock_path(card: Path) -> Path:
    """Return the lock file of the server whose copy is described by the file `card`."""
    return card.with_suffix(".lock")


def is_held(path: Path) -> bool:
    """Whether a running server holds the lock."""
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
    """Open the file, creating it if it is missing; read-only if it belongs to another user."""
    try:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+")
    except PermissionError:
        return path.open()


def _sign(file: IO[str]) -> None:
    if file.writable():
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
