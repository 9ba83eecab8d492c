"""Set up an installed package before its first start: writable repositories and libraries."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from aurum import files, native, paths
from aurum.contract import REPOSITORIES
from aurum.server.runtime import onnxruntime_library
from aurum.settings import Settings


def complete(settings: Settings, say: Callable[[str], None] = lambda line: None) -> None:
    """Copy the repositories into AURUM_HOME and compile the C++ libraries, if necessary.

    Does nothing in a checkout. Graphs in the repositories are kept; Python backends that only an
    older version had are removed. A folder set by AURUM_REPOSITORIES belongs to the operator and is
    not changed.

    Raises NativeError, RuntimeMissingError and OSError.
    """
    if not paths.INSTALLED:
        return
    if settings.repositories == settings.home / "repositories":
        for name in REPOSITORIES:
            for source in (paths.DATA / name).rglob("*"):
                if source.is_file():
                    target = settings.repositories / source.relative_to(paths.DATA)
                    files.copy_if_changed(source, target)
        for folder in (settings.repositories / "python_backends").iterdir():
            if not (paths.DATA / "python_backends" / folder.name).exists():
                shutil.rmtree(folder)  # an older version's, which would no longer load
    native.compile_missing(onnxruntime_library(), say)
