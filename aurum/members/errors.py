"""The errors of this package."""

from aurum.errors import OperatorError


class MembersError(OperatorError, ValueError):
    """A table, a row or a request can't be used; the message says why in one line."""


class ArgumentError(MembersError):
    """An argument is not what is allowed, whatever the table holds."""


class OtherModelError(MembersError):
    """A face comes from another embedder than the table's faces."""
