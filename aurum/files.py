"""Atomic writes and inter-process locks."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# A full disk, a full quota, a file that is too large, a failing disk.
_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name `path` in the OSError of a failed write, which names no file."""
    try:
        yield
    except OSError as error:
        if error.errno in _WRITE_ERRORS and not error.filename:
            error.filename = str(path)
        raise


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(
    path: Path, data: bytes, mode: int | None = None, owner: os.stat_result | None = None
) -> None:
    """Whoever reads `path`, also after a crash, sees the old file or the whole new one.

    `mode` are its permissions; None: as for any new file. `owner` has the user and the group that
    root gives it to.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with naming(path), part.open("wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            if owner is not None and os.geteuid() == 0:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # makes the rename durable
    finally:
        os.close(folder)


def copy_if_changed(source: Path, target: Path) -> str:
    """Copy a file atomically unless the target is identical; return its SHA-256."""
    digest = sha256(source)
    if not target.is_file() or sha256(target) != digest:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(target, source.read_bytes())
    return digest


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold an inter-process lock, which is released when the process that holds it ends.

    Raises BlockingIOError if another process holds it and `wait` is False.
    """
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
