"""Compile our C++ libraries for the embedded server at the first start of an installed package.

In a checkout, `make setup` compiles them next to their sources.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from aurum import paths
from aurum.errors import OperatorError

BACKEND = paths.compiled("onnxruntime") / "libtriton_onnxruntime.so"
OPERATORS = paths.compiled("ops") / "libaurum_ops.so"
_JSON = Path("/usr/include/nlohmann/json.hpp")  # Debian's nlohmann-json3-dev


class NativeError(OperatorError, RuntimeError):
    """A library can't be compiled; the message says what is missing."""


def compile_missing(onnxruntime: Path, say: Callable[[str], None]) -> None:
    """Compile the libraries of an installed package if they are missing or their sources changed.

    Does nothing in a checkout. Raises NativeError.

    Args:
        onnxruntime: the shared library of ONNX Runtime that the backend is linked with.
        say: called with a line for each library that is compiled.
    """
    if not paths.INSTALLED:
        return
    sources = hashlib.sha256()  # of both, which share a header
    for source in sorted((paths.DATA / "backends").rglob("*.*")):
        sources.update(source.read_bytes())
    for library, what, argument in (
        (BACKEND, "Triton's ONNX Runtime backend", str(onnxruntime)),
        (OPERATORS, "the kernels", "library"),
    ):
        _compile(library, what, [argument, str(library.parent)], sources.hexdigest(), say)


def missing_tools() -> str:
    """Say what is missing for compiling; empty if nothing is."""
    if shutil.which("g++") and _JSON.is_file():
        return ""
    return (
        "the first start compiles C++ libraries, which needs a C++ compiler and nlohmann's JSON "
        "header; on Debian or Ubuntu: sudo apt-get install g++ nlohmann-json3-dev"
    )


def _compile(
    library: Path, what: str, arguments: list[str], sources: str, say: Callable[[str], None]
) -> None:
    stamp, made_of = library.with_suffix(".sources"), f"{sources} {' '.join(arguments)}"
    if library.is_file() and stamp.is_file() and stamp.read_text() == made_of:
        return
    if missing := missing_tools():
        raise NativeError(missing)
    say(f"compiling {what} into {library.parent}")
    library.parent.mkdir(parents=True, exist_ok=True)
    script = paths.DATA / "backends" / library.parent.name / "build.sh"
    run = subprocess.run(
        ["/bin/sh", str(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise NativeError(f"{what} can't be compiled:\n{run.stderr.strip()}")
    shutil.rmtree(library.parent / "build", ignore_errors=True)
    stamp.write_text(made_of)
