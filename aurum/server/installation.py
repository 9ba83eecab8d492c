"""Set up an installed package before its first start: writable repositories and libraries."""

from __future__ import annotations

from collections.abc import Callable

from aurum import files, native, paths
from aurum.contract import REPOSITORIES
from aurum.server.runtime import onnxruntime_library
from aurum.settings import Settings


def complete(settings: Settings, say: Callable[[str], None] = lambda line: None) -> None:
    """Copy the repositories into AURUM_HOME and compile the C++ libraries, if necessary.

    Does nothing in a checkout. Graphs in the repositories are kept. A folder set by
    AURUM_REPOSITORIES belongs to the operator and is not changed.

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
    native.compile_missing(onnxruntime_library(), say)
