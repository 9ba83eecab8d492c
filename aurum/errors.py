"""What whoever runs the service can mend."""


class OperatorError(Exception):
    """The message says what is wrong and how to mend it; the command line shows nothing else."""
