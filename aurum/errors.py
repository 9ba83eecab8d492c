"""Errors an operator can fix."""


class OperatorError(Exception):
    """The message says what is wrong and how to fix it; the command line shows nothing else."""
