"""Errors an operator can fix."""

from __future__ import annotations

import shutil


class OperatorError(Exception):
    """The message says what is wrong and how to fix it; the command line shows nothing else."""


def text(error: OSError) -> str:
    """Describe an error of the operating system in one line: the file, if known, and the reason."""
    if isinstance(error, shutil.Error):  # from copying a folder: one entry for each file
        return str(error.args[0][0][2])
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error or type(error).__name__}"
