"""A folder on a disk that fills up: a tmpfs if mounting is allowed, else a file size limit."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[int], None]]:
    """Create `folder` with room for `size` bytes, in whole pages; yield a function that sets it."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder]
    if shutil.which("mount") and not subprocess.run(mount, check=False).returncode:

        def remount(size: int) -> None:
            subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)

        try:
            yield remount
        finally:
            subprocess.run(["umount", folder], check=True)
    else:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)

        def limit(size: int) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

        limit(size)
        try:
            yield limit
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
