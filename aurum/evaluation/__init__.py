"""Evaluate the accuracy of a running service.

`target` finds or starts the service; `ask` sends photos and stores the raw answers; `verification`,
`detection`, `hard`, `finding`, `gate`, `groups`, `conditions`, `parity` and `calibrate` each write
one report.
"""

from pathlib import Path

from aurum.errors import OperatorError


class ValidationError(OperatorError, ValueError):
    """A data set or an answer can't be used; the message names the file and what is wrong."""


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, line ends as they are. Raises ValidationError and OSError."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValidationError(f"{path}: not a text file in UTF-8 (byte {error.start})") from None
