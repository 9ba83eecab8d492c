"""How right the service is: photos go through the running service, its answers are judged here.

`target` finds or starts the service, `ask` sends photos and keeps the raw answers; `verification`,
`detection`, `variants`, `parity` and `calibration` each make one report.
"""

from aurum.errors import OperatorError


class ValidationError(OperatorError, ValueError):
    """A data set or an answer can't be used; the message names the file and what is wrong."""
