"""Errors an operator can fix."""

from __future__ import annotations

import re
import shutil


class OperatorError(Exception):
    """The message says what is wrong and how to fix it; the command line shows nothing else."""


def text(error: OSError) -> str:
    """Describe an error of the operating system in one line: the file, if known, and the reason."""
    if isinstance(error, shutil.Error):  # from copying a folder: one entry for each file
        return str(error.args[0][0][2])
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error or type(error).__name__}"


def text_of_rust(error: Exception) -> str:
    """Describe an error of a library in Rust (LanceDB) in one line, without its place in there."""
    return re.sub(r", \S+\.rs:[\d:]+$", "", str(error).partition("\n")[0])


def text_of_import(error: ImportError, extra: str) -> str:
    """Say which package of an extra is needed, and how to install it."""
    return (
        f"needs {error.name}, which is not installed: run pip install "
        f"'aurum-face-serving[{extra}]', or `make setup` in a checkout"
    )
