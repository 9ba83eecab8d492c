"""Evaluate the accuracy of a running service.

`target` finds or starts the service; `ask` sends photos and stores the raw answers; `verification`,
`detection`, `hard`, `finding`, `gate`, `groups`, `conditions`, `parity` and `calibrate` each write
one report.
"""

from aurum.errors import OperatorError


class ValidationError(OperatorError, ValueError):
    """A data set or an answer can't be used; the message names the file and what is wrong."""
